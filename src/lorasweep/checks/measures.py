"""What is measured and drawn."""

from __future__ import annotations

from collections.abc import Iterator

from lorasweep.data.captions import SPECIAL, special_token
from lorasweep.errors import Problem
from lorasweep.families.clip import clip_problems
from lorasweep.schema import LAST, OBJECTIVES, Config, value_at
from lorasweep.text.names import did_you_mean
from lorasweep.text.triggers import names_trigger


def _measures(config: Config) -> Iterator[Problem]:
    """Check that what chooses the epoch and what a search optimises will be measured at all."""
    evaluation = config.evaluation
    bins, timesteps = evaluation.bins, evaluation.timesteps
    if bins > timesteps:
        expected = f"expected at most evaluation.timesteps={timesteps}"
        yield Problem(f"evaluation.bins={bins}: {expected}", "evaluation.bins", "evaluation.timesteps")
    if evaluation.clip_path is not None:
        given = f"evaluation.clip_path={evaluation.clip_path}"
        problems = clip_problems(evaluation.clip_path)
        yield from (Problem(f"{given}: {text}", "evaluation.clip_path") for text in problems)
    wanted = [(key, value_at(config, key)) for key in ("objective", "evaluation.select_by")]
    for key, metric in [*wanted, *(("further_objectives", metric) for metric in config.further_objectives)]:
        if metric is None or (metric == LAST and key == "evaluation.select_by"):
            continue
        if metric not in OBJECTIVES:
            known = [*OBJECTIVES, *([LAST] if key == "evaluation.select_by" else [])]
            yield Problem(f"{key}={metric}: expected one of {', '.join(known)}{did_you_mean(metric, known)}", key)
            continue
        needs = list(_unmeasured(config, metric))
        if needs:
            cure = f"set {' and '.join(needs)}, or choose another metric"
            needed = (need.partition("=")[0] for need in needs)
            yield Problem(f"{key}={metric} would never be measured: {cure}", key, *needed)


def measured(config: Config) -> list[str]:
    """Return the names of what a training of this config measures: all that can be an objective, and its bins."""
    found = [metric for metric in OBJECTIVES if not any(_unmeasured(config, metric))]
    held_out = [metric for metric in found if metric.startswith("val/")]
    return found + [f"{metric}_bin_{index}" for metric in held_out for index in range(config.evaluation.bins)]


def _samples(config: Config) -> Iterator[Problem]:
    sampling = config.sampling
    if not sampling.every_epochs:
        return
    for key in ("prompts", "seeds"):
        if not getattr(sampling, key):
            cure = "sampling.every_epochs=0 switches samples off"
            yield Problem(f"sampling.{key}=[]: expected at least one; {cure}", f"sampling.{key}")
    if not config.dataset.trigger and any(map(names_trigger, sampling.prompts)):
        yield Problem(
            "dataset.trigger is not set, but sampling.prompts call {trigger}: set dataset.trigger=WORD, or "
            "prompts without it, such as 'sampling.prompts=[a portrait]'",
            "dataset.trigger",
            "sampling.prompts",
        )
    for key, texts in {"prompts": sampling.prompts, "negative_prompt": [sampling.negative_prompt]}.items():
        for token in filter(None, map(special_token, texts)):
            yield Problem(f"sampling.{key}: has {token} in it, {SPECIAL}: take it out", f"sampling.{key}")


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
