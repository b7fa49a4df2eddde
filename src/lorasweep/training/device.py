"""Device and precision, through accelerate."""

from __future__ import annotations

from datetime import timedelta

import torch
from accelerate import Accelerator, InitProcessGroupKwargs
from accelerate.state import AcceleratorState

from lorasweep.config import TrainingConfig
from lorasweep.errors import UserError

DTYPES = {"no": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def open_accelerator(training: TrainingConfig) -> Accelerator:
    """Return an accelerator for this device and precision.

    Each version gets one of its own, so that an fp16 loss scale of one never touches another.

    Raises:
        UserError: CUDA asked for and absent, or fp16 on a CPU.
    """
    cuda = torch.cuda.is_available()
    if training.device == "cuda" and not cuda:
        raise UserError("training.device=cuda, but torch sees no CUDA device: use training.device=auto or cpu")
    cpu = training.device == "cpu" or not cuda
    precision = training.mixed_precision
    if precision == "auto":
        precision = "no" if cpu else ("bf16" if torch.cuda.is_bf16_supported() else "fp16")
    if precision == "fp16" and cpu:
        raise UserError("training.mixed_precision=fp16 needs a CUDA GPU: on a CPU use no, bf16 or auto")
    # accelerate keeps one precision per process; an earlier version in this process may have had another.
    if AcceleratorState._shared_state and AcceleratorState().mixed_precision != precision:
        AcceleratorState._reset_state(reset_partial_state=True)
    # While the first process measures or samples, the others wait for it: minutes on a large base.
    patience = InitProcessGroupKwargs(timeout=timedelta(days=1))
    return Accelerator(mixed_precision=precision, cpu=cpu, kwargs_handlers=[patience])


def dtype_of(accelerator: Accelerator) -> torch.dtype:
    """Return the precision in which the frozen base is kept."""
    return DTYPES[accelerator.mixed_precision]


def gpu_memory(device: torch.device) -> int | None:
    """Return the bytes of a GPU's memory; None for any other device."""
    return torch.cuda.get_device_properties(device).total_memory if device.type == "cuda" else None
