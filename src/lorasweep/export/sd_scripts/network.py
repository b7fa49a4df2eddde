"""The adapter of a file in the keys of our config: what its layers, of any program, and `ss_network_*` say."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from lorasweep.adapters.kinds.kind import adapter_kind
from lorasweep.export.layer_sizes import Size, rank_settings
from lorasweep.export.layers import ALPHA, DORA, FileLayers, kind_of_end, rank_of
from lorasweep.export.network import KOHYA, LYCORIS
from lorasweep.export.sd_scripts.about import OFF, About, positive, whole_number
from lorasweep.families.naming import Naming
from lorasweep.families.parts import Part

NUMBERS = {
    "dropout": "network.dropout",
    "rank_dropout": "network.rank_dropout",
    "module_dropout": "network.module_dropout",
}
# Arguments that the tensors tell, or that change nothing of what they are.
KNOWN = ("factor", "conv_dim", "conv_alpha", "dora_wd", "wd_on_output", "algo", "preset")


def kind_of_layer(tensors: Mapping[str, Tensor]) -> str | None:
    """Return the kind of adapter that a layer has, by the tensors' ends; None of one that cannot be trained here."""
    kinds = {kind for end in tensors if (kind := kind_of_end(end)) and end != DORA}
    return kinds.pop() if len(kinds) == 1 else None


def read_network(about: About, layers: FileLayers) -> None:
    """Read the kind of adapter, its layers, ranks and options.

    Args:
        about: the file's metadata; it may have none.
        layers: the file's; at least one of a kind that can be trained here.
    """
    kinds = {layer: kind for layer, tensors in layers.tensors.items() if (kind := kind_of_layer(tensors))}
    counts = Counter(kinds.values())
    kind = counts.most_common(1)[0][0]
    if kind != "lora":
        about.settings["network.type"] = kind
    for other, count in [*counts.most_common()[1:], ("another kind", len(layers.tensors) - len(kinds))]:
        if count:
            about.notes.append(f"{count} of its {len(layers.tensors)} layers, of {other}: here all are {kind}")
    if layers.others:
        about.notes.append(
            f"{len(layers.others)} tensors of layers that no adapter has here, such as {next(iter(layers.others))}"
        )
    module = about.value("ss_network_module", str)
    if module not in (None, KOHYA, LYCORIS):
        about.notes.append(f"ss_network_module={module}: lorasweep trains {kind} as {KOHYA} or {LYCORIS} do")
    if dropout := about.value("ss_network_dropout", positive):
        about.settings["network.dropout"] = dropout
    if cap := about.value("ss_scale_weight_norms", positive):
        about.settings["network.max_norm"] = cap
    _read_arguments(about, about.value("ss_network_args", _arguments) or {}, kind)
    lengths = [tensors[DORA] for tensors in layers.tensors.values() if DORA in tensors]
    if lengths:
        about.settings["network.dora"] = True
        if kind != "lora" or any(tensor.shape[0] != 1 for tensor in lengths):
            about.notes.append("its DoRA: here it is for lora, with a length for each input column, not output row")
    ranked = {layer: layers.tensors[layer] for layer, found in kinds.items() if found == kind}
    _read_ranks(about, ranked, layers.naming)
    _read_layers(about, kinds, layers.naming.parts[0])


def _read_arguments(about: About, arguments: dict[str, Any], kind: str) -> None:
    for theirs, ours in NUMBERS.items():
        try:
            if number := float(arguments.pop(theirs, None) or 0):
                about.settings.setdefault(ours, number)
        except (ValueError, TypeError):
            about.notes.append(f"ss_network_args {theirs} could not be read")
    known = adapter_kind(kind)
    for theirs, ours in known.integers.items():
        text = str(arguments.pop(theirs, None) or -1)
        about.settings[ours] = int(text) if re.fullmatch(r"-?\d+", text) else -1
    for theirs, ours in known.flags.items():
        if str(arguments.pop(theirs, None)).lower() in ("true", "1"):
            about.settings[ours] = True
    for name, value in arguments.items():
        if name not in KNOWN and not name.startswith("loraplus_") and str(value) not in OFF:
            about.notes.append(f"ss_network_args {name}={value}: lorasweep does not do that")


def _read_ranks(about: About, tensors: Mapping[str, Mapping[str, Tensor]], naming: Naming) -> None:
    """The common rank and alpha are the metadata's, else the most frequent; layers of other sizes get an entry."""
    stabilised = about.settings.get("network.rslora", False)
    sizes = {}
    for layer, parts in tensors.items():
        if own := rank_of(parts):
            scaled = parts[ALPHA].item() if ALPHA in parts else float(own)
            sizes[layer] = Size(own, scaled / math.sqrt(own) if stabilised else scaled)
    rank, alpha = about.value("ss_network_dim", whole_number), about.value("ss_network_alpha", float)
    if not sizes:  # LoKr with whole factors
        about.settings |= {"network.rank": rank or 1, "network.alpha": alpha or 1.0}
        return
    usual = Counter(sizes.values()).most_common(1)[0][0]
    common = Size(rank or usual.rank, alpha or float(f"{usual.alpha:.6g}"))
    settings = rank_settings(sizes, naming, common)
    about.settings |= settings or {"network.rank": common.rank, "network.alpha": common.alpha}
    if settings is None:
        about.notes.append(
            f"its layers have {len(set(sizes.values()))} different ranks and alphas, as resized files do: here all "
            "have one; set network.ranks for some"
        )


def _read_layers(about: About, layers: Iterable[str], denoiser: Part) -> None:
    own = [layer for layer in layers if layer.startswith(f"{denoiser.name}.")]
    if not own:
        about.settings["optimizer.lr"] = 0.0  # it was not trained
        return
    for key, pattern in denoiser.layers.items():
        about.settings[f"network.{key}"] = any(re.fullmatch(f".*({pattern})", layer) for layer in own)


def _arguments(text: str) -> dict[str, Any]:
    return dict(json.loads(text) or {})
