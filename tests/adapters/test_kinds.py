"""Every kind of adapter keeps the same contract, alone and beside another kind on one base."""

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from lorasweep.adapters.adapter import build_adapter
from lorasweep.randomness import global_draws
from lorasweep.schema import NetworkConfig

from .parts import parameters_of
from .tiny_sdxl import randomise, text_output, tiny_base, unet_output

ALL = ("unet", "text_encoder", "text_encoder_2")
CONV = "down_blocks.0.resnets.0.conv1"
LINEAR = "down_blocks.1.attentions.0.transformer_blocks.0.ff.net.2"
KINDS = {
    "lora": {},
    "dora": {"dora": True},
    "loha": {"type": "loha"},
    "loha tucker": {"type": "loha", "tucker": True},
    "lokr": {"type": "lokr", "rank": 1},
    "lokr whole": {"type": "lokr", "rank": 64},
    "lokr both": {"type": "lokr", "rank": 1, "factor": 4, "decompose_both": True},
}


@pytest.fixture
def base() -> SimpleNamespace:
    return tiny_base()


def build(base: SimpleNamespace, name: str = "v1", seed: int = 0, components: Any = ("unet",), **network: Any) -> Any:
    few = {"attention": False, "feed_forward": True, "projections": False, "convolutions": True}
    settings = NetworkConfig(**{"rank": 2, "alpha": 1} | few | network)
    return build_adapter(base, settings, components=components, seed=seed, name=name)


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_it_starts_as_the_base_from_draws_of_its_own_and_leaves_no_trace(base: SimpleNamespace, kind: str) -> None:
    modules = dict(base.modules["unet"].named_modules())
    before = unet_output(base.modules["unet"]), text_output(base.modules["text_encoder"])
    generator = torch.random.get_rng_state()
    first = build(base, seed=5, components=ALL, **KINDS[kind])
    assert torch.equal(torch.random.get_rng_state(), generator)  # the global generator was not touched
    for was, now in zip(
        before, (unet_output(base.modules["unet"]), text_output(base.modules["text_encoder"])), strict=True
    ):
        torch.testing.assert_close(now, was, rtol=1e-5, atol=1e-5)  # DoRA divides lengths by themselves
    start = first.state()
    again = build(base, "v2", seed=5, **KINDS[kind]).state()
    other = build(base, "v3", seed=6, **KINDS[kind]).state()
    assert all(torch.equal(start[name], again[name]) for name in again)
    assert any(not torch.equal(again[name], other[name]) for name in again)
    assert {parameter.dtype for parameter in first.named_parameters().values()} == {torch.float32}
    randomise(first)
    first.activate()
    assert not torch.allclose(unet_output(base.modules["unet"]), before[0])
    with first.disabled():
        assert torch.equal(unet_output(base.modules["unet"]), before[0])
    fresh = tiny_base()
    copy = build(fresh, components=ALL, **KINDS[kind])
    copy.load(first.state())
    assert torch.equal(unet_output(fresh.modules["unet"]), unet_output(base.modules["unet"]))
    copy.remove()
    assert torch.equal(unet_output(fresh.modules["unet"]), before[0])
    assert dict(fresh.modules["unet"].named_modules()).keys() == modules.keys()


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_gets_a_gradient(base: SimpleNamespace, kind: str) -> None:
    adapter = build(base, **KINDS[kind])
    randomise(adapter)
    unet_output(base.modules["unet"]).square().mean().backward()
    for name, parameter in adapter.named_parameters().items():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name


def test_different_kinds_side_by_side_are_as_alone(base: SimpleNamespace) -> None:
    modules = dict(base.modules["unet"].named_modules())
    bare = unet_output(base.modules["unet"]).detach()
    kinds = ("lora", "lokr", "dora")
    alone = {}
    for number, kind in enumerate(kinds):
        adapter = build(base, kind, **KINDS[kind])
        randomise(adapter, seed=number)
        alone[kind] = unet_output(base.modules["unet"]).detach()
        adapter.remove()
    adapters = {kind: build(base, kind, **KINDS[kind]) for kind in kinds}
    for number, kind in enumerate(kinds):
        randomise(adapters[kind], seed=number)
    for kind in ("lora", "lokr", "dora", "lora"):
        adapters[kind].activate()
        output = unet_output(base.modules["unet"])
        assert torch.equal(output, alone[kind])
        output.square().mean().backward()
        for other, adapter in adapters.items():
            assert all((parameter.grad is not None) == (other == kind) for parameter in parameters_of(adapter, "unet"))
            for parameter in parameters_of(adapter, "unet"):
                parameter.grad = None
    for kind in ("lokr", "dora", "lora"):
        adapters[kind].remove()
        adapters.pop(kind)
        if adapters:
            left = next(iter(adapters))
            adapters[left].activate()
            torch.testing.assert_close(unet_output(base.modules["unet"]), alone[left], rtol=0, atol=0)
    assert torch.equal(unet_output(base.modules["unet"]), bare)
    now = dict(base.modules["unet"].named_modules())
    assert now.keys() == modules.keys() and all(now[name] is modules[name] for name in now)


