"""What each sample image of a version was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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
