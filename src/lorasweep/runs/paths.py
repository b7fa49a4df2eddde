"""The names of everything in a version's folder, `outputs/<slug>/v<N>/`: whatever is read or written there asks here.

Each function takes the folder first and returns a path in it, whether or not something is there.
"""

from __future__ import annotations

import re
from pathlib import Path

STATE = re.compile(r"step-\d{8,}\.safetensors")


def sibling(folder: Path, number: int) -> Path:
    """Return the folder of another version of the same name."""
    return folder.with_name(f"v{number}")


def record(folder: Path) -> Path:
    """Return the path of record.json: what the version is, and how far it has come."""
    return folder / "record.json"


def metrics(folder: Path) -> Path:
    """Return the path of metrics.jsonl: a row for every few steps and for every epoch."""
    return folder / "metrics.jsonl"


def log(folder: Path) -> Path:
    """Return the path of train.log: what was printed, and when."""
    return folder / "train.log"


def notes(folder: Path) -> Path:
    """Return the path of what somebody noted about the version; nothing here writes it."""
    return folder / "notes.txt"


def manifest(folder: Path) -> Path:
    """Return the path of the list of the images that are trained on."""
    return folder / "data.json"


def curves(folder: Path) -> Path:
    """Return the path of the picture of the loss curves."""
    return folder / "curves.png"


def config(folder: Path) -> Path:
    """Return the path of the whole config, as Hydra would write it."""
    return folder / ".hydra" / "config.yaml"


def overrides(folder: Path) -> Path:
    """Return the path of the overrides of the command line."""
    return folder / ".hydra" / "overrides.yaml"


def choices(folder: Path) -> Path:
    """Return the path of the choice that was made in each config group."""
    return folder / ".hydra" / "choices.yaml"


def weights(folder: Path, stem: str, epoch: int) -> Path:
    """Return the path of the weights file of an epoch.

    Args:
        folder: of the version.
        stem: how the names of its weights files begin: `FuzzyBear_v6`.
        epoch: counted from 1.
    """
    return folder / f"{stem}-{epoch:06d}.safetensors"


def epoch_weights(folder: Path, stem: str | None = None) -> list[Path]:
    """Return the weights files of epochs that are there, by name.

    Args:
        folder: of the version.
        stem: as `weights` takes it; None finds those of any name.
    """
    pattern = re.compile(rf"{'.+' if stem is None else re.escape(stem)}-\d{{6,}}\.safetensors")
    return sorted(path for path in folder.glob("*.safetensors") if pattern.fullmatch(path.name))


def selected(folder: Path, stem: str) -> Path:
    """Return the path of the weights file of the selected epoch.

    Args:
        folder: of the version.
        stem: as `weights` takes it.
    """
    return folder / f"{stem}.safetensors"


def diffusers(folder: Path, stem: str) -> Path:
    """Return the path of the selected checkpoint as a diffusers folder (full fine-tunes only).

    Args:
        folder: of the version.
        stem: as `weights` takes it.
    """
    return folder / f"{stem}_diffusers"


def state(folder: Path, step: int) -> Path:
    """Return the path of the resumable state after a number of optimizer steps."""
    return folder / "state" / f"step-{step:08d}.safetensors"


def states(folder: Path) -> list[Path]:
    """Return the saved states, the latest last; there is one, but for the moment in which it is replaced."""
    return sorted(path for path in (folder / "state").glob("step-*") if STATE.fullmatch(path.name))


def lock(folder: Path) -> Path:
    """Return the path of the file that the process which trains the version holds a lock on."""
    return folder / "state" / ".lock"


def sample(folder: Path, epoch: int, index: int) -> Path:
    """Return the path of a sample image.

    Args:
        folder: of the version.
        epoch: after which it was drawn; 0 is the base before training.
        index: of its prompt.
    """
    return folder / "samples" / f"{epoch:06d}_{index:02d}.png"


def samples(folder: Path) -> dict[Path, int]:
    """Return the sample images that are there, by name, each with its epoch."""
    found = sorted((folder / "samples").glob("[0-9]*_[0-9]*.png"))
    return {path: int(path.name.partition("_")[0]) for path in found}


def sampled_epochs(folder: Path, count: int) -> list[int]:
    """Return the epochs that have a full set of samples, in order.

    Args:
        folder: of the version.
        count: the number of prompts.
    """
    seen = sorted(set(samples(folder).values()))
    return [epoch for epoch in seen if all(sample(folder, epoch, index).exists() for index in range(count))]


def training_image(folder: Path, index: int) -> Path:
    """Return the path of a training image that is kept beside the samples."""
    return folder / "samples" / f"training_{index:02d}.png"


def training_images(folder: Path) -> list[Path]:
    """Return the training images that are kept beside the samples."""
    return sorted((folder / "samples").glob("training_[0-9]*.png"))


def grid(folder: Path) -> Path:
    """Return the path of the sheet of all samples: prompts x epochs."""
    return folder / "samples" / "grid.png"


def before_after(folder: Path) -> Path:
    """Return the path of the picture of the base beside the selected epoch."""
    return folder / "samples" / "before_after.png"


def earlier_samples(folder: Path, step: int) -> Path:
    """Return the folder for what was sampled with other settings up to a step."""
    return folder / "samples" / f"until_step_{step:06d}"


def pictures(folder: Path) -> list[Path]:
    """Return every picture among the samples: of epochs, of training images, sheets."""
    return sorted((folder / "samples").glob("*.png"))


def trigger_grid(folder: Path, digest: str) -> Path:
    """Return the path of the picture of a trigger analysis.

    Args:
        folder: of the version; of a file from elsewhere the output root.
        digest: of all that decided the analysis, so that no other is written over.
    """
    return folder / "trigger" / f"{digest}.png"


def subfolders(folder: Path) -> list[Path]:
    """Return the folders in which a killed process leaves what it had not finished."""
    return [folder, folder / "state", folder / "samples", folder / ".hydra"]
