"""Which modules are adapted, on SDXL at full size: the counts are those that sd-scripts prints and saves."""

import re

import pytest

from lorasweep.adapters.targets import target_pattern
from lorasweep.families.sdxl.family import FAMILY
from lorasweep.schema import NetworkConfig

from .tiny_sdxl import full_size_base


@pytest.fixture(scope="module")
def names() -> dict[str, list[str]]:
    return {part: [n for n, _ in module.named_modules()] for part, module in full_size_base().modules.items()}


def count(names: dict[str, list[str]], component: str, **layers: bool) -> int:
    chosen = {"attention": False, "feed_forward": False, "projections": False, "convolutions": False} | layers
    part = next(part for part in FAMILY.parts if part.name == component)
    pattern = re.compile(target_pattern(part, NetworkConfig(**chosen)))
    return sum(pattern.fullmatch(name) is not None for name in names[component])


def test_unet_layers(names: dict[str, list[str]]) -> None:
    # 70 transformer blocks in 11 transformers; 17 ResNet blocks, 11 of them with a shortcut; 2 + 2 resamplers
    assert count(names, "unet", attention=True) == 70 * 8
    assert count(names, "unet", feed_forward=True) == 70 * 2
    assert count(names, "unet", projections=True) == 11 * 2
    assert count(names, "unet", convolutions=True) == 17 * 3 + 11 + 4


def test_kohyas_sets(names: dict[str, list[str]]) -> None:
    lora = {"attention": True, "feed_forward": True, "projections": True}
    assert count(names, "unet", **lora) == 722
    assert count(names, "unet", **lora, convolutions=True) == 788
    assert count(names, "text_encoder") == 72
    assert count(names, "text_encoder_2") == 192


def test_nothing_chosen_matches_nothing(names: dict[str, list[str]]) -> None:
    assert count(names, "unet") == 0


def test_stable_names_do_not_follow_the_nesting_of_transformers() -> None:
    path = "encoder.layers.0.mlp.fc1"
    expected = "text_encoder.text_model.encoder.layers.0.mlp.fc1"
    assert FAMILY.layer_name("text_encoder", path) == expected
    assert FAMILY.layer_name("text_encoder", f"text_model.{path}") == expected
    assert FAMILY.layer_name("unet", "conv_in") == "unet.conv_in"
