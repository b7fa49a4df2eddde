"""How versions are measured and looked at."""

from __future__ import annotations

from dataclasses import dataclass

from lorasweep.config.option import option


@dataclass
class EvaluationConfig:
    """How a version is measured, and which epoch becomes its weights file."""

    every_epochs: int = option(1, "evaluate after every so many epochs (and after the last)", at_least=1)
    heldout_loss: bool = option(True, "measure the loss on held-out images, as a ratio to the base's")
    timesteps: int = option(8, "stratified timesteps per held-out image", at_least=1, at_most=1000)
    bins: int = option(4, "timestep bins that are reported apart", at_least=1)
    max_images: int = option(16, "held-out images used at most", at_least=1)
    seed: int = option(
        0,
        "of the held-out split, timesteps and noise; apart from `seed`, so that repeats compare",
        at_least=0,
    )
    clip: bool = option(True, "CLIP similarity of samples to held-out images and to their prompts")
    clip_path: str | None = option(
        None, "transformers CLIP folder or hub id; null: the toy's on the toy base, else off"
    )
    select_by: str | None = option(None, "metric that chooses the epoch, or last; null: the objective")


@dataclass
class SamplingConfig:
    """Sample images: fixed prompts and seeds, before training and after every epoch."""

    every_epochs: int = option(1, "sample after every so many epochs (and after the last); 0: never", at_least=0)
    prompts: list[str] = option([], "prompts; `{trigger}` stands for the dataset's trigger")
    negative_prompt: str = option("", "negative prompt")
    seeds: list[int] = option([0], "one image per prompt and seed", at_least=0)
    steps: int = option(30, "sampler steps", at_least=1)
    guidance: float = option(5.0, "classifier-free guidance", at_least=1)
