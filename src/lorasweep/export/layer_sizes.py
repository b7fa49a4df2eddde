"""The settings `network.rank`, `alpha` and `ranks` that give layers the sizes that they have in a file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

# Families of layers: the pattern of `network.ranks` for each. kohya's `conv_dim` is for the 3 x 3 convolutions alone;
# the other layers of a ResNet block have the common rank there.
ATTENTION, FEED_FORWARD, PROJECTIONS = r"\.attn[12]\.", r"\.ff\.", r"\.proj_(in|out)$"
KERNELS, OTHER_CONVOLUTIONS = r"resnets.*\.conv[12]$|samplers", r"conv_shortcut|time_emb_proj"
TEXT_ENCODERS = "^text_encoder"
FAMILIES = (TEXT_ENCODERS, ATTENTION, FEED_FORWARD, PROJECTIONS, KERNELS, OTHER_CONVOLUTIONS)
MOST_ENTRIES = 60
"""Beyond, the layers were not given their sizes by anybody, but by a program that resizes files."""

Cut = Callable[[str], str]
"""From a layer to a pattern that is found in its name, in those of its group and in no other layer's."""


class Size(NamedTuple):
    """Rank and alpha of one layer, alpha as it is asked for (a file has alpha x sqrt(rank) with `network.rslora`)."""

    rank: int
    alpha: float


def rank_settings(sizes: Mapping[str, Size], common: Size | None = None) -> dict[str, Any] | None:
    """Return `network.rank`, `network.alpha` and, where layers differ, `network.ranks`; None if hardly two are alike.

    Alphas are rounded to six digits: files have them in half or single precision.

    Args:
        sizes: by layer, such as `unet.mid_block.attentions.0.proj_in`; at least one.
        common: the rank and alpha to start from; None takes the most frequent.
    """
    unet_first = sorted(sizes, key=lambda layer: layer.startswith("text_encoder"))
    sizes = {layer: Size(sizes[layer].rank, float(f"{sizes[layer].alpha:.6g}")) for layer in unet_first}
    common = common or Counter(sizes.values()).most_common(1)[0][0]
    settings: dict[str, Any] = {"network.rank": common.rank, "network.alpha": common.alpha}
    by_family = list(_entries(sizes, common, (_family, _half, _role, _role_in_block, _layer)))
    by_block = list(_entries(sizes, common, (_block, _family_in_block, _role_in_block, _layer)))
    entries = by_family if len(by_family) <= len(by_block) else by_block
    if len(entries) > MOST_ENTRIES:
        return None
    return settings | ({"network.ranks": entries} if entries else {})


def _entries(sizes: Mapping[str, Size], common: Size, cuts: Sequence[Cut]) -> Iterator[str]:
    """Yield entries of `network.ranks`; each cut divides the groups of the one before that are not of one size."""
    cut, *finer = cuts
    groups: dict[str, dict[str, Size]] = {}
    for layer, size in sizes.items():
        groups.setdefault(cut(layer), {})[layer] = size
    for pattern, group in groups.items():
        found = set(group.values())
        if len(found) > 1:
            yield from _entries(group, common, finer)
        elif (size := found.pop()) != common:
            yield f"{pattern}:{size.rank}/{size.alpha:g}"


def _family(layer: str) -> str:
    return next((pattern for pattern in FAMILIES if re.search(pattern, layer)), _layer(layer))


def _half(layer: str) -> str:
    """One of the text encoders, self-attention or cross-attention of the UNet; else the family."""
    if match := re.match(r"text_encoder(_2)?\.", layer):
        return f"^{re.escape(match[0])}"
    match = re.search(r"\.attn[12]\.", layer)
    return re.escape(match[0]) if match else _family(layer)


def _role(layer: str) -> str:
    """What it is in its block, such as `attn2.to_q`; in all blocks of its component."""
    return f"{_half(layer)}.*{_end(layer)}" if re.search(TEXT_ENCODERS, layer) else _end(layer)


def _role_in_block(layer: str) -> str:
    return f"^(?=.*{_end(layer)}){_block(layer)[1:]}"


def _family_in_block(layer: str) -> str:
    return f"^(?=.*({_family(layer)})){_block(layer)[1:]}"


def _block(layer: str) -> str:
    """A block of the UNet as its files count them, a ResNet block with its transformer, or a layer of an encoder."""
    if match := re.match(r"(unet\.\w+\.\d+\.)(attentions|resnets)(\.\d+\.)", layer):
        return f"^{re.escape(match[1])}(attentions|resnets){re.escape(match[3])}"
    match = re.match(r"unet\.mid_block\.|unet\.\w+\.\d+\.\w+\.|text_encoder(_2)?\.text_model\.\w+\.\w+\.\d+\.", layer)
    return f"^{re.escape(match[0])}" if match else _layer(layer)


def _layer(layer: str) -> str:
    return f"^{re.escape(layer)}$"


def _end(layer: str) -> str:
    match = re.search(r"\.((attn[12]|ff|self_attn|mlp)\.[\w.]+|\w+)$", layer)
    return f"{re.escape(match[0])}$" if match else _layer(layer)
