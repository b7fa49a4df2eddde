"""What each trial of a study was, what it reached, and in which order they rank.

The order, from the top:

1. complete trials that keep the constraints, then complete ones that break them, running, waiting, pruned, failed;
2. among complete ones, more runs behind a value first. A finalist's value is the mean over all its runs (its trial
   in the search and its repeats, or its folds), and the best of many single runs is partly luck, so no single run
   ranks above a mean; `ranking_remarks` names a single run that reads better than the best mean;
3. several objectives: the Pareto front, that is the trials that no other beats in one objective and equals or beats
   in all, before the rest;
4. the value, with several objectives that of the first;
5. values within a thousandth of each other count as equal: the study's tie breakers (smaller first) decide.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from lorasweep.search.budget import retried
from lorasweep.search.constraint import SECONDS
from lorasweep.search.wording import trial_name
from lorasweep.text.values import score

STATES = {  # in the order of the leaderboard
    TrialState.COMPLETE: "complete",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}
TIE = 1e-3  # relative distance of two values that count as equal


@dataclass(frozen=True)
class RankedTrial:
    """One trial of the search.

    Attributes:
        number: the trial's number in the study.
        state: complete, running, waiting, pruned or failed.
        version: the version it trained, such as `FuzzyBear v9`; None where the app names none.
        values: a complete trial's value per objective, the mean over its runs; empty for all others, since a
            value from half a run cannot be compared.
        spread: standard deviation per objective (n - 1 in the denominator); empty below two runs.
        n: how many runs the values stand on; 0 where there are no values.
        params: parameters by key.
        metrics: what else was measured, by name.
        seconds: how long the search's own run took.
        reason: why it was pruned, failed or breaks a constraint; empty otherwise.
        folder: the version's folder.
        command: the command that trains it again.
        refit: the folder of the version that was trained on all images with these parameters.
        last: step and value of the last report, for trials without values.
        feasible: every constraint is kept.
        pareto: on the Pareto front; always False with one objective.
    """

    number: int
    state: str
    version: str | None = None
    values: tuple[float, ...] = ()
    spread: tuple[float, ...] = ()
    n: int = 0
    params: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    seconds: float | None = None
    reason: str = ""
    folder: str | None = None
    command: str | None = None
    refit: str | None = None
    last: tuple[int, float] | None = None
    feasible: bool = True
    pareto: bool = False


def rows(study: optuna.Study, finals: optuna.Study | None = None) -> list[RankedTrial]:
    """Return a row per trial of `study`, best first.

    Args:
        study: the search. Read from its user attributes: `tie_breakers`, names of parameters or metrics.
        finals: the study of its repeats, folds and refits, if there is one.
    """
    again: dict[int, list[FrozenTrial]] = {}
    for trial in finals.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)) if finals is not None else ():
        again.setdefault(trial.user_attrs.get("of", -1), []).append(trial)
    trials = study.get_trials(deepcopy=False)
    followers = retried(trials)
    found = [_row(trial, again.get(trial.number, ()), followers.get(trial.number)) for trial in trials]
    complete = [row for row in found if row.state == "complete"]
    most = max((row.n for row in complete if row.feasible), default=0)
    # The front is that of the finalists where there are any: only equal evidence is compared.
    equal = [row for row in complete if row.feasible and row.n == most]
    flags = pareto_front([row.values for row in equal], study.directions) if len(study.directions) > 1 else ()
    front = {row.number for row, flag in zip(equal, flags, strict=False) if flag}

    tiers: dict[tuple[int, bool, int, bool], list[RankedTrial]] = {}
    for row in found:
        row = replace(row, pareto=row.number in front)
        tier = list(STATES.values()).index(row.state), not row.feasible, -row.n, not row.pareto
        tiers.setdefault(tier, []).append(row)
    breakers = list(study.user_attrs.get("tie_breakers", ()))
    sign = _sign(study.directions[0])
    return [row for tier in sorted(tiers) for row in _ordered(tiers[tier], sign, breakers)]


def best(ranked: Sequence[RankedTrial]) -> RankedTrial | None:
    """Return the best row; None where no trial is complete within the constraints, or with several objectives.

    Several objectives have a front of trials of which none beats another: the rows with `pareto`.
    """
    first = ranked[0] if ranked else None
    return first if first is not None and first.feasible and len(first.values) == 1 else None


def ranking_remarks(study: optuna.Study, ranked: Sequence[RankedTrial]) -> list[str]:
    """Return what a reader must know to read the order of `ranked` right, a sentence each."""
    sentences = []
    complete = [row for row in ranked if row.state == "complete"]
    if len(study.directions) > 1 and complete:
        sentences.append(
            f"With {len(study.directions)} objectives there is no single best trial. Those marked * are the Pareto "
            "front: no other is better in one objective without being worse in another."
        )
    fit = [row for row in complete if row.feasible]
    if complete and not fit:
        sentences.append("No complete trial keeps the constraints.")
    top = best(ranked)
    if top is not None and top.n > 1:
        sign = _sign(study.directions[0])
        lucky = [row for row in fit if row.n < top.n and sign * row.values[0] < sign * top.values[0]]
        sentences += [
            f"{trial_name(row.number, row.version)} reads better ({score(row.values[0])}) but was trained "
            f"{'once' if row.n == 1 else f'{row.n} times'}, the best {top.n} times: that may be luck."
            for row in lucky
        ]
    return sentences


def pareto_front(points: Sequence[Sequence[float]], directions: Sequence[StudyDirection]) -> list[bool]:
    """Return for each point whether it is on the Pareto front: none is better in an objective and worse in none.

    Equal points are on the front together.

    Args:
        points: a value per objective each, none of them NaN.
        directions: of the objectives.
    """
    signs = [_sign(direction) for direction in directions]
    losses = [tuple(sign * value for sign, value in zip(signs, point, strict=True)) for point in points]
    front: list[tuple[float, ...]] = []
    # In this order a point can only be beaten by one that came before it.
    for loss in sorted(set(losses)):
        if not any(all(a <= b for a, b in zip(other, loss, strict=True)) for other in front):
            front.append(loss)
    best = set(front)
    return [loss in best for loss in losses]


def seconds_of(trial: FrozenTrial) -> float | None:
    """Return how long a finished trial took: what it noted itself, else what Optuna's clock says."""
    noted = trial.user_attrs.get("seconds")
    if isinstance(noted, int | float):
        return float(noted)
    return trial.duration.total_seconds() if trial.duration is not None else None


