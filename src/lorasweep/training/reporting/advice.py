"""How a version goes on: the command that resumes it, what would need less memory, what to type when it is complete."""

from __future__ import annotations

from dataclasses import dataclass

from lorasweep.console.closing import closing_table
from lorasweep.errors import UserError
from lorasweep.families.base import Base
from lorasweep.runs import command_lines as commands
from lorasweep.runs import paths
from lorasweep.runs.record import Record
from lorasweep.schema import Config
from lorasweep.training.memory.forecast import best_savings
from lorasweep.training.memory.shortage import cures
from lorasweep.training.reporting.next_commands import after_training


@dataclass
class Advice:
    """What to do next with one version.

    Attributes:
        config: the whole config.
        base: the frozen model.
        record: of the version.
        changes: overrides that it should go on with.
    """

    config: Config
    base: Base
    record: Record
    changes: tuple[str, ...] = ()

    @property
    def resume_command(self) -> str:
        """The command that continues this version."""
        config = self.config
        return commands.resume(config.name, config.recipe, self.record.version, config.output_root, *self.changes)

    def cures(self, phase: str) -> dict[str, str]:
        """Return settings that would lower the peak of memory in a phase -> the command that applies them.

        The best that this version can go on with becomes part of `resume_command`.

        Args:
            phase: of the stopwatch.
        """
        found = best_savings(self.config, self.base, phase)
        if self.record.trial:  # the search's command decides, for all of its trials
            return {saving.explain(): "for the whole search" for saving in found}
        self.changes = next((saving.overrides for saving in found if saving.free), ())
        return cures(self.config, found, self.record.overrides, self.record.version)

    def show_closing(self, error: Exception | None) -> None:
        """Print where everything is, what was measured, and what to type next.

        Args:
            error: that ended the version, if any.
        """
        record, folder = self.record, self.record.folder
        places = {
            "weights": paths.selected(folder, record.stem),
            "diffusers": paths.diffusers(folder, record.stem),
            "before/after": paths.before_after(folder),
            "all samples": paths.grid(folder),
            "curves": paths.curves(folder),
            "folder": folder,
        }
        closing_table(record, places, self._next_commands(error))

    def _next_commands(self, error: Exception | None) -> dict[str, str]:
        if isinstance(error, UserError) and error.ways:
            return {}  # the message of the error, which follows, has them
        if self.record.status != "complete":
            return {"continue": self.resume_command}
        selected = paths.selected(self.record.folder, self.record.stem)
        return after_training(self.config, self.record.overrides, selected, base=self.base.identity)
