"""From the layers of a weights file to the state of the adapter of a run."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

from torch import Tensor

from lorasweep.adapters.kinds.kind import adapter_kind
from lorasweep.adapters.ranks import layer_rank
from lorasweep.errors import UserError
from lorasweep.export.alphas import alphas_in_file
from lorasweep.export.layer_sizes import Size, rank_settings
from lorasweep.export.layers import ALPHA, DORA, PEFT_DORA, FileLayers, kind_of_end, rank_of
from lorasweep.families.naming import Naming
from lorasweep.schema import NetworkConfig
from lorasweep.text.shell import shell_quoted

Problems = dict[tuple[str, str], list[str]]
"""What is wrong and the cure -> the names in the file that it is wrong with."""

OTHER_DORA = ": the DoRA that is trained here has lengths of input columns; start from a LoRA without DoRA"


def adapter_state(layers: FileLayers, network: NetworkConfig) -> dict[str, Tensor]:
    """Return the state (fp32, for `Adapter.load`) of an adapter of the settings `network` that acts as a file does.

    Args:
        layers: of the file; one without alpha has alpha = rank, as kohya reads it.
        network: the settings of the adapter that is to take the state.

    Raises:
        UserError: another kind of adapter, incomplete layers, or another rank or alpha than `network` has.
    """
    problems: Problems = defaultdict(list)
    state: dict[str, Tensor] = {}
    for layer, tensors in sorted(layers.tensors.items()):
        parameters = _parameters(layers.names[layer], tensors, network, problems)
        state |= {f"{layer}.{name}": values.float() for name, values in parameters.items()}
    if problems:
        raise misfit(problems)
    for layer, factor in _factors(layers, network).items():
        if f"{layer}.lora_A" in state and factor != 1:
            state[f"{layer}.lora_A"] *= factor
    return state


def misfit(problems: Mapping[tuple[str, str], Sequence[str]]) -> UserError:
    """Return the refusal of a file.

    Args:
        problems: what is wrong with tensors or layers and the cure -> their names in the file.
    """
    lines = [f"{names[0]} {wrong}{_count(names)}{cure}" for (wrong, cure), names in problems.items()]
    return UserError(lines, title="These weights do not fit this adapter")


def _parameters(
    name: str, tensors: Mapping[str, Tensor], network: NetworkConfig, problems: Problems
) -> dict[str, Tensor]:
    """Return a layer's parameters by the adapter's names for them, and note what is too much or too little."""
    kind = adapter_kind(network.type)
    ends = {end: own for own, end in kind.ends.items() if kind.optional(own, network)}
    if others := [end for end in tensors if end not in ends and end != ALPHA]:
        for end in others:
            problems[f"is no tensor of a {_format(network)}", _cure(end)].append(name + end)
        return {}
    if DORA in tensors and DORA in ends and tensors[DORA].shape[0] != 1:
        problems["has lengths of output rows", OTHER_DORA].append(name)
    if missing := kind.missing(tensors.keys(), network):
        problems[f"lacks {missing}", ""].append(name)
    return {own: tensors[end] for end, own in ends.items() if end in tensors}


def _factors(layers: FileLayers, network: NetworkConfig) -> dict[str, float]:
    """Return what a file's update must be multiplied by where its alpha is not the layer's; see `alphas`.

    Raises:
        UserError: layers have another rank, or an alpha that this run's files would not have.
    """
    written = alphas_in_file(network, layers.tensors, layers.naming)
    factors: dict[str, float] = {}
    sizes: dict[str, Size] = {}
    wrong: list[str] = []
    for layer, tensors in layers.tensors.items():
        expected, rank = layer_rank(network, layer), rank_of(tensors)
        if not rank:  # LoKr's whole factors: their alpha is not read
            continue
        alpha = tensors[ALPHA].item() if ALPHA in tensors else float(rank)
        sizes[layer] = Size(rank, alpha / math.sqrt(rank) if network.rslora else alpha)
        factors[layer] = 1.0 if _close(alpha, expected.alpha) else alpha / expected.alpha
        if rank != expected.rank or not (factors[layer] == 1 or _close(alpha, written[layer])):
            wrong.append(layer)
    if wrong:
        size, expected = sizes[wrong[0]], layer_rank(network, wrong[0])
        alpha = size.alpha * math.sqrt(size.rank) if network.rslora else size.alpha
        names = [layers.names[layer] for layer in wrong]
        had = f"rank {size.rank}, alpha {alpha:g}; the run {expected.rank} and {expected.alpha:g}"
        raise misfit({(f"has {had}", _size_cure(network, sizes, layers.naming)): names})
    return factors


def _close(alpha: float, expected: float) -> bool:
    return math.isclose(alpha, expected, rel_tol=1e-3)  # fp16 rounds


def _size_cure(network: NetworkConfig, sizes: Mapping[str, Size], naming: Naming) -> str:
    """The settings with which a run's layers have the sizes of a file's."""
    settings = rank_settings(sizes, naming)
    if settings is None:
        many = len(set(sizes.values()))
        return f": its layers have {many} sizes, too many for network.ranks; resize it to one rank with sd-scripts"
    entries = settings.get("network.ranks", [])
    given = [f"network.rank={settings['network.rank']}", f"network.alpha={settings['network.alpha']:g}"]
    if entries or network.ranks:
        listed = ",".join(f'"{entry}"' for entry in entries)
        given.append(shell_quoted(f"network.ranks=[{listed}]"))
    return f": set {' '.join(given)}"


def _count(names: Sequence[str]) -> str:
    return f" ({len(names)} such)" if len(names) > 1 else ""


def _format(network: NetworkConfig) -> str:
    return adapter_kind(network.type).title + (" with DoRA" if network.dora else "")


def _cure(end: str) -> str:
    """What to set for a tensor that another kind of adapter has."""
    if end == PEFT_DORA:
        return OTHER_DORA
    if end == DORA:
        return ": set network.dora=true"
    kind = kind_of_end(end)
    return f": set network={kind}" if kind else ""