def reason_of(trial: FrozenTrial, follower: int | None = None) -> str:
    """Return in words why a trial is not (or not quite) a complete one; empty where all is well.

    Args:
        trial: the trial.
        follower: the number of the trial that goes on with it, if there is one.
    """
    attributes = trial.user_attrs
    parts = [" ".join(str(attributes["reason"]).split())] if attributes.get("reason") else []  # one line
    if trial.state == TrialState.COMPLETE:
        parts += [f"breaks the constraint {name} by {value:.4g}" for name, value in _broken(trial).items()]
    if follower is not None:
        parts.append(f"goes on as trial {follower}")
    return "; ".join(parts)


def is_feasible(trial: FrozenTrial) -> bool:
    """Return whether the trial keeps every constraint (0 or less, as in Optuna)."""
    return not _broken(trial)


def _sign(direction: StudyDirection) -> float:
    return -1.0 if direction == StudyDirection.MAXIMIZE else 1.0


def _row(trial: FrozenTrial, again: Sequence[FrozenTrial], follower: int | None) -> RankedTrial:
    attributes, complete = trial.user_attrs, trial.state == TrialState.COMPLETE
    runs = [trial, *(other for other in again if other.user_attrs.get("stage") != "refit")] if complete else []
    columns = list(zip(*(run.values for run in runs), strict=True))
    refit = next((other for other in again if other.user_attrs.get("stage") == "refit"), None)
    return RankedTrial(
        number=trial.number,
        state=STATES[trial.state],
        version=attributes.get("version"),
        values=tuple(statistics.fmean(column) for column in columns),
        spread=tuple(_deviation(column) for column in columns) if len(runs) > 1 else (),
        n=len(runs),
        params=dict(trial.params),
        metrics=dict(attributes.get("metrics") or {}),
        seconds=seconds_of(trial),
        reason=reason_of(trial, follower),
        folder=attributes.get("folder"),
        command=attributes.get("command"),
        refit=refit.user_attrs.get("folder") if refit is not None else None,
        last=(trial.last_step, trial.intermediate_values[trial.last_step]) if trial.last_step is not None else None,
        feasible=is_feasible(trial),
    )


def _broken(trial: FrozenTrial) -> dict[str, float]:
    return {name: value for name, value in trial.constraints.items() if value > 0}


def _deviation(values: Sequence[float]) -> float:
    return statistics.stdev(values) if all(map(math.isfinite, values)) else math.nan


def _ordered(tier: list[RankedTrial], sign: float, breakers: Sequence[str]) -> list[RankedTrial]:
    """Return the rows of a tier by their first value; where values count as equal, by the tie breakers."""

    def loss(row: RankedTrial) -> float:
        value = sign * row.values[0] if row.values else math.inf
        return value if math.isfinite(value) else math.inf

    def tie_key(row: RankedTrial) -> tuple[float, ...]:
        known = {SECONDS: row.seconds} | row.metrics | row.params
        return *(_size(known.get(name)) for name in breakers), loss(row), row.number

    done: list[RankedTrial] = []
    left = sorted(tier, key=lambda row: (loss(row), row.number))
    while left:
        # From the best value downwards, so that each trial is in one group although "about equal" has no end.
        limit = loss(left[0]) + TIE * abs(loss(left[0]))
        equal = [row for row in left if loss(row) <= limit]
        done += sorted(equal, key=tie_key)
        left = left[len(equal) :]
    return done


def _size(value: Any) -> float:
    """Return a number to sort by; what is missing or no number comes last."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else math.inf