def test_lokr_splits_layers_as_asked(base: SimpleNamespace) -> None:
    def shapes(**network: Any) -> dict[str, tuple[int, ...]]:
        adapter = build(base, convolutions=True, type="lokr", **network)
        found = {
            name.rpartition(".")[2]: tuple(parameter.shape)
            for name, parameter in adapter.named_parameters().items()
            if name.startswith(f"unet.{CONV}.")
        }
        adapter.remove()
        return found

    # 8 x 8 channels, 3 x 3 kernel: 8 = 2 * 4 near the square root
    assert shapes(rank=1) == {"lokr_w1": (2, 2), "lokr_w2_a": (4, 1), "lokr_w2_b": (1, 4 * 9)}
    assert shapes(rank=2) == {"lokr_w1": (2, 2), "lokr_w2": (4, 4, 3, 3)}
    assert shapes(rank=1, factor=4) == {"lokr_w1": (4, 4), "lokr_w2": (2, 2, 3, 3)}
    assert shapes(rank=1, factor=4, decompose_both=True)["lokr_w1_a"] == (4, 1)


def test_tucker_gives_convolutions_a_core(base: SimpleNamespace) -> None:
    state = build(base, type="loha", rank=3, tucker=True).state()
    assert state[f"unet.{CONV}.hada_t1"].shape == (3, 3, 3, 3)
    assert state[f"unet.{CONV}.hada_w1_b"].shape == (3, 8)
    assert f"unet.{LINEAR}.hada_t1" not in state


def test_loha_starts_like_lycoris(base: SimpleNamespace) -> None:
    state = build(base, type="loha", rank=16).state()
    spread = {
        factor: torch.cat([values.flatten() for name, values in state.items() if name.endswith(factor)]).std().item()
        for factor in ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b")
    }
    expected = {"hada_w1_a": 0.1, "hada_w1_b": 1.0, "hada_w2_a": 0.0, "hada_w2_b": 1.0}
    assert spread == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("kind", ["lora", "dora", "loha", "lokr"])
@pytest.mark.parametrize("dropout", ["rank_dropout", "module_dropout"])
@torch.no_grad()
def test_dropouts_act_in_training_only_and_follow_global_draws(base: SimpleNamespace, kind: str, dropout: str) -> None:
    unet = base.modules["unet"]
    adapter = build(base, **KINDS[kind], **{dropout: 0.2})
    randomise(adapter)
    whole = unet_output(unet)
    adapter.remove()
    plain = build(base, **KINDS[kind])
    randomise(plain)
    assert torch.equal(unet_output(unet), whole)
    plain.remove()
    adapter = build(base, **KINDS[kind], **{dropout: 0.2})
    randomise(adapter)
    unet.train()
    outputs = []
    for step in (1, 1, 2):
        with global_draws(0, "dropout", step):
            outputs.append(unet_output(unet))
    unet.eval()
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.allclose(outputs[0], outputs[2])
    assert torch.equal(unet_output(unet), whole)


def layer_and_factors(base: SimpleNamespace, path: str, **network: Any) -> tuple[Any, torch.Tensor, torch.Tensor]:
    adapter = build(base, **network)
    randomise(adapter)
    state = adapter.state()
    layer = base.modules["unet"].get_submodule(path)
    return layer, state[f"unet.{path}.lora_A"], state[f"unet.{path}.lora_B"]


