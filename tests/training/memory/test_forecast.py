"""What is said of memory before the first step: the forecast, and which settings save how much of it."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from lorasweep.families.sdxl.model import SDXL
from lorasweep.schema import Config
from lorasweep.training.memory.estimate import estimate
from lorasweep.training.memory.forecast import best_savings, forecast, savings


@pytest.fixture
def unet_only(short_config: Config) -> Config:
    optimizer = replace(short_config.optimizer, name="adamw", text_encoder_lr=0.0)
    training = replace(short_config.training, batch_size=4)
    return replace(short_config, optimizer=optimizer, training=training)


def test_packing_is_advised_where_it_is_possible(unet_only: Config, toy_base: SDXL) -> None:
    def advised(config: Config) -> set[str]:
        words = " ".join(saving.explain() for saving in savings(config, toy_base))
        return set(re.findall(r"base_model.quantization=(\w+)", words))

    assert advised(unet_only) == {"int8", "nf4"}
    assert advised(replace(unet_only, network=replace(unet_only.network, type="lokr"))) == {"int8"}
    assert not advised(replace(unet_only, network=replace(unet_only.network, dora=True)))
    assert not advised(replace(unet_only, network=replace(unet_only.network, type="full")))


def test_savings_are_sorted_and_checkpointing_saves_most_of_the_activations(unet_only: Config, toy_base: SDXL) -> None:
    found = savings(unet_only, toy_base)
    assert [saving.bytes for saving in found] == sorted((saving.bytes for saving in found), reverse=True)
    by_settings, now = {saving.overrides: saving.bytes for saving in found}, estimate(unet_only, toy_base)
    assert by_settings["training.gradient_checkpointing=true",] > 0.5 * now.activations
    halved = by_settings["training.batch_size=2", "training.gradient_accumulation=2"]
    assert halved == pytest.approx(now.activations / 2, rel=0.02)  # copies of weights stay
    assert best_savings(unet_only, toy_base) == found[:3]


def test_the_forecast_says_what_to_do_where_it_will_not_fit(unet_only: Config, toy_base: SDXL) -> None:
    assert "may not fit" not in forecast(unet_only, toy_base, 2**40)
    tight = forecast(unet_only, toy_base, 2**20)
    assert "it may not fit" in tight and "training.gradient_checkpointing=true (saves about" in tight


@pytest.mark.parametrize("parts", [(1e-3, 5e-4), (0.0, 5e-4)], ids=["all", "text only"])
@pytest.mark.parametrize("name", ["adamw", "adamw8bit", "lion", "adafactor", "adamw_schedule_free"])
def test_every_optimizer_can_be_foretold(
    name: str, parts: tuple[float, float], short_config: Config, toy_base: SDXL
) -> None:
    eps = None if name in ("lion", "adafactor") else 1e-8
    optimizer = replace(short_config.optimizer, name=name, eps=eps, lr=parts[0], text_encoder_lr=parts[1])
    for config in (optimizer, replace(optimizer, lora_plus_ratio=16.0)):
        line = forecast(replace(short_config, optimizer=config), toy_base, 2**20)
        assert "could not" not in line and "saves about" in line
