"""A version's weights file: kohya's and LyCORIS' formats in safetensors.

Every adapted module has its factors and `<name>.alpha` (0-d). A loader adds alpha / rank * (their product) to the
module's weight; the rank is a side of a factor:

    network.type  tensors                                                   product                            rank
    lora          lora_down.weight (r, in[, k, k]), lora_up.weight (out, r)  up @ down                          r
    loha          hada_w1_a, hada_w1_b, hada_w2_a, hada_w2_b                 (w1_a @ w1_b) o (w2_a @ w2_b)      of w1_b
    lokr          lokr_w1 or lokr_w1_a, _b; lokr_w2 or lokr_w2_a, _b         kron(w1, w2)            of w2_b, else w1_b
                  both whole                                                 kron(w1, w2), alpha unread         none

With tucker decomposition a LoHa's convolutions have `hada_t1` and `hada_t2` too. With DoRA, `dora_scale` (1, in[, 1,
1]) is the length of each input column of the changed weight, in fp32: half precision would change the whole weight by
more than the training may have.

diffusers' `convert_state_dict_to_kohya` is not used: it writes alpha = rank whatever alpha was, so that a
LoRA trained with rank 16 and alpha 8 acts at twice its strength; it also spells blocks the diffusers way and
writes no metadata.
"""

from __future__ import annotations

import json
import math
import shlex
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from lorasweep import files
from lorasweep.adapters.ranks import layer_rank
from lorasweep.config import NetworkConfig
from lorasweep.errors import UserError
from lorasweep.export.alphas import alphas_in_file
from lorasweep.export.metadata import hashes
from lorasweep.export.names import UNetLayout, kohya_name, module_path
from lorasweep.weights import PICKLES, safetensors_problem

DOWN, UP, ALPHA, DORA = ".lora_down.weight", ".lora_up.weight", ".alpha", ".dora_scale"