@pytest.mark.parametrize(("path", "shape"), [(LINEAR, (64, 5, 32)), (CONV, (64, 8, 4, 4))])
@torch.no_grad()
def test_rank_dropout_drops_ranks_of_images_and_scales_the_others(base: Any, path: str, shape: tuple[int, ...]) -> None:
    layer, down, up = layer_and_factors(base, path, rank=3, alpha=6, rank_dropout=0.25)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    bare = layer.get_base_layer()(x)
    layer.train()
    with global_draws(0, "dropout"):
        change = layer(x) - bare
    ranks = []  # what each rank adds alone, at the scale alpha / rank = 2
    for rank in range(3):
        weight = 2 * (up.flatten(1)[:, rank : rank + 1] @ down.flatten(1)[rank : rank + 1]).reshape(layer.weight.shape)
        ranks.append(applied(layer.get_base_layer(), x, weight))
    parts = torch.stack([rank.flatten(1) for rank in ranks], dim=2)  # image, place, rank
    kept = torch.linalg.lstsq(parts, change.flatten(1).unsqueeze(2)).solution.squeeze(2)  # image, rank
    nearest = (kept > 2 / 3).float() / 0.75  # 0 or 1 / (1 - p)
    torch.testing.assert_close(kept, nearest, atol=1e-3, rtol=0)
    share = (nearest == 0).float().mean().item()
    assert share == pytest.approx(0.25, abs=4 * math.sqrt(0.25 * 0.75 / nearest.numel()))
    assert len({tuple(row.tolist()) for row in nearest}) > 2  # images differ


def applied(layer: torch.nn.Module, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    if weight.dim() == 2:
        return x @ weight.T
    return torch.nn.functional.conv2d(x, weight, padding=layer.padding, stride=layer.stride)


@torch.no_grad()
def test_module_dropout_skips_whole_layers_and_scales_nothing(base: Any) -> None:
    layer, down, up = layer_and_factors(base, LINEAR, rank=2, alpha=1, module_dropout=0.3)
    x = torch.randn(2, 5, 32, generator=torch.Generator().manual_seed(0))
    bare, whole = layer.get_base_layer()(x), layer(x)
    torch.testing.assert_close(whole, bare + 0.5 * x @ (up @ down).T)
    layer.train()
    with global_draws(0, "dropout"):
        outputs = [layer(x) for _ in range(400)]
    skipped = [torch.equal(output, bare) for output in outputs]
    assert all(skip or torch.equal(output, whole) for skip, output in zip(skipped, outputs, strict=True))
    assert sum(skipped) / 400 == pytest.approx(0.3, abs=4 * math.sqrt(0.3 * 0.7 / 400))


@pytest.mark.parametrize("kind", KINDS)
def test_limit_norms_scales_each_update_down_to_the_limit(base: SimpleNamespace, kind: str) -> None:
    adapter = build(base, **KINDS[kind], max_norm=1.0)
    randomise(adapter)
    before, states = deltas(base), adapter.state()
    norms = {name: delta.norm().item() for name, delta in before.items()}
    limit = adapter.network.max_norm = sorted(norms.values())[len(norms) // 2]
    adapter.limit_norms()
    after = deltas(base)
    for name, delta in before.items():
        torch.testing.assert_close(after[name], delta * min(1.0, limit / norms[name]), rtol=1e-4, atol=1e-6)
    small = min(norms, key=lambda name: norms[name])
    for name, values in adapter.state().items():
        if name.startswith(f"unet.{small}."):
            assert torch.equal(values, states[name])  # below the limit, to the bit


@torch.no_grad()
def test_limit_norms_is_sd_scripts_rule(base: SimpleNamespace) -> None:
    """Up and down are each multiplied by sqrt(limit / norm) with the norm of alpha / rank * up @ down."""
    adapter = build(base, rank=4, alpha=3, max_norm=0.7)
    randomise(adapter)
    before = adapter.state()
    adapter.limit_norms()
    after = adapter.state()
    for name, down in before.items():
        if name.endswith("lora_A"):
            up = before[name[:-1] + "B"]
            norm = (0.75 * up.flatten(1) @ down.flatten(1)).norm()
            ratio = min(norm.item(), 0.7) / norm.item()
            torch.testing.assert_close(after[name], down * ratio**0.5)
            torch.testing.assert_close(after[name[:-1] + "B"], up * ratio**0.5)
    fresh = build(base, "v2", max_norm=0.7)
    start = fresh.state()
    fresh.limit_norms()  # of norm 0
    assert same(fresh.state(), start)


def deltas(base: SimpleNamespace) -> dict[str, torch.Tensor]:
    """The update of every adapted layer, by PEFT."""
    return {
        path: module.get_delta_weight(module.active_adapters[0]).detach()
        for path, module in base.modules["unet"].named_modules()
        if hasattr(module, "get_delta_weight")
    }
