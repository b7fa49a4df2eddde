"""How versions are measured and looked at."""

from __future__ import annotations

from dataclasses import dataclass

from lorasweep.schema.measures import METRICS
from lorasweep.schema.option import option

_PICTURES = ("image/", "samples/")  # what sample images are the measure of, and they themselves
_BINS = ("val/loss_bin_", "val/loss_ratio_bin_")


@dataclass
class EvaluationConfig:
    """How a version is measured, and which epoch becomes its weights file."""

    every_epochs: int = option(
        1,
        "evaluate after every so many epochs (and after the last)",
        at_least=1,
        resume="free",
        kohya="validate_every_n_epochs",
    )
    budget: float | None = option(
        None,
        "share of a training that its measuring may cost, counted in passes through the denoiser: the held-out loss is "
        "measured all the same, images after as many epochs as the rest pays for, the last among them; null: no limit",
        above=0,
        resume="free",
        needs="sampling.every_epochs",
    )
    heldout_loss: bool = option(True, "measure the loss on held-out images, as a ratio to the base's", resume="free")
    timesteps: int = option(
        8,
        "stratified timesteps per held-out image",
        at_least=1,
        at_most=1000,
        resume="measured",
        measures=("val/",),
        needs="evaluation.heldout_loss",
        brought=True,
    )
    bins: int = option(
        4,
        "timestep bins that are reported apart",
        at_least=1,
        resume="measured",
        measures=_BINS,
        needs="evaluation.heldout_loss",
        brought=True,
    )
    max_images: int = option(
        16,
        "held-out images used at most",
        at_least=1,
        resume="measured",
        measures=("val/",),
        needs="evaluation.heldout_loss",
        brought=True,
    )
    seed: int = option(
        0,
        "of the held-out split, timesteps and noise; apart from `seed`, so that repeats compare",
        at_least=0,
        resume="measured",
        measures=("val/",),
    )
    votes: int = option(
        6,
        "votes that a trial of objective=human waits for (lorasweep vote STUDY); 0: it takes those that there are",
        at_least=0,
        resume="free",
        needs="objective=human",
    )
    select_by: str | None = option(
        None, "metric that chooses the epoch, or last; null: the objective", resume="free", registry=METRICS
    )


@dataclass
class SamplingConfig:
    """Sample images: fixed prompts and seeds, before training and after every epoch."""

    every_epochs: int = option(
        1,
        "sample after every so many epochs (and after the last); 0: never",
        at_least=0,
        resume="free",
        kohya="sample_every_n_epochs",
    )
    prompts: list[str] = option(
        [],
        "prompts; `{trigger}` stands for the dataset's trigger",
        resume="measured",
        measures=_PICTURES,
        kohya="sample_prompts",
        aliases=("validation_prompt", "validation_prompts"),
        needs="sampling.every_epochs",
        brought=True,
    )
    negative_prompt: str = option(
        "",
        "negative prompt",
        resume="measured",
        measures=_PICTURES,
        needs=("sampling.every_epochs", "sampling.guidance>1"),
        brought=True,
    )
    seeds: list[int] = option(
        [0, 1],
        "one image per prompt and seed; diversity and consistency compare the seeds of a prompt",
        at_least=0,
        resume="measured",
        measures=_PICTURES,
        needs="sampling.every_epochs",
        brought=True,
    )
    steps: int = option(
        30,
        "sampler steps",
        at_least=1,
        resume="measured",
        measures=_PICTURES,
        needs="sampling.every_epochs",
        brought=True,
    )
    guidance: float = option(
        5.0,
        "classifier-free guidance",
        at_least=1,
        resume="measured",
        measures=_PICTURES,
        aliases=("cfg", "cfg_scale", "guidance_scale"),
        needs="sampling.every_epochs",
        brought=True,
    )
