"""Which of a version's epochs is the best so far: its weights file gets the version's own name."""

from __future__ import annotations

from lorasweep import files
from lorasweep.metrics.selection import best_epoch_by
from lorasweep.runs import paths
from lorasweep.runs.record import Record
from lorasweep.schema import LAST, Config
from lorasweep.schema.goals import Goal, parse_goal


def goal_of(config: Config) -> Goal:
    """Return what the epochs are compared by; the objective where the last one is selected whatever it is."""
    chosen = config.evaluation.select_by
    return parse_goal(config.objective if chosen is None or chosen == LAST else chosen, config.allow_code)


def select(record: Record, config: Config, *, again: bool = False) -> None:
    """Let the best epoch that has a file become the selected one.

    Args:
        record: of the version, which then says which one, and why.
        config: of the version.
        again: write the selected file even where there is one already.

    Raises:
        OSError: the disk is full or the like.
    """
    saved = record.saved
    before, epoch, reason = record.selected_epoch, None, None
    if saved and config.evaluation.select_by == LAST:
        epoch, reason = saved[-1].epoch, "the last epoch (evaluation.select_by)"
    elif saved:
        epoch, reason = best_epoch_by(saved, goal_of(config))
    record.selected_epoch, record.selected_because = epoch, reason
    if record.selected is not None:
        target = paths.selected(record.folder, record.stem)
        if again or epoch != before or not target.exists():
            files.link_or_copy(record.folder / str(record.selected.file), target)
    record.write()
