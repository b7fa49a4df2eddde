"""When the GPU's memory is not enough: how that is recognised, and what the user can do about it, as commands."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from lorasweep.errors import UserError
from lorasweep.families.base import Base
from lorasweep.runs import command_lines as commands
from lorasweep.schema import Config
from lorasweep.training.memory.estimate import gib
from lorasweep.training.memory.forecast import Saving, best_savings

SIGNS = ("out of memory", "ALLOC_FAILED", "cublasCreate")
"""What errors say that are none of torch's own: of the driver, and of libraries that find no room to work in."""

PHASES = {
    "load": "while the base was loaded",
    "cache": "while images and captions were encoded",
    "sample": "while samples were drawn",
    "evaluate": "while the version was measured",
}


def out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that the GPU's memory was not enough."""
    if isinstance(error, torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in SIGNS)


def out_of_memory_message(error: BaseException, where: str) -> str:
    """Return what there is to say of an error that `out_of_memory` knows.

    Args:
        error: its first sentences say what was asked for.
        where: what was being done: `in step 3`.
    """
    text = str(error).strip().partition("\n")[0] or type(error).__name__
    return f"out of GPU memory {where} ({'. '.join(text.split('. ')[:2]).rstrip('.')})"


def cures(config: Config, found: Sequence[Saving], overrides: Sequence[str], version: int | None) -> dict[str, str]:
    """Return settings that save memory -> the command that applies them.

    Args:
        config: of the version that lacks memory.
        found: what would save how much.
        overrides: the command line that the version began with.
        version: N of vN, which goes on with what decides nothing of what it learns; None before it has begun.
    """
    ways = {}
    for saving in found:
        purpose, goes_on = saving.explain(), version is not None and saving.free
        if version is not None:
            purpose = f"{'go on' if goes_on else 'begin anew'} with {purpose}"
        if version is not None and goes_on:
            command = commands.resume(config.name, config.recipe, version, config.output_root, *saving.overrides)
        else:
            command = commands.train(commands.changed(overrides, saving.overrides))
        ways[purpose] = command
    return ways


def check_room(error: BaseException, config: Config, base: Base | None, overrides: Sequence[str], phase: str) -> None:
    """Say what would help, if an error before the first step is that there is no room.

    Args:
        error: any.
        config: of the version.
        base: its base, if that could be loaded.
        overrides: its command line.
        phase: "load", "cache" or "train", what was being done.

    Raises:
        UserError: it is.
    """
    if not out_of_memory(error):
        return
    if base is not None:
        found = best_savings(config, base, phase)
    else:
        kinds = config.network.quantizations if config.base_model.quantization is None else ()
        found = [Saving((f"base_model.quantization={kind}",), None) for kind in kinds]
    problems = [out_of_memory_message(error, PHASES.get(phase, "before the first step")), *_others()]
    raise UserError(problems, ways=cures(config, found, overrides, None)) from error


def _others() -> list[str]:
    """Return a line on what other programs hold of the GPU."""
    if not torch.cuda.is_available():
        return []
    free, total = torch.cuda.mem_get_info()
    others = total - free - torch.cuda.memory_reserved()
    return [f"of the GPU's {gib(total)} other programs hold {gib(others)}; nvidia-smi shows which"]
