"""The files that a finished search leaves: optimization_results.yaml, as Hydra's Optuna plugin writes it, and a CSV."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
import yaml

from lorasweep import files
from lorasweep.review.leaderboard import as_csv
from lorasweep.search.ranking import RankedTrial, best
from lorasweep.search.stored import from_stored


def results(ranked: Sequence[RankedTrial]) -> dict[str, Any] | None:
    """Return what the search found, in the keys of Hydra's Optuna plugin; None where no trial is good.

    One objective: `name`, `best_params`, `best_value`, and besides `best_trial`, its number. Several: `name` and
    `solutions`, the Pareto front, each with `params`, `values` and `trial`. Values of finalists are means over their
    runs.
    """
    top = best(ranked)
    if top is not None:
        params = _readable(top.params)
        return {"name": "optuna", "best_params": params, "best_value": top.values[0], "best_trial": top.number}
    front = [row for row in ranked if row.pareto]
    if front:
        solutions = [
            {"params": _readable(row.params), "values": list(row.values), "trial": row.number} for row in front
        ]
        return {"name": "optuna", "solutions": solutions}
    return None


def write_results(study: optuna.Study, ranked: Sequence[RankedTrial], folder: Path) -> list[Path]:
    """Write `leaderboard.csv` and, where a trial is good, `optimization_results.yaml` into `folder`.

    Returns:
        The files written.

    Raises:
        OSError: the folder cannot be written.
    """
    table, summary = folder / "leaderboard.csv", folder / "optimization_results.yaml"
    files.write_atomic(table, as_csv(study, ranked))
    found = results(ranked)
    if found is None:
        return [table]
    # Not through OmegaConf: a parameter's text may hold `${…}`, which is text here.
    files.write_atomic(summary, yaml.safe_dump(found, sort_keys=False, allow_unicode=True))
    return [table, summary]


def _readable(params: dict[str, Any]) -> dict[str, Any]:
    return {key: from_stored(value) for key, value in params.items()}
