"""Settings that are made from a file's layers give every layer its size again."""

import random
import re

import pytest

from lorasweep.adapters.ranks import layer_rank
from lorasweep.adapters.targets import target_pattern
from lorasweep.export.layer_sizes import Size, rank_settings
from lorasweep.families.sdxl.family import FAMILY
from lorasweep.schema import NetworkConfig

from ..adapters.tiny_sdxl import full_size_base

USUAL, CONV, OTHER, THIRD = Size(16, 8.0), Size(4, 1.0), Size(32, 16.0), Size(8, 0.5)


@pytest.fixture(scope="module")
def layers() -> list[str]:
    """The 1,052 + 264 layers of SDXL that can have an adapter."""
    network, found = NetworkConfig(convolutions=True), []
    modules = full_size_base().modules
    for part in FAMILY.parts:
        pattern, module = re.compile(target_pattern(part, network)), modules[part.name]
        found += [FAMILY.layer_name(part.name, path) for path, _ in module.named_modules() if pattern.fullmatch(path)]
    return found


def given(sizes: dict[str, Size], common: Size | None = None) -> NetworkConfig:
    settings = rank_settings(sizes, FAMILY.naming, common)
    assert settings is not None
    return NetworkConfig(**{key.removeprefix("network."): value for key, value in settings.items()})


def assert_given_back(sizes: dict[str, Size], network: NetworkConfig) -> None:
    assert {layer: tuple(layer_rank(network, layer)) for layer in sizes} == {
        layer: tuple(it) for layer, it in sizes.items()
    }


def kohyas(layer: str, conv: Size) -> Size:
    """What `conv_dim` and `conv_alpha` give in sd-scripts: 3 x 3 kernels alone."""
    return conv if layer.endswith(("conv1", "conv2", ".conv")) else USUAL


def test_conv_dim_of_sd_scripts(layers: list[str]) -> None:
    sizes = {layer: kohyas(layer, CONV) for layer in layers}
    network = given(sizes)
    assert network.ranks == [r"resnets.*\.conv[12]$|samplers:4/1"]
    assert (network.rank, network.alpha) == (16, 8)
    assert_given_back(sizes, network)
    unet = [layer for layer in layers if layer.startswith("unet.")]
    assert (len(unet), sum(sizes[layer] == CONV for layer in unet)) == (788, 38)


@pytest.mark.parametrize(
    ("pick", "entries"),
    [
        (lambda layer: False, 0),
        (lambda layer: "attn2" in layer, 1),
        (lambda layer: layer.endswith("attn2.to_q"), 1),
        (lambda layer: layer.startswith("text_encoder."), 1),
        (lambda layer: layer.startswith("text_encoder_2.") and layer.endswith("fc1"), 1),
        (lambda layer: ".mid_block." in layer, 1),
        (lambda layer: "up_blocks.0.attentions.1." in layer or "up_blocks.0.resnets.1." in layer, 1),
        (lambda layer: layer.startswith("unet.up_blocks.0.attentions.1.") and "attn1" in layer, 4),
        (lambda layer: layer == "unet.mid_block.attentions.0.proj_in", 1),
        (lambda layer: layer.startswith("text_encoder") and ".layers.3." in layer, 2),
    ],
)
def test_some_layers_of_another_size(layers: list[str], pick, entries: int) -> None:
    sizes = {layer: OTHER if pick(layer) else USUAL for layer in layers}
    network = given(sizes)
    assert len(network.ranks) == entries
    assert_given_back(sizes, network)


def test_blocks_of_their_own_sizes(layers: list[str]) -> None:
    """As `block_dims` and `conv_block_dims` of sd-scripts give them."""

    def size(layer: str) -> Size:
        if not layer.startswith("unet."):
            return USUAL
        _, side, *numbers = layer.split(".")
        if side == "mid_block":
            return kohyas(layer, THIRD)
        return Size(4 + int(numbers[0]), 3.0 + int(numbers[2]) + 10 * ("samplers" in layer))

    sizes = {layer: size(layer) for layer in layers}
    assert_given_back(sizes, given(sizes))


def test_any_mixture_is_given_back_or_refused(layers: list[str]) -> None:
    choices = random.Random(0)
    some = layers[::7]
    for kinds in range(1, 5):
        sizes = {layer: choices.choice([USUAL, CONV, OTHER, THIRD][:kinds]) for layer in some}
        settings = rank_settings(sizes, FAMILY.naming)
        assert (settings is None) == (kinds > 1)  # no two neighbours alike: more entries than anybody reads
        few = {layer: size if number % 25 == 0 else USUAL for number, (layer, size) in enumerate(sizes.items())}
        assert_given_back(few, given(few))


def test_the_common_size_can_be_given(layers: list[str]) -> None:
    sizes = {layer: kohyas(layer, CONV) for layer in layers if layer.startswith("unet.")}
    network = given(sizes, common=THIRD)
    assert (network.rank, network.alpha) == (8, 0.5)
    assert_given_back(sizes, network)


def test_alphas_as_halves_hold_them() -> None:
    assert given({"unet.mid_block.attentions.0.proj_in": Size(3, 2.9999998643634895)}).alpha == 3.0
