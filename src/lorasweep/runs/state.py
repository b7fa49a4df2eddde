"""The resumable state of a version: one safetensors file, so that one rename makes it valid.

No generator state is in it: every draw is a function of the step (see `lorasweep.randomness`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from lorasweep import files
from lorasweep.errors import UserError
from lorasweep.runs import paths


def save_state(folder: Path, step: int, tensors: dict[str, Tensor], plain: dict[str, Any]) -> Path:
    """Write `state/step-<step>.safetensors` and then remove older states.

    Args:
        folder: the version folder.
        step: optimizer steps done.
        tensors: adapter and optimizer tensors.
        plain: JSON values that belong to them.
    """
    path = paths.state(folder, step)
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    files.write_safetensors(path, contiguous, {"plain": json.dumps({"step": step, **plain})})
    for other in paths.states(folder):
        if other != path:
            other.unlink()
    return path


def load_state(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Return tensors and plain values of the latest state, or None when the version was stopped before its first.

    Raises:
        UserError: the state file is damaged.
    """
    states = paths.states(folder)
    if not states:
        return None
    with _opened(states[-1]) as (stream, plain):
        return {name: stream.get_tensor(name) for name in stream.keys()}, plain  # noqa: SIM118


def latest(folder: Path) -> tuple[Path, int] | None:
    """Return the path of the latest state and the optimizer steps done in it, or None where there is none.

    Raises:
        UserError: the state file is damaged.
    """
    states = paths.states(folder)
    if not states:
        return None
    with _opened(states[-1]) as (_, plain):
        return states[-1], plain["step"]


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Open a state file; give its tensors' reader and its plain values."""
    try:
        with safe_open(path, "pt") as stream:
            yield stream, json.loads(stream.metadata()["plain"])
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{path} is damaged ({error}); start the version again without resume, its weights files are untouched"
        ) from None
