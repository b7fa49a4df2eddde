"""A version of a cohort: what every process of a launch has of it, and what the first one has alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from lorasweep.training.hardware.distributed import LostProcessError, Processes
from lorasweep.training.session import Session
from lorasweep.training.version import Version


@dataclass
class Member:
    """A version of a cohort.

    Attributes:
        version: its model, state, data and objective.
        session: its record, measures, files and trackers; None on all processes but the first.
        error: why it failed, once it has.
    """

    version: Version
    session: Session | None
    error: Exception | None = None

    @property
    def active(self) -> bool:
        """Whether it still has steps to take."""
        return self.running and not self.version.finished

    @property
    def running(self) -> bool:
        """Whether it was neither pruned nor interrupted and has not failed."""
        return self.error is None and (self.session is None or self.session.running)

    @contextmanager
    def failing_alone(self, processes: Processes) -> Iterator[None]:
        """Context in which an error ends this version, with the reason in its record, and no other.

        Args:
            processes: are apart from then on, if they have lost each other.
        """
        try:
            yield
        except Exception as error:
            processes.apart |= isinstance(error, LostProcessError)
            self.error = error if self.session is None else self.session.fail(error)
