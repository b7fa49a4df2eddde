"""Device and precision, through accelerate."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from datetime import timedelta
from functools import lru_cache

import torch
from accelerate import Accelerator, InitProcessGroupKwargs
from accelerate.state import AcceleratorState
from accelerate.utils import GradientAccumulationPlugin

from lorasweep.errors import UserError
from lorasweep.schema import Config, TrainingConfig

DTYPES = {"no": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
WORDS = {"no": "fp32", "fp16": "fp16", "bf16": "bf16"}

MEANT_FOR_A_GPU = 512
"""Pixels from which on a base is not trained on a CPU by accident."""

FOREIGN_LAUNCHES = {
    "ACCELERATE_USE_DEEPSPEED": "DeepSpeed",
    "ACCELERATE_USE_FSDP": "FSDP",
    "ACCELERATE_USE_MEGATRON_LM": "Megatron-LM",
    "ACCELERATE_USE_PARALLELISM_CONFIG": "a parallelism config",
}
"""Ways of sharing out a model that accelerate's launcher sets up, by the variable that it sets."""


def open_accelerator(training: TrainingConfig) -> Accelerator:
    """Return an accelerator for this device and precision.

    Each version gets one of its own, so that an fp16 loss scale of one never touches another.

    Raises:
        UserError: CUDA asked for and absent, fp16 on a CPU, or a launch that would share out the model.
    """
    _check_launcher()
    device, precision = choice(training)
    # accelerate keeps one device and one precision per process; an earlier version may have had others.
    if AcceleratorState._shared_state:
        before = AcceleratorState()
        if (before.device.type, before.mixed_precision) != (device, precision):
            AcceleratorState._reset_state(reset_partial_state=True)
    # While the first process measures or samples, the others wait for it: minutes on a large base.
    patience = InitProcessGroupKwargs(timeout=timedelta(days=1))
    # A plugin, as the number alone would give way to ACCELERATE_GRADIENT_ACCUMULATION_STEPS and divide the gradients.
    one = GradientAccumulationPlugin(num_steps=1)
    return Accelerator(
        mixed_precision=precision, cpu=device == "cpu", kwargs_handlers=[patience], gradient_accumulation_plugin=one
    )


def set_determinism(training: TrainingConfig) -> None:
    """Have this process compute as `training.deterministic` says, from the next operation on.

    Not with `warn_only`: the backward passes of fused attention would only warn, and go on adding in any order.
    """
    on = training.deterministic
    if on:  # cuBLAS reads it at its first use
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(on)
    torch.utils.deterministic.fill_uninitialized_memory = False  # nothing here reads what it has not written
    torch.backends.cudnn.deterministic = on


def choice(training: TrainingConfig) -> tuple[str, str]:
    """Return what "auto" stands for on this machine: ("cpu" or "cuda", "no", "fp16" or "bf16").

    Raises:
        UserError: CUDA asked for and absent, or fp16 on a CPU.
    """
    cuda = torch.cuda.is_available()
    if training.device == "cuda" and not cuda:
        raise UserError(f"training.device=cuda, but {why_no_gpu()}: use training.device=auto or cpu")
    device = "cpu" if training.device == "cpu" or not cuda else "cuda"
    precision = training.mixed_precision
    if precision == "auto":
        precision = "no" if device == "cpu" else ("bf16" if has_bf16() else "fp16")
    if precision == "fp16" and device == "cpu":
        raise UserError("training.mixed_precision=fp16 needs a CUDA GPU: on a CPU use no, bf16 or auto")
    return device, precision


def has_bf16() -> bool:
    """Return whether the GPU computes in bf16 itself: before Ampere torch emulates it, without tensor cores."""
    return torch.cuda.is_bf16_supported(including_emulation=False)


