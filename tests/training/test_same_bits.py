"""What a step does without, to be faster, changes no bit of what it learns."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from bitsandbytes.optim import optimizer as bitsandbytes_optimizer
from diffusers.training_utils import EMAModel
from torch import Tensor, nn

from lorasweep.data.providers import with_images
from lorasweep.families.device import open_accelerator
from lorasweep.families.load import load_base
from lorasweep.families.sdxl.model import SDXL
from lorasweep.optim.average import WeightsAverage
from lorasweep.optim.optimizer import build_optimizer
from lorasweep.schema import Config, OptimizerConfig
from lorasweep.training.loop import train_step
from lorasweep.training.start.setup import read_data
from lorasweep.training.version import Version


@pytest.fixture(scope="module")
def half_base(toy_base: SDXL) -> SDXL:
    """The toy base as it is loaded for a training in bf16."""
    return load_base(replace(Config().base_model, resolution=64), "cpu", torch.bfloat16)


@pytest.mark.parametrize("changes", [{"convolutions": True}, {"type": "loha"}, {"type": "lokr"}], ids=str)
def test_inputs_that_are_not_cast_twice(changes: dict[str, object], short_config: Config, half_base: SDXL) -> None:
    short_config.optimizer.text_encoder_lr, short_config.training.mixed_precision = 0.0, "bf16"
    short_config.network = replace(short_config.network, feed_forward=False, **changes)  # type: ignore[arg-type]
    short_config.training.gradient_checkpointing = True
    config = with_images(short_config)
    data, text = read_data(config, half_base)

    def trained(cast: bool) -> tuple[list[float], dict[str, Tensor]]:
        version = Version(config, 6, half_base, data, text, open_accelerator(config.training))
        for layer in half_base.unet.modules():
            if cast and hasattr(layer, "cast_input_dtype_enabled"):
                layer.cast_input_dtype_enabled = True
        reports = [train_step(version) for _ in range(2)]
        state = version.adapter.state()
        version.remove()
        return [report.grad_norm for report in reports] + [report.loss for report in reports], state

    (figures, state), (expected, before) = trained(False), trained(True)
    assert figures == expected
    assert all(torch.equal(state[name], value) for name, value in before.items())


@pytest.mark.parametrize("network", [{"dora": True}, {"dropout": 0.1}, {"rank_dropout": 0.1}], ids=str)
def test_where_it_would_change_bits_the_cast_stays(
    network: dict[str, object], short_config: Config, toy_base: SDXL
) -> None:
    config = with_images(short_config)
    config.optimizer.text_encoder_lr = 0.0
    config.network = replace(config.network, feed_forward=False, attention=False, **network)  # type: ignore[arg-type]
    data, text = read_data(config, toy_base)
    version = Version(config, 6, toy_base, data, text, open_accelerator(config.training))
    layers = [layer for layer in toy_base.unet.modules() if hasattr(layer, "cast_input_dtype_enabled")]
    assert layers and all(layer.cast_input_dtype_enabled for layer in layers)
    with version.training_mode():
        assert all(module.training == config.network.draws for module in toy_base.unet.modules())
    assert not any(module.training for module in toy_base.unet.modules())
    version.remove()


def test_the_average_is_diffusers_own() -> None:
    draws = torch.Generator().manual_seed(1)
    parameters = {str(size): nn.Parameter(torch.randn(size, generator=draws)) for size in (1, 7, 64, 1001)}
    average, theirs = WeightsAverage(parameters, decay=0.9), EMAModel(list(parameters.values()), decay=0.9)
    for _ in range(20):
        with torch.no_grad():
            for parameter in parameters.values():
                parameter.add_(torch.randn(parameter.shape, generator=draws))
        average.step()
        theirs.step(list(parameters.values()))
    assert all(map(torch.equal, average.state().values(), theirs.shadow_params))


def test_optimizers_in_8_bit_do_not_wait_for_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[object] = []
    monkeypatch.setattr(torch.cuda, "synchronize", waits.append)
    build_optimizer(OptimizerConfig(name="adamw8bit"), {"unet.lora_A": nn.Parameter(torch.zeros(2, 2))}, {"unet": 1e-4})
    bitsandbytes_optimizer.sync_gpu(SimpleNamespace(device=torch.device("cuda")))
    assert not waits
