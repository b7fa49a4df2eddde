"""What text encoders keep for the backward pass, against a real forward; the UNet's is in test_memory.py."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from lorasweep.adapters.adapter import build_adapter
from lorasweep.families.load import load_base
from lorasweep.families.sdxl.model import SDXL
from lorasweep.schema import Config
from lorasweep.training.memory import estimate as memory


@pytest.fixture
def training_text(short_config: Config) -> Config:
    optimizer = replace(short_config.optimizer, name="adamw", text_encoder_lr=1e-4)
    return replace(short_config, optimizer=optimizer, training=replace(short_config.training, batch_size=3))


def of_text(config: Config, base: SDXL) -> int:
    """Return the part of the forecast that is there because the text encoders are trained."""
    frozen = replace(config, optimizer=replace(config.optimizer, text_encoder_lr=0.0))
    return memory.estimate(config, base).activations - memory.estimate(frozen, base).activations


@pytest.mark.parametrize("max_tokens", [75, 225])
def test_the_text_encoders_activations_are_those_that_autograd_keeps(max_tokens: int, training_text: Config) -> None:
    base = load_base(training_text.base_model, torch.device("cpu"), torch.bfloat16)
    config = replace(training_text, dataset=replace(training_text.dataset, max_tokens=max_tokens))
    build_adapter(base, config.network, components=("text_encoder", "text_encoder_2"), seed=0, name="really")
    own = {parameter.untyped_storage().data_ptr() for part in base.text_encoders for parameter in part.parameters()}
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        if tensor.untyped_storage().data_ptr() not in own:
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor), torch.autocast("cpu", torch.bfloat16):
        text = base.encode_text(["a bear"] * config.training.batch_size, max_tokens)
    found = sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
    assert text.tensors["hidden"].shape[:2] == (3, max_tokens + 2)
    assert found == pytest.approx(of_text(config, base), rel=0.02)


def test_gradient_checkpointing_spares_the_text_encoders_too(training_text: Config, toy_base: SDXL) -> None:
    frugal = replace(training_text, training=replace(training_text.training, gradient_checkpointing=True))
    assert 0 < of_text(frugal, toy_base) < 0.8 * of_text(training_text, toy_base)
