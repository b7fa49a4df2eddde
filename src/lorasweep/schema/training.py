"""The loop."""

from __future__ import annotations

from dataclasses import dataclass

from lorasweep.schema.option import option


@dataclass
class TrainingConfig:
    """The loop."""

    batch_size: int = option(
        2,
        "images per batch",
        at_least=1,
        kohya="train_batch_size",
        ss="ss_batch_size_per_device",
    )
    epochs: int = option(
        10,
        "passes over the images and their repeats",
        at_least=1,
        resume="longer",
        kohya="max_train_epochs",
        aliases=("num_epochs", "num_train_epochs"),
        needs="training.max_steps=null",
        brought=True,
        overruled=True,
    )
    max_steps: int | None = option(
        None,
        "optimizer steps; wins over epochs",
        at_least=1,
        resume="longer",
        kohya="max_train_steps",
        aliases=("steps", "train_steps", "num_steps", "iterations"),
    )
    gradient_accumulation: int = option(
        1,
        "batches per optimizer step",
        at_least=1,
        kohya="gradient_accumulation_steps",
        ss="ss_gradient_accumulation_steps",
    )
    ema_decay: float | None = option(
        None,
        "exponential moving average of the trained weights (0.999 or so): it is what is measured, sampled and saved; "
        "null: off",
        above=0,
        below=1,
    )
    max_grad_norm: float = option(
        1.0,
        "gradients are clipped to this norm; 0: off",
        at_least=0,
        ss="ss_max_grad_norm",
    )
    mixed_precision: str = option(
        "auto",
        "auto: bf16 (else fp16) on a GPU, fp32 on a CPU",
        choices=("auto", "no", "fp16", "bf16"),
        meant={"fp32": "no", "float32": "no", "float16": "fp16", "half": "fp16", "bfloat16": "bf16"},
    )
    device: str = option(
        "auto",
        "auto: the GPU if there is one",
        choices=("auto", "cpu", "cuda"),
        resume="free",
        meant={"gpu": "cuda", "nvidia": "cuda", "cuda:0": "cuda"},
    )
    deterministic: bool = option(
        False,
        "on a GPU, add in a fixed order, which is slower: the same command gives the same bits, and so does an "
        "interrupted run that goes on, as always on a CPU",
        resume="free",
        needs="training.device=auto|cuda",
        aliases="full_determinism",
    )
    gradient_checkpointing: bool = option(
        False,
        "trade speed for memory",
        resume="free",
        ss="ss_gradient_checkpointing",
    )
    offload_idle: bool = option(
        True,
        "on a GPU, keep the image encoder and the cached text encoders in the CPU's memory while they are not needed",
        resume="free",
        needs="training.device=auto|cuda",
    )
    compile: bool = option(
        False,
        "compile the denoiser's transformer blocks in training steps: fewer kernels; not yet measured on a GPU",
        resume="free",
        aliases="torch_compile",
    )
    save_every_epochs: int = option(
        1,
        "write a weights file after every so many epochs (and the last)",
        at_least=1,
        resume="free",
        kohya="save_every_n_epochs",
    )
    keep_epochs: int | None = option(
        None,
        "weights files that stay on the disk: of the selected epoch and of the last N; null: of all epochs, in a "
        "search of the last",
        at_least=1,
        kohya="save_last_n_epochs",
        resume="free",
    )
    keep_state: bool = option(
        True,
        "keep the state of a version that has ended, from which it can be trained for longer; in a search only the "
        "best one's is kept, unless its command line says true",
        resume="free",
    )
    diffusers_folder: bool = option(
        True,
        "network=full: the selected checkpoint is written as a diffusers folder too",
        resume="free",
        needs="network.type=full",
    )
    state_every_steps: int = option(
        500,
        "save a resumable state every so many steps too; 0: only per epoch",
        at_least=0,
        resume="free",
        kohya="save_every_n_steps",
        aliases="checkpointing_steps",
    )
