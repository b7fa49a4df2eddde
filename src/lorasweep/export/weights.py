"""A version's weights file: kohya's LoRA format in safetensors.

Every adapted module has three tensors: `<name>.lora_down.weight` (rank, in) or (rank, in, k, k),
`<name>.lora_up.weight` (out, rank) or (out, rank, 1, 1), and `<name>.alpha` (0-d). A loader adds
alpha / rank * up @ down to the module's weight.

diffusers' `convert_state_dict_to_kohya` is not used: it writes alpha = rank whatever alpha was, so that a
LoRA trained with rank 16 and alpha 8 acts at twice its strength; it also spells blocks the diffusers way and
writes no metadata.
"""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from lorasweep import files
from lorasweep.config import NetworkConfig
from lorasweep.errors import UserError
from lorasweep.export.metadata import hashes
from lorasweep.export.names import UNetLayout, kohya_name, module_path
from lorasweep.weights import PICKLES, safetensors_problem

DOWN, UP, ALPHA = ".lora_down.weight", ".lora_up.weight", ".alpha"


def export_tensors(
    adapter_state: Mapping[str, Tensor], network: NetworkConfig, unet_config: Mapping[str, Any]
) -> dict[str, Tensor]:
    """Return the tensors of a weights file.

    Args:
        adapter_state: what `LoraAdapter.state()` returned: `<component>.<path>.lora_A` and `.lora_B`.
        network: the adapter's settings; alpha is written as it is.
        unet_config: the UNet's config, which block numbers depend on.

    Returns:
        fp16 tensors by kohya's names. alpha is fp16 too, or fp32 where fp16 would round it.
    """
    layout = UNetLayout.of(unet_config)
    alpha = torch.tensor(network.alpha, dtype=torch.float16)
    if alpha.item() != network.alpha:
        alpha = torch.tensor(network.alpha, dtype=torch.float32)
    tensors: dict[str, Tensor] = {}
    for name, down in adapter_state.items():
        module, _, matrix = name.rpartition(".")
        if matrix == "lora_A":
            kohya = kohya_name(module, layout)
            tensors[kohya + DOWN] = down.to("cpu", torch.float16).contiguous()
            tensors[kohya + UP] = adapter_state[f"{module}.lora_B"].to("cpu", torch.float16).contiguous()
            tensors[kohya + ALPHA] = alpha.clone()
    return tensors


def import_tensors(
    tensors: Mapping[str, Tensor], network: NetworkConfig, unet_config: Mapping[str, Any]
) -> dict[str, Tensor]:
    """Return the adapter state (fp32, for `LoraAdapter.load`) that a weights file holds.

    Args:
        tensors: the file's tensors; a module without alpha has alpha = rank, as kohya reads it.
        network: the settings of the adapter that is to take the state.
        unet_config: the config of its UNet.

    Raises:
        UserError: names of another format, incomplete modules, or another rank or alpha than `network` has.
    """
    layout = UNetLayout.of(unet_config)
    modules = sorted({name.partition(".")[0] for name in tensors})
    expected = {module + end for module in modules for end in (DOWN, UP, ALPHA)}
    problems = [f"{name} is no tensor of kohya's LoRA format" for name in tensors if name not in expected]
    state: dict[str, Tensor] = {}
    for module in modules:
        down, up = tensors.get(module + DOWN), tensors.get(module + UP)
        if down is None or up is None:
            problems.append(f"{module} lacks lora_down.weight or lora_up.weight")
            continue
        rank = down.shape[0]
        alpha = tensors[module + ALPHA].item() if module + ALPHA in tensors else rank
        if rank != network.rank or not math.isclose(alpha, network.alpha, rel_tol=1e-3):  # fp16 rounds alpha
            problems.append(
                f"{module} has rank {rank}, alpha {alpha:g}; the run {network.rank} and {network.alpha:g}: "
                f"set network.rank={rank} network.alpha={alpha:g}"
            )
        try:
            path = module_path(module, layout)
        except ValueError as error:
            problems.append(str(error))
            continue
        state[f"{path}.lora_A"], state[f"{path}.lora_B"] = down.float(), up.float()
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
    bad = [name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()]
    if bad:
        raise UserError(
            f"{len(bad)} of {len(tensors)} tensors hold NaN, infinity or values beyond fp16's 65504, the first "
            f"is {bad[0]}: the training has diverged; use an earlier epoch's file, and lower optimizer.lr",
            title=f"{path.name} was not written",
        )
    files.write_safetensors(path, dict(tensors), {**metadata, **hashes(tensors, metadata)})


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
