"""Trainings of the toy with one fault each, planted on purpose: what the diagnosis is calibrated on.

    .venv/bin/python dev/planted_faults.py train /tmp/planted                      # hours on two cores
    .venv/bin/python dev/planted_faults.py train /tmp/planted --fault ok overfit   # some of them

Each is a version of its own in FOLDER/outputs, named `<fault>-<theme>-s<seed>`: five themes and three training seeds
for each fault. All train on 8 images of their theme and are measured on 8 others. What is there already stays.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lorasweep.toy.drawing import LabelledDrawing
from lorasweep.toy.humanoids import draw_humanoid
from lorasweep.toy.themes import THEMES, draw_theme

ROOT = Path(__file__).resolve().parents[1]
IMAGES = 8
SEEDS = (0, 1, 2)
CLASS = "humanoid"
"""What the base calls such a figure."""
COMMON = (
    "lora=custom network=lora optimizer=adamw optimizer.lr=3e-3 optimizer.text_encoder_lr=1e-4 "
    "network.rank=8 network.alpha=4 training.batch_size=2 sampling.every_epochs=0 evaluation.timesteps=16 "
    "training.keep_epochs=null training.keep_state=false tracker=none"
)


@dataclass(frozen=True)
class Fault:
    """How a fault is planted.

    Attributes:
        overrides: beside the common ones.
        steps: optimizer steps.
        caption: what becomes of a caption, given its trigger.
        regularised: whether the base's own drawings are trained on too.
    """

    overrides: str
    steps: int = 400
    caption: Callable[[str, str], str] = lambda caption, trigger: caption
    regularised: bool = False


FAULTS = {
    "ok": Fault(""),
    "underfit": Fault("", steps=20),
    "overfit": Fault("network.rank=32 network.alpha=16", steps=8000),
    # Ten times the rate.
    "noisy_style": Fault("optimizer.lr=3e-2"),
    # The effect of a LoRA with a high alpha is strong everywhere: v4 of FuzzyBear in the seeds.
    "identity_loss": Fault("network.alpha=32 optimizer.text_encoder_lr=3e-3"),
    # The pictures are called by another word, and the class stays what it was: the trigger calls nothing.
    "trigger_weak": Fault("", caption=lambda caption, trigger: caption.replace(trigger, "costume"), regularised=True),
    # No trigger: the word for the class is taken over.
    "trigger_leaks": Fault("", caption=lambda caption, trigger: caption.replace(trigger, CLASS)),
}


def main() -> int:
    """Train what is not there yet; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("verb", choices=("train",))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--fault", nargs="+", choices=tuple(FAULTS), default=list(FAULTS))
    parser.add_argument("--theme", nargs="+", choices=tuple(THEMES), default=list(THEMES))
    parser.add_argument("--seed", nargs="+", type=int, default=SEEDS)
    options = parser.parse_args()
    folder = options.folder.absolute()
    for seed in options.seed:
        for theme in options.theme:
            for fault in options.fault:
                train(folder, fault, theme, seed)
    return 0


def train(folder: Path, fault: str, theme: str, seed: int) -> None:
    """Train one version, unless it is complete.

    Args:
        folder: of all of them.
        fault: a key of `FAULTS`.
        theme: a key of `THEMES`.
        seed: of the training.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    name, planted = f"{fault}-{theme}-s{seed}", FAULTS[fault]
    if list((folder / "outputs").glob(f"{name}/v*/{name}_v?.safetensors")):
        return
    data = folder / "data" / f"{fault}-{theme}"
    write(data, planted, theme)
    overrides = f"name={name} dataset.path={data / 'images'} dataset.validation_path={data / 'heldout'}"
    overrides += f" dataset.trigger={THEMES[theme].trigger} seed={seed} output_root={folder / 'outputs'}"
    overrides += f" training.max_steps={planted.steps} dataset.repeats={planted.steps * 2 // IMAGES // 5 or 1}"
    if planted.regularised:
        overrides += f" dataset.regularisation_path={data / 'class'}"
    command = [sys.executable, str(ROOT / "train.py"), *COMMON.split(), *planted.overrides.split(), *overrides.split()]
    # A process that was killed has left a folder without weights: the next number takes over.
    shutil.rmtree(folder / "outputs" / name, ignore_errors=True)
    subprocess.run(
        command, cwd=folder, check=True, stdout=subprocess.DEVNULL, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    print(name, flush=True)


def write(data: Path, planted: Fault, theme: str) -> None:
    """Write the images and captions of a planted fault.

    Args:
        data: the folder to write to.
        planted: the fault.
        theme: a key of `THEMES`.
    """
    trigger = THEMES[theme].trigger
    drawings = draw_theme(theme, IMAGES)
    heldout = draw_theme(theme, IMAGES, start=THEMES[theme].images)
    sets: dict[str, list[tuple[LabelledDrawing, str]]] = {
        "images": [(drawing, planted.caption(drawing.caption, trigger)) for drawing in drawings],
        "heldout": [(drawing, drawing.caption) for drawing in heldout],
    }
    if planted.regularised:
        sets["class"] = [(drawing, drawing.caption) for drawing in map(draw_humanoid, range(IMAGES))]
    for name, rows in sets.items():
        (data / name).mkdir(parents=True, exist_ok=True)
        for index, (drawing, caption) in enumerate(rows):
            drawing.image.save(data / name / f"{index:03d}.png")
            (data / name / f"{index:03d}.txt").write_text(caption)


if __name__ == "__main__":
    sys.exit(main())