def check_device(config: Config) -> None:
    """Refuse to train where it can only be an accident.

    Raises:
        UserError: a base of a GPU's size on a CPU that was not asked for, or a GPU that this torch has no kernels for.
    """
    device, _ = choice(config.training)
    if device == "cuda":
        capability, kernels = torch.cuda.get_device_capability(), torch.cuda.get_arch_list()
        if not runs_on(kernels, capability):
            raise UserError(
                f"{torch.cuda.get_device_name()} has compute capability {capability[0]}.{capability[1]}, and torch "
                f"{torch.__version__} is built for {', '.join(kernels)}: install a torch of an older CUDA version "
                "(https://pytorch.org/get-started/previous-versions), or train on the CPU with training.device=cpu"
            )
    elif config.training.device == "auto" and config.base_model.resolution >= MEANT_FOR_A_GPU:
        raise UserError(
            f"{why_no_gpu()}, and a base of {config.base_model.resolution} pixels is meant for one: to train it on "
            "the CPU all the same, add training.device=cpu"
        )


def runs_on(kernels: Sequence[str], capability: tuple[int, int]) -> bool:
    """Return whether kernels of these targets run on a GPU.

    Args:
        kernels: as `torch.cuda.get_arch_list` names them: `sm_86` runs on 8.6 and later 8.x, `compute_90` is compiled
            for any GPU from 9.0 on; other names (ROCm's) are not judged.
        capability: the GPU's, major and minor.
    """
    known = []
    for name in kernels:
        kind, _, number = name.partition("_")
        if kind in ("sm", "compute"):
            digits = number.rstrip("af")  # 90a and 100f: for 9.0 alone, and for the family of 10.0
            known.append((kind, int(digits[:-1]), int(digits[-1])))
    return not known or any(
        (major, minor) <= capability and (kind == "compute" or major == capability[0]) for kind, major, minor in known
    )


def describe(accelerator: Accelerator, asked: str = "auto") -> str:
    """Return device and precision in words, `NVIDIA H100 (cuda:0), bf16`, and what is odd about them.

    Args:
        asked: `training.device`; whoever asks for the CPU need not hear of a GPU that torch cannot use.
    """
    device, precision = accelerator.device, accelerator.mixed_precision
    words = WORDS[precision]
    if device.type == "cuda":
        line = f"{torch.cuda.get_device_name(device)} ({device}), {words}"
        if precision == "bf16" and not has_bf16():
            return f"{line}, which this GPU can only emulate, slowly: it computes in fp16 (training.mixed_precision)"
        return line
    unusable = asked == "auto" and not torch.cuda.is_available() and _cards()
    return f"CPU, {words}" + (f"; {why_no_gpu()}" if unusable else "")


def why_no_gpu() -> str:
    """Return why torch sees no GPU, as far as it can be told."""
    cards = _cards()
    if not cards:
        return "torch sees no CUDA device"
    found = f"torch cannot use this machine's GPU ({cards[0]})"
    if torch.version.cuda is None:
        return f"{found}, as torch {torch.__version__} is built without CUDA (https://pytorch.org/get-started)"
    if os.environ.get("CUDA_VISIBLE_DEVICES") is not None:
        return f"{found}, as CUDA_VISIBLE_DEVICES={os.environ['CUDA_VISIBLE_DEVICES']}"
    return f"{found}: its driver may be too old for CUDA {torch.version.cuda} (torch {torch.__version__})"


def dtype_of(accelerator: Accelerator) -> torch.dtype:
    """Return the precision in which the frozen base is kept."""
    return DTYPES[accelerator.mixed_precision]


def gpu_memory(device: torch.device) -> int | None:
    """Return the bytes of a GPU's memory that this process can have: what is free and what it holds already.

    None for any other device.
    """
    if device.type != "cuda":
        return None
    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device)


def _check_launcher() -> None:
    for variable, name in FOREIGN_LAUNCHES.items():
        if os.environ.get(variable, "false").lower() == "true":
            raise UserError(
                f"accelerate is configured for {name} ({variable}=true), which shares out a model; here every process "
                "has it whole: start with `accelerate launch --multi_gpu --num_processes N train.py ...`"
            )


@lru_cache(maxsize=1)
def _cards() -> tuple[str, ...]:
    """Return the GPUs that NVIDIA's driver lists, whether torch can use them or not."""
    if not (program := shutil.which("nvidia-smi")):
        return ()
    try:
        command = [program, "--query-gpu=name", "--format=csv,noheader"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(line.strip() for line in done.stdout.splitlines() if line.strip())
