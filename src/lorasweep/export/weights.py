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
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load
from torch import Tensor

from lorasweep import files
from lorasweep.adapters.kinds.kind import adapter_kind
from lorasweep.adapters.ranks import layer_rank
from lorasweep.errors import UserError
from lorasweep.export.alphas import alphas_in_file
from lorasweep.export.layers import ALPHA, DORA, rank_of
from lorasweep.export.metadata import hashes
from lorasweep.families.finite import require_finite
from lorasweep.families.naming import Naming
from lorasweep.families.weights_files import PICKLES, safetensors_problem, tensors_command
from lorasweep.schema import NetworkConfig


def export_tensors(adapter_state: Mapping[str, Tensor], network: NetworkConfig, naming: Naming) -> dict[str, Tensor]:
    """Return the tensors of a weights file.

    Args:
        adapter_state: what `Adapter.state()` returned: `<component>.<path>.<parameter>`.
        network: the adapter's settings; with the alpha that is written, the file's update is the trained one.
        naming: of the base that it adapts.

    Returns:
        fp16 tensors by the names that loaders know: kohya's. alpha is fp16 too, or fp32 where fp16 would round it.
    """
    ends = adapter_kind(network.type).ends
    tensors: dict[str, Tensor] = {}
    modules = _by_module(adapter_state)
    alphas = alphas_in_file(network, modules, naming)
    for module, parameters in modules.items():
        kohya = naming.in_file(module)
        size = layer_rank(network, module)
        for name, values in parameters.items():
            dtype = torch.float32 if ends[name] == DORA else torch.float16
            scaled = values * (size.alpha / alphas[module]) if name == "lora_A" else values
            tensors[kohya + ends[name]] = scaled.to("cpu", dtype).contiguous()
        ranked = rank_of({ends[name]: values for name, values in parameters.items()})
        tensors[kohya + ALPHA] = _exact(alphas[module] if ranked else size.rank)
    return tensors


def write_weights(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a weights file, atomically, with the hashes that identify it added to `metadata`.

    Raises:
        UserError: a value is NaN or infinite (also one that fp16 cannot hold); nothing is written.
        OSError: the file cannot be written; an earlier one is untouched.
    """
    require_finite(tensors, path)
    files.write_safetensors(path, dict(tensors), {**metadata, **hashes(tensors, metadata)})


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return tensors and metadata of a safetensors file; metadata of other programs may be less than text.

    Raises:
        UserError: a missing file, a pickled one (with the command that converts it), or a damaged one.
    """
    title = f"{path} cannot be read"
    if path.suffix.lower() in PICKLES:
        raise UserError(
            f"{path.suffix} files are pickles, which can run any code when read; expected .safetensors. "
            f"Convert it with: {tensors_command(path)}",
            title=title,
        )
    if not path.is_file():
        raise UserError("there is no such file; expected a .safetensors file", title=title)
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        if (problem := safetensors_problem(path)) is None:
            with suppress(SafetensorError):
                return _read_leniently(path)
            problem = str(error)
        raise UserError(f"it is damaged: {problem}; copy or download it again", title=title) from error


def _read_leniently(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read a file whose header is sound but for its metadata: values that are no text, or text that is no UTF-8."""
    content = path.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start].decode("utf-8", "replace"))
    about = header.pop("__metadata__", None)
    bare = json.dumps(header).encode()
    tensors = load(len(bare).to_bytes(8, "little") + bare + content[start:])
    pairs = about.items() if isinstance(about, dict) else ()
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in pairs}
    return tensors, {key: text.encode("utf-8", "replace").decode() for key, text in texts.items()}


def _by_module(state: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    modules: dict[str, dict[str, Tensor]] = defaultdict(dict)
    for name, values in state.items():
        module, _, parameter = name.rpartition(".")
        modules[module][parameter] = values
    return modules


def _exact(alpha: float) -> Tensor:
    half = torch.tensor(alpha, dtype=torch.float16)
    return half if half.item() == alpha else torch.tensor(alpha, dtype=torch.float32)