# The tensors of a module by the names of the adapter's parameters, for each kind of adapter.
ENDS = {
    "lora": {"lora_A": DOWN, "lora_B": UP, "dora_scale": DORA},
    "loha": {name: f".{name}" for name in ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", "hada_t1", "hada_t2")},
    "lokr": {name: f".{name}" for name in ("lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2", "lokr_w2_a", "lokr_w2_b")},
}
RANKED = ("lora_A", "hada_w1_b", "lokr_w2_b", "lokr_w1_b")
"""Parameters whose first side is the rank, in the order in which loaders ask them."""


def export_tensors(
    adapter_state: Mapping[str, Tensor], network: NetworkConfig, unet_config: Mapping[str, Any]
) -> dict[str, Tensor]:
    """Return the tensors of a weights file.

    Args:
        adapter_state: what `Adapter.state()` returned: `<component>.<path>.<parameter>`.
        network: the adapter's settings; with the alpha that is written, the file's update is the trained one.
        unet_config: the UNet's config, which block numbers depend on.

    Returns:
        fp16 tensors by kohya's names. alpha is fp16 too, or fp32 where fp16 would round it.
    """
    layout, ends = UNetLayout.of(unet_config), ENDS[network.type]
    tensors: dict[str, Tensor] = {}
    modules = _by_module(adapter_state)
    alphas = _alphas_in_file(network, modules)
    for module, parameters in modules.items():
        kohya = kohya_name(module, layout)
        size = layer_rank(network, module)
        for name, values in parameters.items():
            dtype = torch.float32 if ends[name] == DORA else torch.float16
            scaled = values * (size.alpha / alphas[module]) if name == "lora_A" else values
            tensors[kohya + ends[name]] = scaled.to("cpu", dtype).contiguous()
        tensors[kohya + ALPHA] = _exact(alphas[module] if _rank(parameters) else size.rank)
    return tensors


def import_tensors(
    tensors: Mapping[str, Tensor], network: NetworkConfig, unet_config: Mapping[str, Any]
) -> dict[str, Tensor]:
    """Return the adapter state (fp32, for `Adapter.load`) that a weights file holds.

    Args:
        tensors: the file's tensors; a module without alpha has alpha = rank, as kohya reads it.
        network: the settings of the adapter that is to take the state.
        unet_config: the config of its UNet.

    Raises:
        UserError: names of another format, incomplete modules, or another rank or alpha than `network` has.
    """
    layout = UNetLayout.of(unet_config)
    parameter = {end: name for name, end in ENDS[network.type].items() if name != "dora_scale" or network.dora}
    found: dict[str, dict[str, Tensor]] = defaultdict(dict)
    alphas: dict[str, float] = {}
    problems = []
    for name, tensor in tensors.items():
        module, dot, end = name.partition(".")
        if dot + end == ALPHA:
            alphas[module] = tensor.item()
        elif dot + end in parameter:
            found[module][parameter[dot + end]] = tensor.float()
        else:
            problems.append(f"{name} is no tensor of a {_format(network)}")
    paths: dict[str, str] = {}
    for module in sorted(found.keys() | alphas.keys()):
        if missing := _missing(found[module], network):
            problems.append(f"{module} lacks {missing}")
            continue
        try:
            paths[module] = module_path(module, layout)
        except ValueError as error:
            problems.append(str(error))
    written = _alphas_in_file(network, paths.values())
    state: dict[str, Tensor] = {}
    for module, path in paths.items():
        rank = _rank(found[module])
        alpha = alphas.get(module, rank)
        expected = layer_rank(network, path)
        own = _close(alpha, expected.alpha)
        if rank and (rank != expected.rank or not (own or _close(alpha, written[path]))):
            problems.append(
                f"{module} has rank {rank}, alpha {alpha:g}; the run {expected.rank} and {expected.alpha:g}: "
                f"set {_settings(network, rank, alpha)}"
            )
        for name, values in found[module].items():
            state[f"{path}.{name}"] = values if own or name != "lora_A" else values * (alpha / expected.alpha)
    if problems:
        more = [f"... and {len(problems) - 5} more"] if len(problems) > 5 else []
        raise UserError(problems[:5] + more, title="These weights do not fit this adapter")
    return state


def write_weights(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a weights file, atomically, with the hashes that identify it added to `metadata`.

    Raises:
        UserError: a value is NaN or infinite (also one that fp16 cannot hold); nothing is written.
        OSError: the file cannot be written; an earlier one is untouched.
    """
    require_finite(tensors, path)
    files.write_safetensors(path, dict(tensors), {**metadata, **hashes(tensors, metadata)})


def require_finite(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Refuse tensors for the file `path` that hold NaN or infinity, also those that fp16 made infinite.

    Raises:
        UserError: how many do, and the first of them.
    """
    bad = [name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()]
    if bad:
        raise UserError(
            f"{len(bad)} of {len(tensors)} tensors hold NaN, infinity or values beyond fp16's 65504, the first "
            f"is {bad[0]}: the training has diverged; use an earlier epoch's file, and lower optimizer.lr",
            title=f"{path.name} was not written",
        )


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return tensors and metadata of a safetensors file.

    Raises:
        UserError: a missing file, a pickled one (with the command that converts it), or a damaged one.
    """
    title = f"{path} cannot be read"
    if path.suffix.lower() in PICKLES:
        raise UserError(
            f"{path.suffix} files are pickles, which can run any code when read; expected .safetensors. "
            f"Convert it with: {_conversion(path)}",
            title=title,
        )
    if not path.is_file():
        raise UserError("there is no such file; expected a .safetensors file", title=title)
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        problem = safetensors_problem(path) or error
        raise UserError(f"it is damaged: {problem}; copy or download it again", title=title) from error


def _by_module(state: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    modules: dict[str, dict[str, Tensor]] = defaultdict(dict)
    for name, values in state.items():
        module, _, parameter = name.rpartition(".")
        modules[module][parameter] = values
    return modules


def _rank(parameters: Mapping[str, Tensor]) -> int:
    """The rank by which a loader divides alpha; 0 where it knows none."""
    return next((parameters[name].shape[0] for name in RANKED if name in parameters), 0)


def _alphas_in_file(network: NetworkConfig, modules: Iterable[str]) -> dict[str, float]:
    """Return the alpha that a file has for each of `modules`; only LoRAs are files that diffusers loads."""
    alphas = {module: layer_rank(network, module).alpha for module in modules}
    return alphas_in_file(alphas) if network.type == "lora" else alphas


def _close(alpha: float, expected: float) -> bool:
    return math.isclose(alpha, expected, rel_tol=1e-3)  # fp16 rounds


def _exact(alpha: float) -> Tensor:
    half = torch.tensor(alpha, dtype=torch.float16)
    return half if half.item() == alpha else torch.tensor(alpha, dtype=torch.float32)


def _format(network: NetworkConfig) -> str:
    kind = {"lora": "LoRA in kohya's format", "loha": "LoHa in LyCORIS' format", "lokr": "LoKr in LyCORIS' format"}
    return kind[network.type] + (" with DoRA" if network.dora else "")


def _missing(parameters: Mapping[str, Tensor], network: NetworkConfig) -> str:
    """What a module must have, in words, if it lacks that."""
    if network.type == "lora":
        needed = ["lora_A", "lora_B", "dora_scale"] if network.dora else ["lora_A", "lora_B"]
        lacks = any(name not in parameters for name in needed)
        return " or ".join(ENDS["lora"][name][1:] for name in needed) if lacks else ""
    if network.type == "loha":
        return ", ".join(
            f"hada_{name}" for name in ("w1_a", "w1_b", "w2_a", "w2_b") if f"hada_{name}" not in parameters
        )
    whole = [
        f"lokr_{name}"
        for name in ("w1", "w2")
        if f"lokr_{name}" not in parameters and not {f"lokr_{name}_a", f"lokr_{name}_b"} <= parameters.keys()
    ]
    return ", ".join(whole)


def _settings(network: NetworkConfig, rank: int, alpha: float) -> str:
    """The settings that give a layer this rank and this alpha of a file."""
    given = alpha / math.sqrt(rank) if network.rslora else alpha
    some = ", or network.ranks for some layers" if network.ranks else ""
    return f"network.rank={rank} network.alpha={given:g}{some}"


def _conversion(path: Path) -> str:
    """A shell command that writes a pickled file's tensors as safetensors, without running any code in it."""
    source, target = json.dumps(str(path)), json.dumps(str(path.with_suffix(".safetensors")))
    code = (
        "import torch, safetensors.torch as s; "
        f'd = torch.load({source}, map_location="cpu", weights_only=True); d = d.get("state_dict", d); '
        "s.save_file({k: v.clone().contiguous() for k, v in d.items() if isinstance(v, torch.Tensor)}, "
        f"{target})"
    )
    return f"python -c {shlex.quote(code)}"
