"""The settings `network.rank`, `alpha` and `ranks` that give layers the sizes that they have in a file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from lorasweep.families.naming import Cut, Naming

MOST_ENTRIES = 60
"""Beyond, the layers were not given their sizes by anybody, but by a program that resizes files."""


class Size(NamedTuple):
    """Rank and alpha of one layer, alpha as it is asked for (a file has alpha x sqrt(rank) with `network.rslora`)."""

    rank: int
    alpha: float


def rank_settings(sizes: Mapping[str, Size], naming: Naming, common: Size | None = None) -> dict[str, Any] | None:
    """Return `network.rank`, `network.alpha` and, where layers differ, `network.ranks`; None if hardly two are alike.

    Alphas are rounded to six digits: files have them in half or single precision.

    Args:
        sizes: by layer, such as `unet.mid_block.attentions.0.proj_in`; at least one.
        naming: of the base that the layers are of.
        common: the rank and alpha to start from; None takes the most frequent.
    """
    of_denoiser = f"{naming.parts[0].name}."
    denoiser_first = sorted(sizes, key=lambda layer: not layer.startswith(of_denoiser))
    sizes = {layer: Size(sizes[layer].rank, float(f"{sizes[layer].alpha:.6g}")) for layer in denoiser_first}
    common = common or Counter(sizes.values()).most_common(1)[0][0]
    settings: dict[str, Any] = {"network.rank": common.rank, "network.alpha": common.alpha}
    groupings = naming.groupings or ((_alone,),)
    entries = min((list(_entries(sizes, common, cuts)) for cuts in groupings), key=len)
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


def _alone(layer: str) -> str:
    """A layer by itself."""
    return f"^{re.escape(layer)}$"
