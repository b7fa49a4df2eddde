"""LoRA on a base: what it starts as, what it adds, and that it leaves without a trace."""

import math
from types import SimpleNamespace

import pytest
import torch
from peft.tuners.lora import LoraLayer

from lorasweep.adapters.adapter import build_adapter
from lorasweep.adapters.lora import LoraAdapter
from lorasweep.errors import UserError
from lorasweep.randomness import global_draws
from lorasweep.schema import NetworkConfig

from .parts import parameters_of
from .tiny_sdxl import randomise, text_output, tiny_base, unet_output

ALL = ("unet", "text_encoder", "text_encoder_2")
PROJ_IN = "down_blocks.1.attentions.0.proj_in"


@pytest.fixture
def base() -> SimpleNamespace:
    return tiny_base()


def lora(base: SimpleNamespace, name: str = "v1", seed: int = 0, components=("unet",), **network) -> LoraAdapter:
    settings = NetworkConfig(**{"rank": 2, "alpha": 1} | network)
    return LoraAdapter(base, settings, components=components, seed=seed, name=name)


def bits(base: SimpleNamespace) -> dict[str, torch.Tensor]:
    return {
        f"{part}.{name}": tensor.clone()
        for part, module in base.modules.items()
        for name, tensor in module.state_dict().items()
    }


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_a_new_adapter_changes_nothing(base: SimpleNamespace) -> None:
    with torch.no_grad():
        before = unet_output(base.modules["unet"]), text_output(base.modules["text_encoder"])
        lora(base, components=ALL)
        assert torch.equal(unet_output(base.modules["unet"]), before[0])
        assert torch.equal(text_output(base.modules["text_encoder"]), before[1])


def test_only_the_adapter_is_trained(base: SimpleNamespace) -> None:
    for module in base.modules.values():
        module.requires_grad_(True)
    adapter = lora(base, components=ALL)
    trained = {id(parameter) for parameter in adapter.named_parameters().values()}
    for module in base.modules.values():
        for parameter in module.parameters():
            assert parameter.requires_grad == (id(parameter) in trained)
    unet_output(base.modules["unet"]).square().mean().backward()
    gradients = [p.grad for name, p in adapter.named_parameters().items() if name.endswith("B") and "unet" in name]
    assert all(gradient is not None and gradient.abs().max() > 0 for gradient in gradients)
    assert sum(len(parameters_of(adapter, component)) for component in ALL) == len(trained)


def test_initial_weights_are_kaiming_uniform_and_zero(base: SimpleNamespace) -> None:
    named = lora(base, rank=4, convolutions=True).named_parameters()
    for name, parameter in named.items():
        if name.endswith(".lora_B"):
            assert not parameter.any()
        else:
            bound = 1 / math.sqrt(parameter[0].numel())  # of kaiming_uniform(a=sqrt(5)): 1 / sqrt(fan_in)
            assert 0.5 * bound < parameter.abs().max() <= bound


def test_the_start_depends_on_seed_and_rank_alone(base: SimpleNamespace) -> None:
    state = torch.random.get_rng_state()
    alone = lora(base, seed=5).state()
    assert torch.equal(torch.random.get_rng_state(), state)  # the global generator was not touched
    torch.rand(3)
    beside = lora(base, seed=5, name="v2", components=ALL, convolutions=True).state()
    assert all(torch.equal(alone[name], beside[name]) for name in alone)
    other = lora(base, seed=6, name="v3").state()
    assert not any(torch.equal(alone[name], other[name]) for name in alone if name.endswith("lora_A"))
    drawn = [tuple(tensor.flatten()[:4].tolist()) for name, tensor in alone.items() if name.endswith("lora_A")]
    assert len(set(drawn)) == len(drawn)  # each module has draws of its own


def test_the_update_is_scaled_by_alpha_over_rank(base: SimpleNamespace) -> None:
    layer = base.modules["unet"].get_submodule(PROJ_IN)
    adapter = lora(base, rank=4, alpha=3)
    randomise(adapter)
    state = adapter.state()
    down, up = state[f"unet.{PROJ_IN}.lora_A"], state[f"unet.{PROJ_IN}.lora_B"]
    x = torch.randn(3, 8, generator=torch.Generator().manual_seed(0))
    expected = x @ (layer.weight + 0.75 * up @ down).T + layer.bias
    torch.testing.assert_close(base.modules["unet"].get_submodule(PROJ_IN)(x), expected)


def test_adapters_side_by_side_are_as_alone(base: SimpleNamespace) -> None:
    outputs = {}
    for name, convolutions in (("v1", False), ("v2", True)):
        alone = lora(base, name=name, convolutions=convolutions)
        randomise(alone, seed=ord(name[1]))
        outputs[name] = unet_output(base.modules["unet"]).detach()
        alone.remove()
    first, second = lora(base, name="v1"), lora(base, name="v2", convolutions=True)
    randomise(first, seed=ord("1"))
    randomise(second, seed=ord("2"))
    assert torch.equal(unet_output(base.modules["unet"]), outputs["v2"])  # the newest is active
    for name, adapter, other in (("v1", first, second), ("v2", second, first), ("v1", first, second)):
        adapter.activate()
        output = unet_output(base.modules["unet"])
        assert torch.equal(output, outputs[name])
        output.square().mean().backward()
        assert all(parameter.grad is not None for parameter in parameters_of(adapter, "unet"))
        assert all(parameter.grad is None for parameter in parameters_of(other, "unet"))
        for parameter in parameters_of(adapter, "unet"):
            parameter.grad = None


