"""Where the seconds of a version went."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields

from lorasweep.runs.record import Seconds

PHASES = tuple(each.name for each in fields(Seconds) if each.name not in ("source", "total"))


class Stopwatch:
    """Seconds by phase; runs from when it is made, or from an earlier moment.

    Args:
        began: that moment, as `time.monotonic` has it; what passed since then was spent on loading.

    Attributes:
        failed: the phase that an error ended last; None while there was none.
    """

    def __init__(self, began: float | None = None) -> None:
        now = time.monotonic()
        self.seconds = dict.fromkeys(PHASES, 0.0) | {"load": 0.0 if began is None else now - began}
        self.failed: str | None = None
        self._earlier = 0.0
        self._started = now if began is None else began

    def continue_from(self, seconds: Seconds | None) -> None:
        """Add what earlier parts of the same version took: `seconds` of the record that is continued."""
        if seconds is None:
            return
        self._earlier += seconds.total
        for phase in PHASES:
            self.seconds[phase] += getattr(seconds, phase)

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        """Add the time spent inside to `phase`."""
        started = time.monotonic()
        try:
            yield
        except BaseException:
            self.failed = phase
            raise
        finally:
            self.seconds[phase] += time.monotonic() - started

    def read(self) -> Seconds:
        """Return `total` and every phase, in seconds, to the millisecond."""
        total = self._earlier + time.monotonic() - self._started
        return Seconds(*(round(value, 3) for value in (total, *self.seconds.values())))
