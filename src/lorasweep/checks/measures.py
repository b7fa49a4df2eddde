"""What is measured and drawn."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lorasweep.data.captions import SPECIAL, special_token
from lorasweep.errors import Problem
from lorasweep.features import sources
from lorasweep.registry import is_dotted
from lorasweep.schema import LAST, Config, value_at
from lorasweep.schema.goals import parse_goal
from lorasweep.schema.measures import METRICS, RENAMED, VOTED
from lorasweep.text.names import did_you_mean
from lorasweep.text.triggers import names_trigger


def _measures(config: Config) -> Iterator[Problem]:
    """Check that what chooses the epoch and what a search optimises will be measured at all."""
    evaluation = config.evaluation
    bins, timesteps = evaluation.bins, evaluation.timesteps
    if bins > timesteps:
        expected = f"expected at most evaluation.timesteps={timesteps}"
        yield Problem(f"evaluation.bins={bins}: {expected}", "evaluation.bins", "evaluation.timesteps")
    wanted = [(key, value_at(config, key)) for key in ("objective", "evaluation.select_by")]
    for key, text in [*wanted, *(("further_objectives", text) for text in config.further_objectives)]:
        if text is None or (text == LAST and key == "evaluation.select_by"):
            continue
        if text in RENAMED:
            yield Problem(f"{key}={text}: it is called {RENAMED[text]} now", key)
            continue
        if re.fullmatch(r"[\w./:-]+", text) and text not in METRICS and not is_dotted(text):
            known = [*METRICS, *([LAST] if key == "evaluation.select_by" else [])]
            yield Problem(f"{key}={text}: expected one of {', '.join(known)}{did_you_mean(text, known)}", key)
            continue
        try:
            goal = parse_goal(text, config.allow_code)
        except ValueError as error:
            yield Problem(f"{key}={text}: {error}", key)
            continue
        for metric in goal.metrics:
            yield from _unmeasured(config, key, text, metric)


def _unmeasured(config: Config, key: str, text: str, metric: str) -> Iterator[Problem]:
    """Yield what keeps a metric of an objective from choosing, or from being measured.

    Args:
        config: the whole one.
        key: of the objective.
        text: the objective.
        metric: one that it is made of.
    """
    about = f"{key}={text}" + ("" if metric == text else f": {metric}")
    if METRICS[metric].descriptive:
        others = ", ".join(name for name in METRICS if not METRICS[name].descriptive)
        yield Problem(f"{about} only describes and cannot choose; expected one of {others}", key)
        return
    sees, models = METRICS[metric].sees, config.features.models
    if sees is not None and models and not sources.may_see(models, sees):
        unseen = f"no model of features.models=[{','.join(models)}] sees {sees}; add one such as clip_l"
        yield Problem(f"{about} would never be measured: {unseen}", key, "features.models")
    if needs := METRICS[metric].lacks(config):
        cure = f"set {' and '.join(needs)}, or choose another metric"
        needed = (need.partition("=")[0] for need in needs)
        yield Problem(f"{about} would never be measured: {cure}", key, *needed)


def _features(config: Config) -> Iterator[Problem]:
    """Check that what sees the sample images is there, and can be told apart."""
    models = config.features.models
    for item in models:
        yield from (Problem(f"features.models=[{item}]: {text}", "features.models") for text in sources.problems(item))
    for name in sources.names_twice(models):
        listed = ",".join(models)
        yield Problem(f"features.models=[{listed}]: several would be called {name}; take one away", "features.models")


def measured(config: Config) -> list[str]:
    """Return the names of what a run of this config measures: all that can be an objective, and its bins."""
    choosing = [metric for metric in METRICS if metric != VOTED and not METRICS[metric].descriptive]
    found = [metric for metric in choosing if not METRICS[metric].lacks(config)]
    binned = [metric for metric in found if METRICS[metric].binned]
    return found + [f"{metric}_bin_{index}" for metric in binned for index in range(config.evaluation.bins)]


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


def _votes(config: Config) -> Iterator[Problem]:
    """Check that votes are asked for where they can be waited for: as the one objective of a search."""
    others = [name for name in METRICS if name != VOTED]
    if VOTED in config.further_objectives:
        cure = f"make it the objective, or take one of {', '.join(others)}"
        yield Problem(f"further_objectives={VOTED}: people vote for one objective: {cure}", "further_objectives")
    if config.evaluation.select_by == VOTED:
        cure = f"expected {LAST}, or one of {', '.join(others)}"
        yield Problem(
            f"evaluation.select_by={VOTED}: people vote on one epoch of each version: {cure}", "evaluation.select_by"
        )


RULES = (_measures, _features, _votes, _samples)
