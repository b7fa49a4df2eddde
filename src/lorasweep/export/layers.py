"""The layers that the file of an adapter holds, whichever program wrote it.

    program                      the tensors of a layer
    sd-scripts, LyCORIS          .lora_down.weight, .alpha
    ai-toolkit, OneTrainer       the same
    OneTrainer, for ComfyUI      .lora_A.weight, .alpha
    diffusers                    .lora_A.weight, .lora.down.weight
    diffusers before PEFT        .down.weight
    PEFT                         .lora_A.weight

How each of them calls the layers themselves, the family knows. Where diffusers and PEFT write no alphas, these are in
the metadata or in adapter_config.json beside the file; told nowhere, they are the ranks.
"""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lorasweep.adapters.kinds import lora
from lorasweep.adapters.kinds.kind import AdapterKind, adapter_kind
from lorasweep.families.naming import Naming
from lorasweep.schema.network import ADAPTERS

ALPHA = ".alpha"
DOWN, UP, DORA = lora.ENDS["lora_A"], lora.ENDS["lora_B"], lora.ENDS["dora_scale"]
PEFT_DORA = ".lora_magnitude_vector"

_PEFT_ENDS = (
    (re.compile(r"(?P<layer>.+?)\.lora_A(\.\w+)?\.weight"), DOWN),  # with or without the adapter's name
    (re.compile(r"(?P<layer>.+?)\.lora_B(\.\w+)?\.weight"), UP),
    (re.compile(r"(?P<layer>.+?)\.lora_magnitude_vector(\.\w+)*"), PEFT_DORA),
)


@dataclass(frozen=True)
class FileLayers:
    """What a file holds, in one spelling.

    Attributes:
        naming: of the base that it is for.
        tensors: by layer (its stable name, such as `unet.mid_block.attentions.0.proj_in`) and end, as kohya and LyCORIS
            call it (such as `.lora_down.weight`); a layer's alpha is among them unless the file has none.
        names: by layer, what the file calls it.
        others: the names of tensors of no layer that an adapter can have, each with the reason.
    """

    naming: Naming
    tensors: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    others: dict[str, str] = field(default_factory=dict)


def read_layers(tensors: Mapping[str, Tensor], naming: Naming, peft: Mapping[str, Any] | None = None) -> FileLayers:
    """Return the layers that the tensors of a file belong to.

    Args:
        tensors: by their names in the file.
        naming: of the base that they are for.
        peft: `peft_settings` of the file, which tell the alphas of one that has no tensors of them.
    """
    found = FileLayers(naming, tensors=defaultdict(dict))
    for name, tensor in tensors.items():
        layer, end = _split(naming.current(name))
        try:
            path = naming.layer(layer)
        except ValueError as error:
            found.others[name] = str(error)
            continue
        if end in found.tensors[path]:
            found.others[name] = f"the file holds {path}{end} a second time"
            continue
        found.tensors[path][end] = tensor
        found.names[path] = layer
    for path, parts in found.tensors.items():
        if peft and DOWN in parts and ALPHA not in parts:
            parts[ALPHA] = torch.tensor(_peft_alpha(path, parts[DOWN].shape[0], peft))
    return found


def rank_of(tensors: Mapping[str, Tensor]) -> int:
    """Return the rank by which a loader divides the alpha of a layer; 0 where it knows none.

    Args:
        tensors: of the layer, by end.
    """
    ranked = (end for kind in _kinds().values() for end in kind.ranked)
    return next((tensors[end].shape[0] for end in ranked if end in tensors), 0)


def kind_of_end(end: str) -> str | None:
    """Return which kind of adapter has tensors of this end; None of an alpha, or one that is not known."""
    return next((name for name, kind in _kinds().items() if end in kind.ends.values()), None)


def peft_settings(file: Path, metadata: Mapping[str, str]) -> dict[str, Any]:
    """Return what PEFT was set to when it wrote a file, such as `unet.lora_alpha` or `lora_alpha`; empty if not told.

    Args:
        file: adapter_config.json may lie beside it.
        metadata: of the file, where diffusers puts it.
    """
    beside = file.with_name("adapter_config.json")
    try:
        settings = json.loads(
            metadata.get("lora_adapter_metadata") or (beside.read_text() if beside.exists() else "{}")
        )
    except (OSError, ValueError):
        return {}
    return settings if isinstance(settings, dict) else {}


def _kinds() -> dict[str, AdapterKind]:
    return {name: adapter_kind(name) for name in ADAPTERS}


@cache
def _ends() -> re.Pattern[str]:
    """Return what matches a name in kohya's and LyCORIS' formats: a layer, and the end of one of its tensors."""
    known = [end for kind in _kinds().values() for end in (*kind.ends.values(), *kind.unused_ends)]
    return re.compile(rf"(?P<layer>.+?)(?P<end>{'|'.join(map(re.escape, [ALPHA, *known]))})")


def _split(name: str) -> tuple[str, str]:
    """Return the layer and the end of a tensor's name of today's formats."""
    if match := _ends().fullmatch(name):
        return match["layer"], match["end"]
    for pattern, end in _PEFT_ENDS:
        if match := pattern.fullmatch(name):
            return match["layer"], end
    layer, dot, end = name.partition(".") if name.startswith(("lora_", "lycoris_")) else name.rpartition(".")
    return layer, dot + end


def _peft_alpha(path: str, rank: int, settings: Mapping[str, Any]) -> float:
    """Return the alpha of a layer that has no tensor of it, as PEFT was set; where it is not told, the rank."""
    from peft.utils.other import get_pattern_key

    component, _, inner = path.partition(".")
    own = f"{component}." if any(key.startswith(f"{component}.") for key in settings) else ""
    alpha, patterns = settings.get(f"{own}lora_alpha"), settings.get(f"{own}alpha_pattern")
    if isinstance(patterns, Mapping):
        alpha = patterns.get(get_pattern_key(list(patterns), inner), alpha)
    if not isinstance(alpha, int | float):
        return float(rank)
    return alpha * math.sqrt(rank) if settings.get(f"{own}use_rslora") else float(alpha)
