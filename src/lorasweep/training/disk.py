"""How much of the disk a version, or a whole search, will take: told before it starts; what cannot fit does not start.

Counted from the shapes of what is trained: the weights file of an epoch in 16 bit, the state in 32 bit with all that
the optimizer keeps. Samples and logs are small beside them and not counted.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor, nn

from lorasweep.errors import UserError
from lorasweep.families.known import family_of
from lorasweep.families.parts import learning_rates
from lorasweep.runs import command_lines as commands
from lorasweep.runs import paths
from lorasweep.schema import Config
from lorasweep.text.values import size
from lorasweep.training.memory.activations import meta_adapter, network_key
from lorasweep.training.memory.estimate import state_per_weight

HALF, FULL = 2, 4  # bytes of a weight in a file for use, and in a state
HEADER = 130  # bytes that a tensor's name, shape and place take in a file
SMALL = 4096  # elements, below which 8 bit optimizers keep their state in 32
METADATA = 8_000  # bytes of what a weights file says of itself


@dataclass(frozen=True)
class Footprint:
    """What a version takes of the disk at most, in bytes.

    Attributes:
        weights: the weights file of one epoch.
        files: how many of them there are in the end.
        state: the saved state.
        folder: the diffusers folder of a full fine-tune; 0 of others.
        saved: how many epochs write a file.
    """

    weights: int
    files: int
    state: int
    folder: int
    saved: int

    @property
    def peak(self) -> int:
        """Return the most there is at a time: a file or a state is written before another one goes."""
        return min(self.files + 1, self.saved) * self.weights + 2 * self.state + self.folder

    def explain(self) -> str:
        """Return it in words."""
        files = f"{self.files} weights file{'s' if self.files > 1 else ''} of {size(self.weights)}"
        folder = f", a diffusers folder of {size(self.folder)}" if self.folder else ""
        return f"{files}, a state of {size(self.state)}{folder}: up to {size(self.peak)}"


def footprint(
    config: Config, parameters: Mapping[str, Tensor], modules: Mapping[str, nn.Module], epochs: int
) -> Footprint:
    """Return what a version takes.

    Args:
        config: of the version.
        parameters: what is trained, by name; tensors without content will do.
        modules: the parts of its base, all of whose weights are in the files of a full fine-tune.
        epochs: how many it is trained for.
    """
    training, tensors = config.training, len(parameters)
    count = sum(parameter.numel() for parameter in parameters.values())
    average = training.ema_decay is not None
    kept = {small: 1 + average + state_per_weight(config.optimizer, 32 if small else 256) for small in (False, True)}
    in_state = sum(parameter.numel() * kept[parameter.numel() < SMALL] for parameter in parameters.values())
    whole = modules.values() if config.network.type == "full" else ()
    named = [parameter for module in whole for parameter in module.parameters()]
    in_file = sum(parameter.numel() for parameter in named) or count
    weights = HALF * in_file + HEADER * (len(named) or tensors * 3 // 2) + METADATA  # each pair has an alpha
    saved = -(-epochs // training.save_every_epochs)
    return Footprint(
        weights=weights,
        files=saved if training.keep_epochs is None else min(saved, training.keep_epochs + 1),
        state=round(FULL * in_state + HEADER * tensors * max(kept.values())),
        folder=weights if named and training.diffusers_folder else 0,
        saved=saved,
    )


def check_disk(needed: Footprint, config: Config, folder: Path, line: Sequence[str]) -> str:
    """Return in a line what a version will take of the disk and what is free there.

    Args:
        needed: what it takes.
        config: of the version.
        folder: where it will lie, or lies already: what is there counts as written.
        line: its overrides.

    Raises:
        UserError: it does not fit; with the commands that would.
    """
    free = free_at(folder)
    there = sum(path.stat().st_size for path in [*paths.epoch_weights(folder), *paths.states(folder)])
    if needed.peak - there <= free:
        return f"disk: {needed.explain()}; {size(free)} free"
    thrifty = replace(needed, files=min(needed.saved, 2))
    ways = {"remove what older versions do not need": "lorasweep clean"}
    if thrifty.peak - there <= free:
        ways["keep the best and the last epoch"] = commands.train(commands.changed(line, ["training.keep_epochs=1"]))
    ways["write elsewhere"] = commands.train(commands.changed(line, ["output_root=FOLDER"]))
    raise UserError(
        f"the disk of {config.output_root} has {size(free)} free, and it takes {needed.explain()}", ways=ways
    )


def of_trial(config: Config) -> Footprint | None:
    """Return what a version takes, without its base: from the configs in the base's folder.

    Args:
        config: of the version.

    Returns:
        None where the base is not on this machine yet.
    """
    family = family_of(config.base_model)
    probes = family.probes(config.base_model)
    if probes is None:
        return None
    modules: dict[str, nn.Module] = {part: probe.build() for part, probe in probes.items()}
    trained = {part: modules[part] for part in learning_rates(family.parts, config.optimizer)}
    if config.network.type == "full":
        named = [(f"{part}.{name}", it) for part in trained for name, it in trained[part].named_parameters()]
        parameters: dict[str, Tensor] = dict(named)
    else:
        parameters = dict(meta_adapter(trained, family, network_key(config.network)).named_parameters())
    return footprint(config, parameters, modules, config.training.epochs)


def free_at(folder: Path) -> int:
    """Return the bytes that are free where a folder is, or will be."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    return shutil.disk_usage(there).free
