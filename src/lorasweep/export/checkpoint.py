"""Whole checkpoints: what a full fine-tune leaves, as one file for image generators."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from lorasweep import files
from lorasweep.families.finite import require_finite


def write_checkpoint(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a whole checkpoint, atomically.

    Args:
        path: the file.
        tensors: what `Base.file_tensors` returned.
        metadata: strings, such as `modelspec.*`.

    Raises:
        UserError: a value is NaN or infinite (also one that fp16 cannot hold); nothing is written.
        OSError: the file cannot be written; an earlier one is untouched.
    """
    require_finite(tensors, path)
    files.write_safetensors(path, dict(tensors), dict(metadata))
