"""What came of a study: the best version, those that are as good, the commands that go on with them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lorasweep.runs import ledger, paths
from lorasweep.runs.record import Record
from lorasweep.schema.goals import measure_of
from lorasweep.schema.measures import MARGINS, VOTED, verdict

if TYPE_CHECKING:
    import optuna

    from lorasweep.search.ranking import RankedTrial


MAX_NAMED = 5  # trials that are named as good as the best


def next_steps(study: optuna.Study, rows: Sequence[RankedTrial]) -> dict[str, str]:
    """Return which version of a study is best, and the commands that train it again and for longer, by name.

    Args:
        study: whose.
        rows: its leaderboard.
    """
    from lorasweep.review import leaderboard
    from lorasweep.search import ranking

    steps = leaderboard.about_best(rows)
    if equals := as_good(study, rows):
        steps = {"best": steps.pop("best"), "as good": equals, **steps}
    best = ranking.best(rows)
    folder = Path(best.folder) if best is not None and best.folder else None
    if folder is not None and paths.states(folder):  # else there is nothing to go on from, here at least
        steps["continue"] = ledger.longer(Record.read(folder), str(folder.parents[1]))
    return steps


def as_good(study: optuna.Study, rows: Sequence[RankedTrial]) -> str:
    """Return which trials are as good as the best within the noise, and what that means; "" without any.

    Trials stand beside the best where they were trained as often: single trainings within the measure's margin, means
    of several within twice the standard error of their difference.

    Args:
        study: whose.
        rows: its leaderboard.
    """
    from lorasweep.review import leaderboard
    from lorasweep.search import ranking

    best, name = ranking.best(rows), leaderboard.value_names(study)[0]
    if best is None or measure_of(name) is None or name == VOTED:  # votes have intervals of their own
        return ""
    equals = [row for row in rows if row is not best and row.n == best.n and row.feasible and _near(name, row, best)]
    if not equals:
        return ""
    names = [row.version or f"trial {row.number}" for row in equals]
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    single = f"{MARGINS}; hydra.sweeper.repeats=3 trains the best again to tell them apart"
    noise = single if best.n == 1 else f"within twice the standard error of means of {best.n} trainings"
    return f"{', '.join(names[:MAX_NAMED])}{more}: {noise}"


def _near(name: str, row: RankedTrial, best: RankedTrial) -> bool:
    if row.n == 1:
        return verdict(name, row.values[0], best.values[0], measure_of(name)) == "same"
    return abs(row.values[0] - best.values[0]) <= 2 * math.hypot(row.spread[0], best.spread[0]) / math.sqrt(row.n)
