"""What the user sees while a study runs: a line per trial that ends, and below them a live table on a terminal."""

from __future__ import annotations

import statistics
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from lorasweep.search.budget import retried, spent
from lorasweep.search.ranking import STATES, is_feasible, pareto_front, reason_of, seconds_of
from lorasweep.search.settings import FINALS
from lorasweep.search.stored import with_readable_shares
from lorasweep.search.traces import trace_path
from lorasweep.search.wording import settings, trial_name
from lorasweep.text.durations import duration, roughly
from lorasweep.text.lines import STATE_COLOURS, print_line
from lorasweep.text.names import short_names
from lorasweep.text.values import score

READ_EVERY = 1.0  # seconds between two looks into the storage


@dataclass(frozen=True)
class Standing:
    """A study at one moment.

    Attributes:
        done: trials that have ended, without those that another trial goes on with.
        running: running trials by number.
        best: the best complete trial within the constraints; None without one, or with several objectives.
        front: how many trials are on the Pareto front; 0 with one objective.
        seconds: how long each of the ended trials took.
        followers: which trial goes on with a lost or interrupted one, by number.
    """

    done: int
    running: Sequence[FrozenTrial]
    best: FrozenTrial | None
    front: int
    seconds: Sequence[float]
    followers: Mapping[int, int]


def standing(study: optuna.Study) -> Standing:
    """Read where the study stands."""
    trials = study.get_trials(deepcopy=False)
    done = spent(trials)
    good = [trial for trial in done if trial.state == TrialState.COMPLETE and is_feasible(trial)]
    single = len(study.directions) == 1
    best: FrozenTrial | None = None
    # The finals train the same configurations under different conditions: none of those is the best one.
    if single and good and not study.study_name.endswith(FINALS):
        sign = -1.0 if study.direction == StudyDirection.MAXIMIZE else 1.0
        best = min(good, key=lambda trial: (sign * trial.value, trial.number))
    return Standing(
        done=len(done),
        running=[trial for trial in trials if trial.state == TrialState.RUNNING],
        best=best,
        front=0 if single else sum(pareto_front([trial.values for trial in good], study.directions)),
        seconds=[seconds for trial in done if (seconds := seconds_of(trial)) is not None],
        followers=retried(trials),
    )


def seconds_left(taken: Sequence[float], running: Sequence[float], waiting: int, capacity: int) -> float | None:
    """Estimate how long the rest of a study takes: every trial as long as those that have ended took on average.

    The mean, not the median: where most trials are pruned early, the median leaves out the few that take long.

    Args:
        taken: seconds of the trials that have ended, pruned ones included; at least one, else the answer is None.
        running: seconds that the running trials have run so far.
        waiting: how many trials have not started.
        capacity: how many run at a time.
    """
    if not taken:
        return None
    typical = statistics.fmean(taken)
    rest = [max(0.0, typical - seconds) for seconds in running]
    return max([(sum(rest) + waiting * typical) / max(1, capacity), *rest])


