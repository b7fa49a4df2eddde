"""The adapter of a file of sd-scripts or LyCORIS in the keys of our config: what its tensors and `ss_network_*` say."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import Tensor

from lorasweep.export.layers import ALPHA, DORA, DOWN
from lorasweep.export.network import KOHYA, LYCORIS

# Families of layers: the key of our config that adapts them (none: always), the names of their modules in files, and
# the pattern of `network.ranks` for them.
FAMILIES = (
    ("network.attention", r"lora_unet_.*_attn[12]_.*", r"\.attn[12]\."),
    ("network.feed_forward", r"lora_unet_.*_ff_net_.*", r"\.ff\."),
    ("network.projections", r"lora_unet_.*_proj_(in|out)", r"\.proj_(in|out)$"),
    (
        "network.convolutions",
        r"lora_unet_.*_(in_layers_2|out_layers_3|emb_layers_1|skip_connection|op|conv)",
        r"\.(resnets|downsamplers|upsamplers)\.",
    ),
    ("", r"lora_te\d_.*", r"^text_encoder"),
)
# The tensor by which a module's kind is known, and whether its first side is the rank.
MARKS = {DOWN: ("lora", True), ".hada_w1_b": ("loha", True), ".lokr_w2_b": ("lokr", True), ".lokr_w2": ("lokr", False)}
NUMBERS = {"rank_dropout": "network.rank_dropout", "module_dropout": "network.module_dropout"}
FLAGS = {  # theirs: ours, and the kinds that have it here
    "rs_lora": ("network.rslora", ("lora", "loha", "lokr")),
    "decompose_both": ("network.decompose_both", ("lokr",)),
    "use_tucker": ("network.tucker", ("loha",)),
    "use_cp": ("network.tucker", ("loha",)),
}
# Arguments that the tensors tell, or that change nothing of what they are.
TOLD = ("conv_dim", "conv_alpha", "dora_wd", "wd_on_output", "algo", "preset")


class Module(NamedTuple):
    """What is known of one adapted module: its kind, and its rank and alpha unless it has no rank."""

    kind: str
    size: tuple[int, float] | None


def modules_of(tensors: Mapping[str, Tensor]) -> dict[str, Module]:
    """Return by name the modules of all kinds of adapter that can be trained here."""
    modules = {}
    for name, tensor in tensors.items():
        module, dot, end = name.partition(".")
        if dot + end in MARKS:
            kind, ranked = MARKS[dot + end]
            rank = tensor.shape[0]
            alpha = tensors[module + ALPHA].item() if module + ALPHA in tensors else float(rank)
            modules[module] = Module(kind, (rank, alpha) if ranked else None)
    return modules


def network_settings(
    metadata: Mapping[str, str], tensors: Mapping[str, Tensor], known: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """Return the settings of the adapter that a file holds, and notes on what they leave open.

    Args:
        metadata: `ss_network_module` and `ss_network_args`, if there.
        tensors: at least one module.
        known: settings found before, `network.rank` and `network.alpha` among them where the metadata has them.
    """
    modules = modules_of(tensors)
    kind = Counter(module.kind for module in modules.values()).most_common(1)[0][0]
    settings: dict[str, Any] = {"network.type": kind} if kind != "lora" else {}
    notes: list[str] = []
    if (module := metadata.get("ss_network_module", KOHYA)) not in (KOHYA, LYCORIS):
        notes.append(f"ss_network_module={module}: lorasweep trains {kind} as {KOHYA} or {LYCORIS} do")
    _read_arguments(metadata.get("ss_network_args", "{}"), kind, settings, notes)
    if lengths := [tensor for name, tensor in tensors.items() if name.endswith(DORA)]:
        settings["network.dora"] = True
        if kind != "lora" or any(tensor.shape[0] != 1 for tensor in lengths):
            notes.append("its DoRA: lorasweep has it for lora, with a length for each input column, not output row")
    sizes = {name: module.size for name, module in modules.items() if module.size is not None}
    _read_ranks(sizes, known, settings, notes)
    unet = [name for name in modules if name.startswith("lora_unet_")]
    if not unet:
        settings["optimizer.lr"] = 0.0  # the UNet was not trained
        return settings, notes
    for key, names, _ in FAMILIES:
        if key:
            settings[key] = any(re.fullmatch(names, name) for name in unet)
    return settings, notes


def _read_arguments(text: str, kind: str, settings: dict[str, Any], notes: list[str]) -> None:
    try:
        arguments = dict(json.loads(text) or {}) if text != "None" else {}
        for theirs, ours in NUMBERS.items():
            if number := float(arguments.pop(theirs, None) or 0):
                settings[ours] = number
        factor = int(arguments.pop("factor", None) or -1)
    except (ValueError, TypeError):
        notes.append(f"ss_network_args={text} could not be read")
        return
    if kind == "lokr":
        settings["network.factor"] = factor
    for theirs, (ours, kinds) in FLAGS.items():
        if kind in kinds and str(arguments.pop(theirs, None)).lower() in ("true", "1"):
            settings[ours] = True
    for name, value in arguments.items():
        if (
            name not in TOLD
            and not name.startswith("loraplus_")
            and str(value) not in ("None", "False", "0", "0.0", "")
        ):
            notes.append(f"ss_network_args {name}={value}: lorasweep does not do that")


def _read_ranks(
    sizes: Mapping[str, tuple[int, float]], known: Mapping[str, Any], settings: dict[str, Any], notes: list[str]
) -> None:
    """The common rank and alpha are the metadata's, else the most frequent; families with others get an entry."""
    if not sizes:
        return
    usual, usual_alpha = Counter(sizes.values()).most_common(1)[0][0]
    stabilised = settings.get("network.rslora", False)
    rank = settings["network.rank"] = known.get("network.rank", usual)
    alpha = settings["network.alpha"] = known.get("network.alpha", _given(usual, usual_alpha, stabilised))
    entries = []
    for _, names, pattern in FAMILIES:
        found = sorted({size for name, size in sizes.items() if re.fullmatch(names, name)})
        if len(found) > 1:
            notes.append(f"layers of {pattern} have ranks and alphas {found}; set network.ranks for them")
        elif found:
            own, own_alpha = found[0][0], _given(*found[0], stabilised)
            if own != rank or abs(own_alpha - alpha) > 1e-3 * alpha:  # fp16 rounds alpha
                entries.append(f"{pattern}:{own}/{own_alpha:g}")
    if entries:
        settings["network.ranks"] = entries


def _given(rank: int, alpha: float, stabilised: bool) -> float:
    """The alpha that was asked for, from the one in a file."""
    return alpha / rank**0.5 if stabilised else alpha
