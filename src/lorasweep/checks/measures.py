"""What is measured and drawn."""

from __future__ import annotations

from collections.abc import Iterator

from lorasweep import weights
from lorasweep.checks.wording import did_you_mean, inert
from lorasweep.config import LAST, OBJECTIVES, Config, value_at


def _measures(config: Config) -> Iterator[str]:
    """Check that what chooses the epoch and what a search optimises will be measured at all."""
    evaluation = config.evaluation
    bins, timesteps = evaluation.bins, evaluation.timesteps
    if bins > timesteps:
        yield f"evaluation.bins={bins}: expected at most evaluation.timesteps={timesteps}"
    if evaluation.clip_path is not None:
        yield from (
            f"evaluation.clip_path={evaluation.clip_path}: {p}" for p in weights.clip_problems(evaluation.clip_path)
        )
        if not evaluation.clip:
            yield inert(config, "evaluation.clip_path", "while evaluation.clip is false")
    wanted = [(key, value_at(config, key)) for key in ("objective", "evaluation.select_by")]
    for key, metric in [*wanted, *(("further_objectives", metric) for metric in config.further_objectives)]:
        if metric is None or (metric == LAST and key == "evaluation.select_by"):
            continue
        if metric not in OBJECTIVES:
            known = [*OBJECTIVES, *([LAST] if key == "evaluation.select_by" else [])]
            yield f"{key}={metric}: expected one of {', '.join(known)}{did_you_mean(metric, known)}"
            continue
        needs = " and ".join(_unmeasured(config, metric))
        if needs:
            yield f"{key}={metric} would never be measured: set {needs}, or choose another metric"


def _samples(config: Config) -> Iterator[str]:
    sampling = config.sampling
    if not sampling.every_epochs:
        return
    for key in ("prompts", "seeds"):
        if not getattr(sampling, key):
            yield f"sampling.{key}=[]: expected at least one; sampling.every_epochs=0 switches samples off"
    if not config.dataset.trigger and any("{trigger}" in prompt for prompt in sampling.prompts):
        yield (
            "dataset.trigger is not set, but sampling.prompts call {trigger}: set dataset.trigger=WORD, or "
            "prompts without it, such as 'sampling.prompts=[a portrait]'"
        )


def _unmeasured(config: Config, metric: str) -> Iterator[str]:
    """Yield the settings that `metric` needs and the config lacks."""
    data, evaluation = config.dataset, config.evaluation
    drawn = data.path is None  # themes come with held-out drawings of their own
    heldout = drawn or data.validation_path is not None or data.folds is not None or data.holdout > 0
    if metric in ("val/loss", "val/loss_ratio", "image/clip_image") and not heldout:
        yield "dataset.holdout=0.1"
    if metric.startswith("val/") and not evaluation.heldout_loss:
        yield "evaluation.heldout_loss=true"
    if metric.startswith("image/"):
        if not evaluation.clip:
            yield "evaluation.clip=true"
        if config.base_model.path is not None and evaluation.clip_path is None:
            yield "evaluation.clip_path=openai/clip-vit-large-patch14"
        if not config.sampling.every_epochs:
            yield "sampling.every_epochs=1"


RULES = (_measures, _samples)
