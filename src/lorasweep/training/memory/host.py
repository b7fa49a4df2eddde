"""Whether the computer's memory has room for what a run keeps there, said before any of it is taken.

Memory that is not there ends a process without a word: the system kills it.
"""

from __future__ import annotations

from pathlib import Path

import psutil

from lorasweep.errors import UserError
from lorasweep.families.base import Base
from lorasweep.schema import Config
from lorasweep.training.memory.estimate import FP32, gib, trained_bytes, trained_count

CGROUP = Path("/sys/fs/cgroup")
"""Where a container's limit stands, below what the machine has."""


def check_host_memory(config: Config, base: Base) -> None:
    """Refuse a run whose trained part alone is more than the computer's free memory.

    Args:
        config: the whole config.
        base: loaded, without the adapter.

    Raises:
        UserError: it is, and which rank would fit.
    """
    needed, free = host_bytes(config, base), free_bytes()
    if needed <= free:
        return
    network = config.network
    message = f"{gib(needed)} of the computer's memory for what is trained and a copy to save, and {gib(free)} are free"
    if network.type == "full":
        raise UserError(
            f"network=full needs {message}: choose optimizer=adafactor, which keeps the least, or train a LoRA "
            "(network=lora)"
        )
    fits = int(network.rank * free / needed)
    cure = f"network.rank={fits} would fit" if fits else "not even rank 1 would fit: close other programs"
    raise UserError(f"network.rank={network.rank} needs {message}: {cure}")


def host_bytes(config: Config, base: Base) -> int:
    """Return what a run takes of the computer's memory, beside the base: its trained part and a state's copy.

    On a GPU only the copy is there, and the weights that a full fine-tune gives back at its end.
    """
    trained, count = trained_bytes(config, base), trained_count(config, base)
    state = trained - FP32 * count  # no gradients are saved
    originals = FP32 * count if config.network.type == "full" else 0
    return state + originals + (0 if base.device.type == "cuda" else trained)


def free_bytes() -> int:
    """Return the bytes that this process can still have: of the machine, or of the container that it is in."""
    free: int = psutil.virtual_memory().available
    try:
        limit = int((CGROUP / "memory.max").read_text())
        used = dict(line.split() for line in (CGROUP / "memory.stat").read_text().splitlines())
        return min(free, limit - int(used["anon"]))
    except (OSError, ValueError, KeyError):  # no such limit ("max"), or another system
        return free
