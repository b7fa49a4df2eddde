"""Where the sample images of a version lie, and what each of them was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lorasweep.text.triggers import names_trigger, with_trigger


@dataclass(frozen=True)
class Prompt:
    """One sample of every sheet: the text, its seed, and whether it calls the adapter by its trigger."""

    text: str
    seed: int
    triggered: bool


def prompts_of(prompts: Sequence[str], seeds: Sequence[int], trigger: str) -> list[Prompt]:
    """Return prompt x seed in the order of the config, the trigger filled in.

    Args:
        prompts: `sampling.prompts`.
        seeds: `sampling.seeds`.
        trigger: `dataset.trigger`.
    """
    texts = [(with_trigger(text, trigger), names_trigger(text)) for text in prompts]
    return [Prompt(text, seed, called or bool(trigger and trigger in text)) for text, called in texts for seed in seeds]


def labels_of(prompts: Sequence[Prompt]) -> list[str]:
    """Return what the rows of a sheet are called: the prompts, with their seeds where these differ."""
    several = len({prompt.seed for prompt in prompts}) > 1
    return [f"{prompt.text} (seed {prompt.seed})" if several else prompt.text for prompt in prompts]


def sample(version: Path, epoch: int, index: int) -> Path:
    """Return the path of one sample of the version in a folder; epoch 0 is the base before training."""
    return version / "samples" / f"{epoch:06d}_{index:02d}.png"


def training_image(version: Path, index: int) -> Path:
    """Return the path of a training image that is kept beside the samples of the version in a folder."""
    return version / "samples" / f"training_{index:02d}.png"


def training_images(version: Path) -> list[Path]:
    """Return the training images that are kept beside the samples of the version in a folder."""
    return sorted((version / "samples").glob("training_[0-9]*.png"))


def sampled_epochs(version: Path, count: int) -> list[int]:
    """Return the epochs that have a full set of samples, in order.

    Args:
        version: its folder.
        count: the number of prompts.
    """
    seen = {int(path.name.split("_")[0]) for path in (version / "samples").glob("[0-9]*_[0-9]*.png")}
    return sorted(e for e in seen if all(sample(version, e, index).exists() for index in range(count)))
