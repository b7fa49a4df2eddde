"""What the user reads while a version trains: lines and progress bars.

On a terminal long work shows a bar; elsewhere (a pipe, a file) each epoch and each phase leaves one line. Paths and
commands are never wrapped or cut, so that they can be copied.
"""

from __future__ import annotations

import io
import statistics
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

import rich
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from lorasweep.console.log import keep
from lorasweep.schema.measures import measures_of
from lorasweep.text.durations import clock_time, duration
from lorasweep.text.encoding import readable
from lorasweep.text.lines import WARNING, print_line

REFRESH = 4  # times a second that bars are redrawn: more would slow steps of 40 ms
WINDOW = 50  # steps over which the bar's loss and seconds per step are taken
FIRST_LINE = 10  # steps after which speed and time left are said where there is no bar
NEXT_LINE = 300.0  # seconds after which they are said again

T = TypeVar("T")

# What stands in for the terminal inside `silenced`. Of the context, so that a thread beside it (the live table of a
# study) goes on writing.
_STAND_IN: ContextVar[Console | None] = ContextVar("console", default=None)


@contextmanager
def silenced() -> Iterator[None]:
    """Keep everything that is printed here off the terminal, bars too; an open train.log still gets its lines.

    For versions that train inside something that has the terminal to itself, such as a study. Can be nested; a
    console that a caller names is written to all the same.
    """
    token = _STAND_IN.set(Console(file=io.StringIO(), quiet=True))
    try:
        yield
    finally:
        _STAND_IN.reset(token)


def terminal() -> Console:
    """Return the console of whoever names none."""
    return _STAND_IN.get() or rich.get_console()


def echo(line: str | Text = "", *, console: Console | None = None) -> None:
    """Print one line, above a bar if there is one, and write it to the open train.log.

    Args:
        line: taken as it is: no markup, no wrapping; a warning (`text.WARNING`) in yellow. Characters that the
            terminal's encoding lacks become `?`.
        console: where to print; None is the process's own terminal or pipe, unless `silenced`.
    """
    console = console or terminal()
    text = line.copy() if isinstance(line, Text) else Text(line, "yellow" if line.startswith(WARNING) else "")
    text.plain = readable(text.plain)
    keep(text.plain)
    print_line(text, console)


def tracked(things: Sequence[T], description: str, *, quiet: bool = False) -> Iterator[T]:
    """Yield `things`, with a progress bar named `description` and, unless `quiet`, one line at the end."""
    with phase(description, len(things), quiet=quiet) as advance:
        for thing in things:
            yield thing
            advance()


def echo_pairs(title: str, pairs: Mapping[str, str], *, console: Console | None = None) -> None:
    """Print a title and below it lines of name and value, the values aligned: a plan, the paths of files."""
    echo(Text(title, style="bold"), console=console)
    width = max(map(len, pairs), default=0)
    for name, value in pairs.items():
        echo(Text.assemble("  ", (name.ljust(width), "dim"), "  ", value), console=console)


