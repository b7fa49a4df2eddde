"""All weights of a part: trained in place, given back as they were, and nothing else beside them."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import torch

from lorasweep.adapters.adapter import build_adapter
from lorasweep.errors import UserError
from lorasweep.schema import NetworkConfig

from .parts import parameters_of


def _helpers() -> ModuleType:
    spec = importlib.util.spec_from_file_location("tiny_sdxl", Path(__file__).with_name("tiny_sdxl.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


tiny = _helpers()
FULL = NetworkConfig(type="full")


def full(base, components=("unet",)):
    return build_adapter(base, FULL, components=components, seed=0, name="x v1")


def test_the_chosen_parts_are_trained_whole_and_no_others() -> None:
    base = tiny.tiny_base()
    adapter = full(base, ("unet", "text_encoder_2"))
    assert adapter.components == ("unet", "text_encoder_2")
    assert len(parameters_of(adapter, "unet")) == len(list(base.modules["unet"].parameters()))
    assert parameters_of(adapter, "text_encoder") == []
    trained = {name for name, module in base.modules.items() if any(p.requires_grad for p in module.parameters())}
    assert trained == {"unet", "text_encoder_2"}
    assert set(adapter.named_parameters()) == set(adapter.state())


def test_the_base_shows_through_while_disabled_and_comes_back_when_removed() -> None:
    base = tiny.tiny_base()
    unet = base.modules["unet"]
    weights, output = {name: value.clone() for name, value in unet.state_dict().items()}, tiny.unet_output(unet)

    def as_before() -> bool:  # the weights to the bit; with gradients other kernels run, and last digits differ
        same = all(torch.equal(value, weights[name]) for name, value in unet.state_dict().items())
        return same and torch.allclose(tiny.unet_output(unet), output, atol=1e-5)

    adapter = full(base)
    tiny.randomise(adapter, scale=0.05)
    trained = adapter.state()
    assert not as_before()
    with adapter.disabled():
        assert as_before()
    assert all(torch.equal(value, trained[name]) for name, value in adapter.state().items())
    adapter.remove()
    assert as_before()
    assert not any(parameter.requires_grad for parameter in unet.parameters())
    full(base).remove()  # and it may be trained again


def test_no_gradient_stays_on_the_base() -> None:
    base = tiny.tiny_base()
    adapter = full(base)
    tiny.unet_output(base.modules["unet"]).sum().backward()
    assert any(weight.grad is not None for weight in base.modules["unet"].parameters())
    adapter.remove()
    assert all(weight.grad is None for weight in base.modules["unet"].parameters())


def test_a_state_comes_back_bit_for_bit_or_not_at_all() -> None:
    base = tiny.tiny_base()
    adapter = full(base)
    start = adapter.state()
    tiny.randomise(adapter)
    values = adapter.state()
    adapter.load(start)
    assert all(torch.equal(adapter.state()[name], start[name]) for name in start)
    broken = dict(values)
    broken.pop("unet.conv_in.weight")
    with pytest.raises(UserError, match=r"no values for unet\.conv_in\.weight"):
        adapter.load(broken)
    assert all(torch.equal(adapter.state()[name], start[name]) for name in start), "all or nothing"


def test_a_base_takes_one_whole_training_and_no_lora_beside_it() -> None:
    base = tiny.tiny_base()
    adapter = full(base)
    with pytest.raises(UserError, match=r"x v1 \(unet\) is on it already"):
        full(base)
    adapter.remove()
    build_adapter(base, NetworkConfig(rank=2, alpha=1), components=("unet",), seed=0, name="y v1")
    with pytest.raises(UserError, match="an adapter is on it already"):
        full(base)


def test_half_precision_is_refused() -> None:
    base = tiny.tiny_base()
    base.modules["unet"].half()
    with pytest.raises(ValueError, match=r"torch\.float16"):
        full(base)
