"""Training of the toy base's UNet and two text encoders: a full fine-tune by the trainer itself, from random weights.

Everything is `lorasweep train lora=humanoid network=full ...`, so the toy base is made as its users fine-tune theirs.
The loss is debiased: steps of much noise count more, where colours, pose and background are decided; with even weights
the text had hardly any influence after a thousand steps.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path

import torch

from lorasweep import files
from lorasweep.data.providers import write_pictures
from lorasweep.randomness import random_for
from lorasweep.runs import ledger, paths
from lorasweep.runs.record import Record
from lorasweep.toy.captions import tokenizer_texts
from lorasweep.toy.humanoids import FIRST_HELDOUT, draw_humanoid
from lorasweep.toy.models import ToyDenoiser, write_denoiser
from lorasweep.toy.tokenizer import load_tokenizer, write_tokenizer

WEIGHTS = "diffusion_pytorch_model.safetensors"
"""What diffusers calls a model's weights."""

HUMANOIDS = 24_000
"""Humanoids that the base is trained on."""

HELDOUT_IMAGES = 32
"""Humanoids that its loss is measured on."""

SIZES = ((48, 80), (80, 48), (56, 72), (72, 56))
"""(width, height) of the pictures that are not square."""

SHARES = {"square": 0.7, "other shape": 0.12, "small": 0.04, "large": 0.14}
"""What the pictures are drawn as. The trainer brings small and large ones to 64 pixels and tells the UNet the size that
they had. None is mirrored: things are held on the left, so that there is one place for them to learn."""


def train_unet(base: Path, cache: Path, *, seed: int, steps: int, batch: int = 16, lr: float = 1e-3,
               humanoids: int = HUMANOIDS, workers: int = 1, start: Path | None = None) -> float:  # fmt: skip
    """Train UNet and text encoders and write them, the tokenizers and the scheduler into the folder `base`.

    A run that was stopped goes on where it was; with other arguments it is another one.

    Args:
        base: holds the finished VAE as `vae`.
        cache: for the drawings and the trainer's outputs.
        batch: rows per step, dealt out to `workers` processes.
        start: folder of a finished base with the same vocabulary, whose UNet and text encoders are begun from.

    Returns:
        Seconds of this call.

    Raises:
        CalledProcessError: the trainer failed; its messages are on the terminal.
    """
    started = time.monotonic()
    vae = files.sha256_of(base / "vae" / WEIGHTS)
    made_of = [seed, steps, batch, lr, humanoids, vae, start and files.sha256_of(start / "unet" / WEIGHTS)]
    run = cache / sha256(json.dumps(made_of).encode()).hexdigest()[:12]
    begun, outputs = run / "begun", run / "outputs"
    if not (outputs / "humanoid").exists():
        write_untrained(begun, base / "vae", seed, start)
    images, heldout = cache / f"humanoids-{seed}-{humanoids}", cache / f"humanoids-{seed}-heldout"
    draw_humanoids_into(images, range(humanoids), seed)
    draw_humanoids_into(heldout, range(FIRST_HELDOUT, FIRST_HELDOUT + HELDOUT_IMAGES), seed)
    settings = [
        "lora=humanoid", "network=full", f"output_root={outputs}", f"seed={seed}",
        f"base_model.path={begun}", f"dataset.path={images}", f"dataset.validation_path={heldout}",
        f"dataset.cache={cache / 'latents'}", "dataset.flip=false", "dataset.caption_dropout=0.1",
        "dataset.max_tokens=75", "dataset.bucket_min=32", "dataset.bucket_max=96", "dataset.bucket_step=8",
        "optimizer=adamw", f"optimizer.lr={lr}", f"optimizer.text_encoder_lr={lr}",
        f"scheduler.warmup_steps={min(300, steps // 4)}", "loss=debiased", "loss.noise_offset=0",
        f"training.max_steps={steps}", f"training.batch_size={batch}", "training.ema_decay=0.999",
        "evaluation.select_by=last", "features=none", "sampling.every_epochs=0", "tracker=none",
    ]  # fmt: skip
    version = _latest(outputs / "humanoid")
    line = ["lora=humanoid", f"output_root={outputs}", "resume=latest"] if version else settings
    if version is None or Record.read(version).status != "complete":
        subprocess.run([*_launcher(workers), "lorasweep", "train", *line], check=True)
    made = _latest(outputs / "humanoid")
    assert made is not None
    write_tokenizers(base, seed)
    _write(base, paths.diffusers(made, Record.read(made).stem))
    return time.monotonic() - started


def write_untrained(folder: Path, vae: Path, seed: int, start: Path | None) -> None:
    """Write the base that the training begins with: the finished VAE, the tokenizers, random or `start`'s weights."""
    shutil.copytree(vae, folder / "vae", dirs_exist_ok=True)
    write_tokenizers(folder, seed)
    torch.manual_seed(seed)
    _write(folder, start)


def draw_humanoids_into(folder: Path, numbers: range, seed: int) -> None:
    """Draw humanoids in the sizes of `SHARES` into `folder`, unless they are all there."""
    if len(list(folder.glob("*.txt"))) != len(numbers):
        write_pictures([draw_humanoid(number, size=size_of(number, seed), seed=seed) for number in numbers], folder)


def size_of(number: int, seed: int) -> tuple[int, int]:
    """Return (width, height) in pixels that a humanoid is drawn with."""
    choice = random_for(seed, "size", number)
    kind = choice.choices(list(SHARES), list(SHARES.values()))[0]
    if kind == "other shape":
        return choice.choice(SIZES)
    side = {"square": 64, "small": choice.randint(32, 56), "large": choice.randint(72, 256)}[kind]
    return side, side


def _launcher(workers: int) -> list[str]:
    if workers == 1:
        return [sys.executable, "-m"]
    return [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", f"--num_processes={workers}",
            "--num_machines=1", "--mixed_precision=no", "--dynamo_backend=no", "--module"]  # fmt: skip


def _latest(folder: Path) -> Path | None:
    found = [path for path in folder.glob("v*") if paths.record(path).exists()]
    return max(found, key=ledger.number_of, default=None)


def write_tokenizers(base: Path, seed: int) -> None:
    """Write SDXL's two tokenizers into the folder `base`; they differ in their padding only."""
    texts = tokenizer_texts(seed)
    write_tokenizer(base / "tokenizer", texts)
    write_tokenizer(base / "tokenizer_2", texts, pad="!")


def _write(base: Path, weights: Path | None) -> None:
    """Write UNet, text encoders and scheduler beside the tokenizers: with the weights of a base, or random ones."""
    vocabulary = len(load_tokenizer(base / "tokenizer"))
    model = ToyDenoiser(vocabulary)
    if weights is not None:
        for part, module in model.named_children():
            stored = type(module).from_pretrained(weights, subfolder=part, torch_dtype=torch.float32)  # type: ignore[attr-defined]
            module.load_state_dict(stored.state_dict())
    write_denoiser(model, vocabulary, base)