class Board:
    """Shows a study while it runs. A context manager.

    It reads the storage, so it also shows trials that run in other processes, and owns its console, so that an app
    that silences the process's own during a trial does not silence the board.

    Args:
        study: the study.
        total: how many trials there will be, those of an earlier run included; None where only time ends the study.
        capacity: how many run at a time.
        title: what runs, such as `study fuzzybear in outputs/studies/fuzzybear`.
        console: where to show it; None is standard output as it is now.
    """

    def __init__(
        self,
        study: optuna.Study,
        total: int | None,
        capacity: int,
        title: str,
        console: Console | None = None,
    ) -> None:
        self._study, self._total, self._capacity, self._title = study, total, capacity, title
        self._console = console or Console(file=sys.stdout)
        self._space: dict[str, str] = dict(study.user_attrs.get("space") or {})
        self._names = short_names(self._space) if self._space else None
        self._live: Live | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._standing = standing(study)
        self._best = self._standing.best
        self._lock = threading.Lock()

    def __enter__(self) -> Board:
        for line in self._opening():
            self.print_line(line)
        # isatty, not is_terminal: the latter believes FORCE_COLOR, which build servers set for their log files.
        if self._console.file.isatty() and not self._console.is_dumb_terminal:
            self._live = Live(
                self, console=self._console, auto_refresh=False, transient=True, vertical_overflow="ellipsis"
            )
            self._live.start(refresh=True)
            self._thread = threading.Thread(target=self._watch, name="board", daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._live is not None:
            self._live.stop()
            self._live = None

    def print_line(self, line: str | Text) -> None:
        """Print one line, above the table if there is one; no markup, no wrapping."""
        print_line(line if isinstance(line, Text) else Text(line), self._console)

    def finished(self, trial: FrozenTrial) -> None:
        """Print the line of a trial that has ended: what came out, why, how far the study is."""
        with self._lock:
            before, self._standing = self._best, standing(self._study)
            now = self._best = self._standing.best
        is_best = now is not None and now.number == trial.number and (before is None or before.number != now.number)
        state = STATES[trial.state]
        what = Text(_name(trial) + ": ")
        what.append(state, style=STATE_COLOURS.get(state, ""))
        if trial.state == TrialState.COMPLETE:
            what.append(" " + ", ".join(map(score, trial.values)))
            if is_best:
                what.append(" (best)", style="bold green")
        parts = [reason_of(trial, self._standing.followers.get(trial.number)), self._trace(trial)]
        parts += [settings(trial.params, self._names)]
        seconds = seconds_of(trial)
        parts += [duration(seconds)] if seconds is not None else []
        what.append("".join(f", {part}" for part in parts if part))
        self.print_line(what.append(f"; {self._progress()}"))

    def __rich__(self) -> RenderableType:
        """Return the live table: a line on the study, the best trial, a row per running trial."""
        with self._lock:
            now = self._standing
        head = Text.assemble((self._progress(), "bold"), f"  {self._title}", no_wrap=True, overflow="ellipsis")
        lines: list[RenderableType] = [head]
        if now.best is not None:
            text = f"{score(now.best.value)}  {_name(now.best)}  {settings(now.best.params, self._names)}"
            lines.append(Text.assemble(("best  ", "green"), text, no_wrap=True, overflow="ellipsis"))
        elif now.front:
            lines.append(Text.assemble(("Pareto front  ", "green"), f"{now.front} trials"))
        table = Table.grid(padding=(0, 2))
        for justify in ("left", "right", "right"):
            table.add_column(no_wrap=True, justify=justify)  # type: ignore[arg-type]
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        for trial in now.running:
            step = trial.last_step
            last = "" if step is None else f"{score(trial.intermediate_values[step])} at step {step}"
            table.add_row(
                Text(_name(trial), STATE_COLOURS["running"]),
                duration(self._age(trial)),
                last,
                Text(settings(trial.params, self._names)),
            )
        return Group(*lines, table) if now.running else Group(*lines)

    def _trace(self, trial: FrozenTrial) -> str:
        """Return where the traceback of a failed trial is, if it has one."""
        folder = self._study.user_attrs.get("folder") if trial.state == TrialState.FAIL else None
        trace = None if folder is None else trace_path(Path(folder), self._study.study_name, trial.number)
        return f"traceback in {trace}" if trace is not None and trace.exists() else ""

    def _opening(self) -> list[str | Text]:
        facts = [f"{self._total} trials" if self._total is not None else "until the time is over"]
        facts += [f"{self._standing.done} finished already"] if self._standing.done else []
        facts += [f"{self._capacity} at a time"] if self._capacity > 1 else []
        width = max(map(len, self._space), default=0)
        space = [f"  {key.ljust(width)}  {with_readable_shares(sweep)}" for key, sweep in self._space.items()]
        return [Text.assemble((self._title, "bold"), ": " + ", ".join(facts)), *space]

    def _progress(self) -> str:
        """Return `5/12 done, about 2 min left`."""
        now = self._standing
        if self._total is None:
            return f"{now.done} done"
        text = f"{now.done}/{self._total} done"
        waiting = max(0, self._total - now.done - len(now.running))
        left = seconds_left(now.seconds, [self._age(trial) for trial in now.running], waiting, self._capacity)
        return f"{text}, {roughly(left)} left" if left is not None and now.done < self._total else text

    def _age(self, trial: FrozenTrial) -> float:
        start: datetime | None = trial.datetime_start
        # Optuna gives local time without a zone.
        return 0.0 if start is None else max(0.0, time.time() - start.timestamp())

    def _watch(self) -> None:
        while not self._stop.wait(READ_EVERY):
            # A busy or unreachable storage: what was read last stays; the sweep itself raises the alarm.
            with suppress(Exception):
                now = standing(self._study)
                with self._lock:
                    self._standing = now
                if self._live is not None:
                    self._live.refresh()


def _name(trial: FrozenTrial) -> str:
    """Return how a trial is called; in the finals with what it is there for: `…, fold 2 of trial 7`."""
    attributes = trial.user_attrs
    name = trial_name(trial.number, attributes.get("version"))
    if "of" not in attributes:
        return name
    stage = f"{attributes.get('stage', 'training')} {attributes.get('index', '')}".strip()
    return f"{name}, {stage} of trial {attributes['of']}"
