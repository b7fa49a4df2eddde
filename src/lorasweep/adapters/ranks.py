"""Rank and alpha of each adapted layer, as the config gives them and as weights files hold them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import NamedTuple

from lorasweep.schema import NetworkConfig

ENTRY = re.compile(r"(?P<pattern>.+):(?P<rank>\d+)(/(?P<alpha>\d+(\.\d+)?(e[+-]?\d+)?))?")


class LayerRank(NamedTuple):
    """Size and strength of one layer's update.

    Attributes:
        rank: its rank.
        alpha: what a loader divides by the rank: the update is scaled by alpha / rank. With rank-stabilised scaling it
            is the config's alpha times sqrt(rank): loaders, which know nothing of it, then get alpha / sqrt(rank).
    """

    rank: int
    alpha: float

    @property
    def scale(self) -> float:
        """The factor of the update."""
        return self.alpha / self.rank


@dataclass(frozen=True)
class LayerRule:
    """One entry of `network.ranks`: layers whose name has a match of `pattern` get this rank, and alpha if given."""

    text: str
    pattern: re.Pattern[str]
    rank: int
    alpha: float | None


def layer_rules(network: NetworkConfig) -> list[LayerRule]:
    """Return the entries of `network.ranks`, read.

    Raises:
        ValueError: an entry is not PATTERN:RANK or PATTERN:RANK/ALPHA with a valid regular expression, a rank of at
            least 1 and an alpha above 0.
    """
    rules = []
    for text in network.ranks:
        match = ENTRY.fullmatch(text)
        if not match:
            raise ValueError(f"{text!r}: expected PATTERN:RANK or PATTERN:RANK/ALPHA, such as attn2:32 or attn2:32/16")
        try:
            pattern = re.compile(match["pattern"])
        except re.error as error:
            raise ValueError(f"{text!r}: {match['pattern']!r} is no regular expression ({error})") from None
        rank, alpha = int(match["rank"]), None if match["alpha"] is None else float(match["alpha"])
        if rank < 1 or alpha == 0:
            raise ValueError(f"{text!r}: expected a rank of at least 1 and an alpha above 0")
        rules.append(LayerRule(text, pattern, rank, alpha))
    return rules


def layer_rank(network: NetworkConfig, layer: str) -> LayerRank:
    """Return rank and alpha of one layer: of the first entry of `network.ranks` that matches, else the common ones.

    An entry without alpha keeps the common scale: its alpha is the common one times its rank over the common rank.

    Args:
        layer: its stable name, such as `unet.mid_block.attentions.0.proj_in`.
    """
    common = LayerRank(network.rank, _for_loaders(network, network.alpha, network.rank))
    for rule in layer_rules(network):
        if rule.pattern.search(layer):
            if rule.alpha is None:
                return LayerRank(rule.rank, common.alpha * rule.rank / common.rank)
            return LayerRank(rule.rank, _for_loaders(network, rule.alpha, rule.rank))
    return common


def idle_rules(network: NetworkConfig, layers: Iterable[str]) -> list[str]:
    """Return a line for each entry of `network.ranks` that decides the rank of none of `layers`."""
    layers = list(layers)
    idle: list[str] = []
    taken: set[str] = set()
    parts = sorted({part for layer in layers for part in layer.split(".")})
    for rule in layer_rules(network):
        matched = {layer for layer in layers if rule.pattern.search(layer)}
        if not matched:
            near = get_close_matches(rule.pattern.pattern, parts, n=3, cutoff=0.5)
            hint = f"parts of names that are near: {', '.join(near)}" if near else f"names are such as {layers[0]}"
            idle.append(f"network.ranks={rule.text}: no adapted layer has a name that matches; {hint}")
        elif matched <= taken:
            idle.append(f"network.ranks={rule.text}: earlier entries match all of its layers; put it before them")
        taken |= matched
    return idle


def _for_loaders(network: NetworkConfig, alpha: float, rank: int) -> float:
    return alpha * math.sqrt(rank) if network.rslora else alpha
