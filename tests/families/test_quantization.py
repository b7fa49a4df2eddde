"""A packed UNet: as small as computed, close to the whole one, trained on, measured against, and exported as any."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import bitsandbytes
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import linear

from lorasweep.adapters.adapter import build_adapter
from lorasweep.checks import check
from lorasweep.families.base import ImageFacts
from lorasweep.families.load import load_base
from lorasweep.families.quantization import Int8Linear, NF4Linear, packed_bytes, quantizable
from lorasweep.families.sdxl.model import SDXL
from lorasweep.families.sdxl.parts import PARTS
from lorasweep.schema import BaseModelConfig, Config, NetworkConfig

from ..adapters.parts import parameters_of
from ..training_on import run

KINDS = ("int8", "nf4")


def load(kind: str | None, dtype: torch.dtype = torch.float32) -> SDXL:
    return load_base(BaseModelConfig(resolution=64, quantization=kind), "cpu", dtype)


FACTS = ImageFacts((64, 64), (0, 0), (64, 64))


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def packed(kind: str) -> SDXL:
    return load(kind)


def predicted(base: SDXL) -> Tensor:
    draws = torch.Generator().manual_seed(0)
    noisy = torch.randn(2, 4, 16, 16, generator=draws)
    text = base.encode_text(["red skin", "wizard hat"], 75)
    return base.predict(noisy, torch.tensor([300, 700]), base.with_facts(text, [FACTS] * 2))


def away_by(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


def unpacked(layer: nn.Module) -> Tensor:
    if isinstance(layer, Int8Linear):
        return layer.weight.float() * layer.scale
    assert isinstance(layer, NF4Linear)
    return bitsandbytes.functional.dequantize_4bit(layer.weight.data, layer.weight.quant_state)


def size(layer: nn.Linear) -> int:
    if isinstance(layer, Int8Linear):
        return layer.weight.nbytes + layer.scale.nbytes
    state = layer.weight.quant_state
    return layer.weight.nbytes + state.absmax.nbytes + state.state2.absmax.nbytes


def test_the_predictions_stay_near_the_whole_base(kind: str, packed: SDXL, toy_base: SDXL) -> None:
    with torch.no_grad():
        error = away_by(predicted(packed), predicted(toy_base))
    lowest, highest = {"int8": (5e-4, 4e-3), "nf4": (1e-2, 5e-2)}[kind]  # 0.0015 and 0.028 measured
    assert lowest < error < highest


def test_the_attention_blocks_are_as_small_as_computed_and_the_rest_is_whole(
    kind: str, packed: SDXL, toy_base: SDXL
) -> None:
    layers, whole = quantizable(packed.unet, PARTS[0]), quantizable(toy_base.unet, PARTS[0])
    assert layers.keys() == whole.keys() and all("attentions" in name for name in layers)
    for name, layer in layers.items():
        assert type(layer) is (Int8Linear if kind == "int8" else NF4Linear)
        assert size(layer) == packed_bytes(whole[name], kind)
    rest = {name: weight for name, weight in toy_base.unet.named_parameters() if name.rpartition(".")[0] not in layers}
    own = dict(packed.unet.named_parameters())
    assert rest and all(torch.equal(weight, own[name]) for name, weight in rest.items())


def test_int8_rounds_to_the_nearest_of_255_levels_of_each_output(toy_base: SDXL) -> None:
    layer = deepcopy(
        quantizable(toy_base.unet, PARTS[0])["mid_block.attentions.0.proj_in"]
    )  # the bias is taken over as it is
    small = Int8Linear(layer)
    assert small.weight.abs().amax(dim=1).eq(127).all()
    assert ((unpacked(small) - layer.weight).abs() <= small.scale / 2 * 1.001).all()
    assert small.to(torch.bfloat16).scale.dtype == torch.float32
    nothing = nn.Linear(4, 2, bias=False).requires_grad_(False)
    nothing.weight.zero_()
    assert torch.equal(Int8Linear(nothing)(torch.ones(1, 4)), torch.zeros(1, 2)), "no division by zero"


@pytest.mark.parametrize("make", [Int8Linear, NF4Linear])
def test_a_packed_layer_is_a_linear_layer_with_the_rounded_weight(make: Callable[[nn.Linear], nn.Module]) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layer, x = nn.Linear(80, 48).requires_grad_(False), torch.randn(3, 5, 80, requires_grad=True)
    small, weights = make(layer), torch.randn(3, 5, 48)
    (small(x) * weights).sum().backward()
    found, x.grad = x.grad, None
    expected = linear(x, unpacked(small), layer.bias)
    (expected * weights).sum().backward()
    torch.testing.assert_close(small(x), expected)
    torch.testing.assert_close(found, x.grad)
    with torch.no_grad():  # bitsandbytes repacks for inference on some CPUs
        torch.testing.assert_close(small.eval()(x.detach()), expected)
    with torch.autocast("cpu", torch.bfloat16):
        assert small(x).dtype == layer(x).dtype == torch.bfloat16


@pytest.mark.parametrize(
    "settings",
    [
        {"convolutions": True},
        {"rank_dropout": 0.1, "module_dropout": 0.1, "dropout": 0.1, "max_norm": 1.0},
        {"type": "loha"},
        {"type": "lokr", "factor": 4},
    ],
    ids=str,
)
def test_every_adapter_fits_learns_and_leaves(
    settings: dict[str, object], kind: str, packed: SDXL, toy_base: SDXL, short_config: Config
) -> None:
    network = NetworkConfig(rank=4, alpha=4, **settings)  # type: ignore[arg-type]
    if kind == "nf4" and network.type != "lora":
        short_config.base_model.quantization, short_config.network = kind, network
        assert any("set base_model.quantization=int8" in problem for problem in check(short_config))
        return
    with torch.no_grad():
        before = predicted(packed)
    states = []
    for base in (packed, toy_base):
        adapter = build_adapter(base, network, components=("unet",), seed=0, name="packed")
        if base is packed:
            with torch.no_grad():
                assert torch.equal(predicted(base), before), "a new adapter changes nothing"
            predicted(base).square().mean().backward()
            gradients = [p.grad for p in parameters_of(adapter, "unet")]
            assert any(g is not None and g.abs().sum() > 0 for g in gradients)
            assert all(g is None or g.isfinite().all() for g in gradients)
        states.append(adapter.state())
        adapter.remove()
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0]), "the same start as without packing"
    with torch.no_grad():
        assert torch.equal(predicted(packed), before)
    assert all(type(layer) in (Int8Linear, NF4Linear) for layer in quantizable(packed.unet, PARTS[0]).values())


def test_what_is_cached_is_shared_and_the_files_are_the_same(packed: SDXL, toy_base: SDXL) -> None:
    assert (packed.sha256, packed.digests) == (toy_base.sha256, toy_base.digests)
    found, expected = packed.encode_text(["red skin"], 75), toy_base.encode_text(["red skin"], 75)
    assert torch.equal(found.tensors["hidden"], expected.tensors["hidden"]), "the text encoders are not packed"


def run_of(config: Config, base: SDXL, kind: str | None, steps: int) -> tuple[Any, dict[str, Any]]:
    """Train on `base`; return the record, and shape and precision of every tensor of the weights file."""
    config = replace(
        config,
        base_model=replace(config.base_model, quantization=kind),
        optimizer=replace(config.optimizer, text_encoder_lr=0.0),
        training=replace(config.training, max_steps=steps),
    )
    run(config, base=base)
    folder = max(Path(config.output_root).glob("fuzzybear/v*"))
    weights = load_file(max(folder.glob("*-*.safetensors")))
    record = json.loads((folder / "record.json").read_text())
    return record, {name: (tensor.shape, tensor.dtype) for name, tensor in weights.items()}


def test_a_run_on_a_packed_base_learns(kind: str, packed: SDXL, short_config: Config) -> None:
    record, _ = run_of(short_config, packed, kind, 12)
    assert record["epochs"][-1]["metrics"]["val/loss"] < record["metrics"]["base"]["val/loss"]


def test_the_yardstick_is_the_packed_base_and_the_files_are_as_ever(short_config: Config, toy_base: SDXL) -> None:
    found, tensors = run_of(short_config, load("nf4"), "nf4", 1)
    expected, whole_tensors = run_of(short_config, toy_base, None, 1)
    assert tensors == whole_tensors
    assert found["base"] == expected["base"]
    losses = [record["metrics"]["base"]["val/loss"] for record in (found, expected)]
    assert losses[0] != losses[1] and losses[0] == pytest.approx(losses[1], rel=0.02)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"type": "full"}, "with network.type=full: it needs the base's own weights"),
        ({"dora": True}, "with network.dora=true: it needs the base's own weights"),
    ],
    ids=str,
)
def test_what_needs_the_weights_themselves_is_refused(
    change: dict[str, object], words: str, short_config: Config
) -> None:
    short_config.base_model.quantization = "nf4"
    assert not any("quantization" in problem for problem in check(short_config))
    network = replace(short_config.network, **change)  # type: ignore[arg-type]
    assert any(words in problem for problem in check(replace(short_config, network=network)))