def test_the_newest_adapter_alone_is_active_on_all_components(base: SimpleNamespace) -> None:
    with torch.no_grad():
        bare = text_output(base.modules["text_encoder"])
        first = lora(base, name="v1", components=ALL)
        randomise(first)
        assert not torch.allclose(text_output(base.modules["text_encoder"]), bare)
        lora(base, name="v2", components=("unet",))
        assert torch.equal(text_output(base.modules["text_encoder"]), bare)


def test_disabled_is_the_bare_base_and_ends(base: SimpleNamespace) -> None:
    bare = unet_output(base.modules["unet"])
    adapter = lora(base)
    randomise(adapter)
    adapted = unet_output(base.modules["unet"])
    assert not torch.allclose(adapted, bare)
    with adapter.disabled():
        with adapter.disabled():
            assert torch.equal(unet_output(base.modules["unet"]), bare)
        assert torch.equal(unet_output(base.modules["unet"]), bare)
    assert torch.equal(unet_output(base.modules["unet"]), adapted)
    assert all(parameter.requires_grad for parameter in parameters_of(adapter, "unet"))


def test_removing_leaves_the_base_as_it_was(base: SimpleNamespace) -> None:
    modules = {part: dict(module.named_modules()) for part, module in base.modules.items()}
    attributes = {part: set(vars(module)) for part, module in base.modules.items()}
    before = bits(base)
    first, second = lora(base, name="v1", components=ALL), lora(base, name="v2", convolutions=True)
    randomise(first)
    randomise(second, seed=8)
    adapted = unet_output(base.modules["unet"])
    first.remove()  # it was not the active one
    assert torch.equal(unet_output(base.modules["unet"]), adapted)
    second.remove()
    assert same(bits(base), before)
    for part, module in base.modules.items():
        now = dict(module.named_modules())
        assert now.keys() == modules[part].keys()
        assert all(now[name] is modules[part][name] for name in now)
        assert set(vars(module)) == attributes[part]


def test_removing_the_active_adapter_activates_no_other(base: SimpleNamespace) -> None:
    bare = unet_output(base.modules["unet"])
    first, second = lora(base, name="v1"), lora(base, name="v2")
    randomise(first)
    second.remove()
    assert torch.equal(unet_output(base.modules["unet"]), bare)
    first.activate()
    assert not torch.allclose(unet_output(base.modules["unet"]), bare)


def test_state_goes_out_and_comes_back(base: SimpleNamespace) -> None:
    first = lora(base, name="v1", components=ALL, convolutions=True)
    randomise(first)
    state = first.state()
    assert "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q.lora_A" in state
    assert "text_encoder.text_model.encoder.layers.1.mlp.fc2.lora_B" in state
    assert "text_encoder_2.text_model.encoder.layers.2.self_attn.q_proj.lora_A" in state
    second = lora(base, name="v2", components=ALL, convolutions=True)
    second.load(state)
    assert same(second.state(), state)
    with torch.no_grad():
        parameters_of(first, "unet")[0].add_(1)
    assert not same(first.state(), state)  # the state is a copy


def test_loading_is_strict_and_all_or_nothing(base: SimpleNamespace) -> None:
    adapter = lora(base)
    before = adapter.state()
    name = f"unet.{PROJ_IN}.lora_A"
    missing = {key: tensor + 1 for key, tensor in before.items() if key != name}
    for state, complaint in (
        (missing, f"no values for {name}"),
        (before | {"unet.conv_in.lora_A": torch.zeros(1)}, "values for unet.conv_in.lora_A"),
        (before | {name: torch.zeros(3, 8)}, r"\(3, 8\), expected \(2, 8\)"),
    ):
        with pytest.raises(UserError, match=complaint):
            adapter.load(state)
        assert same(adapter.state(), before)


def test_dropout_acts_in_training_mode_only_and_follows_global_draws(base: SimpleNamespace) -> None:
    unet = base.modules["unet"]
    adapter = lora(base, dropout=0.5)
    randomise(adapter)
    assert torch.equal(unet_output(unet), unet_output(unet))
    unet.train()
    outputs = []
    for step in (1, 1, 2):
        with global_draws(0, "dropout", step):
            outputs.append(unet_output(unet))
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.allclose(outputs[0], outputs[2])


def test_parameters_are_fp32_on_a_bf16_base(base: SimpleNamespace) -> None:
    base.modules["unet"].to(torch.bfloat16)
    for adapter in (lora(base, name="v1"), lora(base, name="v2")):
        assert {parameter.dtype for parameter in parameters_of(adapter, "unet")} == {torch.float32}
    layer = base.modules["unet"].get_submodule(PROJ_IN)
    with torch.autocast("cpu", torch.bfloat16):  # as in every forward of a training
        assert layer(torch.zeros(1, 8, dtype=torch.bfloat16)).dtype == torch.bfloat16


def test_what_cannot_be_adapted_is_refused(base: SimpleNamespace) -> None:
    none = {"attention": False, "feed_forward": False, "projections": False}
    with pytest.raises(UserError, match=r"network\.attention=true"):
        lora(base, **none)
    assert not any(isinstance(module, LoraLayer) for module in base.modules["unet"].modules())
    with pytest.raises(ValueError, match="vae"):
        lora(base, components=("vae",))
    lora(base, name="FuzzyBear v6.1")
    with pytest.raises(ValueError, match="already"):
        lora(base, name="FuzzyBear v6.1")
    lora(base, name="FuzzyBear v6_1")


def test_build_adapter_chooses_by_type(base: SimpleNamespace) -> None:
    adapter = build_adapter(base, NetworkConfig(rank=2), components=["text_encoder", "unet"], seed=0, name="v1")
    assert isinstance(adapter, LoraAdapter)
    assert adapter.components == ("unet", "text_encoder")
    assert parameters_of(adapter, "text_encoder_2") == []