class Progress:
    """The bar of one version's training; a line per epoch, and without a bar some between: how fast, how long.

    Args:
        name: what is trained, such as `FuzzyBear v6`.
        total_steps: optimizer steps of the whole run.
        start_step: steps that an earlier process took already.
        epochs: number of epochs, for display; None where the run is counted in steps.
        start_epoch: epochs that are complete already.
        console: where to show it; None is the process's own terminal or pipe, unless `silenced`.
        clock: seconds that only go forward.
    """

    def __init__(
        self,
        name: str,
        total_steps: int,
        start_step: int = 0,
        *,
        epochs: int | None = None,
        start_epoch: int = 0,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console = console or terminal()
        self._clock = clock
        self._bar = _Bar(name, total_steps, start_step)
        self._start, self._total, self._started = start_step, total_steps, clock()
        self._before = self._started
        self._epochs, self._epoch = epochs, start_epoch
        self._losses: deque[float] = deque(maxlen=WINDOW)
        self._seconds: deque[float] = deque(maxlen=WINDOW)
        self._live: Live | None = None
        self._printed_at: float | None = None  # when the last line was printed

    def begin(self) -> None:
        """Say that the first step begins now: what was measured and drawn before is no part of the time left."""
        self._started = self._before = self._clock()

    def step(self, step: int, loss: float, rate: float) -> None:
        """Tell the bar about a finished optimizer step, its loss and the learning rate of the UNet's adapter."""
        now = self._clock()
        self._seconds.append(now - self._before)
        self._before = now
        self._losses.append(loss)
        self._bar.done = step
        self._bar.notes = [
            f"loss {statistics.fmean(self._losses):.4f}",
            f"{self._left(now)} left",
            self._pace(),
            f"epoch {_of(self._epoch + 1, self._epochs)}",
            f"lr {rate:.2g}",
        ]
        if self._live is None:
            self._live = _live(self._bar, self._console)
        if self._live is None and step < self._total and self._is_due(now):
            self._printed_at = now
            line = f"{self._bar.name}: step {step}/{self._total}, {self._pace()}, {self._left(now)} left"
            echo(line, console=self._console)

    def epoch(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Print the line of a finished epoch (1-based) with what was measured."""
        self._epoch = epoch
        parts = [f"epoch {_of(epoch, self._epochs)}", f"step {self._bar.done}/{self._total}"]
        measured = {name: value for name, value in metrics.items() if value is not None}
        parts += [f"{measure.label} {measured[name]:.4g}" for name, measure in measures_of(measured).items()]
        now = self._clock()
        if self._seconds:
            parts += [self._pace(), f"{self._left(now)} left"]
        # What measuring and sampling took is part of the time left, not of a step.
        self._before = self._printed_at = now
        echo(f"{self._bar.name}: " + ", ".join(parts), console=self._console)

    def close(self) -> None:
        """Take the bar away; a second call does nothing."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _is_due(self, now: float) -> bool:
        return len(self._seconds) == FIRST_LINE if self._printed_at is None else now - self._printed_at >= NEXT_LINE

    def _pace(self) -> str:
        # The median: a step that waited for a save or an evaluation says nothing about the others.
        return f"{statistics.median(self._seconds):.3g} s/step"

    def _left(self, now: float) -> str:
        done = self._bar.done - self._start
        return clock_time((now - self._started) / max(1, done) * (self._total - self._bar.done))


@contextmanager
def phase(
    name: str,
    total: int | None = None,
    *,
    quiet: bool = False,
    console: Console | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Callable[[], None]]:
    """Show a bar while something long runs that is not training (caching, sampling), then leave one line.

    Args:
        name: what is done, such as `caching latents`.
        total: how many pieces there are, if that is known.
        quiet: leave no line; for what happens at each epoch, which has a line already.
        console: where to show it; None is the process's own terminal or pipe, unless `silenced`.
        clock: seconds that only go forward.

    Yields:
        A function to call after each piece.
    """
    console = console or terminal()
    bar, started = _Bar(name, total, 0), clock()

    def advance() -> None:
        bar.done += 1

    live = _live(bar, console)
    try:
        yield advance
    finally:
        if live is not None:
            live.stop()
    if not quiet:
        count = f"{bar.done} in " if bar.done else ""
        echo(f"{name}: {count}{duration(clock() - started)}", console=console)


class _Bar:
    """One line: name, bar, count, then as many notes as there is room for, the most important first."""

    def __init__(self, name: str, total: int | None, done: int) -> None:
        self.name, self.total, self.done = name, total, done
        self.notes: list[str] = []

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        count = f"{self.done}/{self.total}" if self.total else str(self.done or "")
        text, room = count, options.max_width - len(self.name) - 12
        for note in self.notes:
            if len(text) + 2 + len(note) > room:
                break
            text += "  " + note
        line = Table.grid(padding=(0, 1))
        bar = ProgressBar(total=self.total, completed=self.done, width=max(4, min(40, room - len(text) + 10)))
        line.add_row(Text(self.name, no_wrap=True), bar, Text(text, no_wrap=True))
        yield line


def _live(bar: _Bar, console: Console) -> Live | None:
    """Start to show a bar; None where there is no terminal that can redraw a line."""
    # isatty, not is_terminal: the latter believes FORCE_COLOR, which build servers set for their log files.
    if not console.file.isatty() or console.is_dumb_terminal:
        return None
    live = Live(bar, console=console, refresh_per_second=REFRESH, transient=True)
    live.start(refresh=True)
    return live


def _of(count: int, total: int | None) -> str:
    return f"{count}/{total}" if total else str(count)
