"""The signals that ask a program to stop, heard in one way; what then happens is for the one who listens to say.

Ctrl-C and SIGTERM; SIGHUP, where a terminal or an ssh connection was lost; SIGUSR1 and SIGUSR2, which batch systems
send ahead of a time limit (`sbatch --signal=USR1@120`, submitit). Who stops for one leaves with 128 plus its number,
as shells report it.
"""

from __future__ import annotations

import errno
import os
import signal
import termios
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from signal import Signals
from types import FrameType
from typing import NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
EXIT_CODES = tuple(128 + number for number in SIGNALS)
"""How a program leaves that has stopped for one of them: 130 after Ctrl-C, 143 after SIGTERM, 129, 138, 140."""


@contextmanager
def listening(react: Callable[[Signals], None]) -> Iterator[None]:
    """While entered, each of the signals calls `react`, between two steps of Python's in the main thread.

    Entered in another thread it changes nothing: whoever started that thread listens. Where nohup has a lost terminal
    ignored, it stays so.
    """

    def handle(number: int, _: FrameType | None) -> None:
        if number == signal.SIGHUP:
            _drop_lost_terminal()
        react(Signals(number))

    mine = SIGNALS if threading.current_thread() is threading.main_thread() else ()
    ignored = [number for number in mine if number == signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN]
    before = {number: signal.signal(number, handle) for number in mine if number not in ignored}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def exit_now(number: Signals) -> NoReturn:
    """Unwind what runs, at once: a reaction for those who have nothing to finish first.

    Raises:
        KeyboardInterrupt: for Ctrl-C.
        SystemExit: for any other signal, with its exit code.
    """
    if number is signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(128 + number)


class Interruption:
    """While entered, a signal is remembered instead: whoever runs looks at it when the step in hand is finished.

    A second Ctrl-C does not wait for that (KeyboardInterrupt); any other further signal changes nothing.

    Attributes:
        signal: the signal that arrived first, or None.
    """

    def __init__(self) -> None:
        self.signal: Signals | None = None
        self._listening = listening(self._remember)

    @property
    def exit_code(self) -> int:
        """128 plus the signal's number: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + (self.signal or 0)

    def __enter__(self) -> Interruption:
        self._listening.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.__exit__(None, None, None)

    def _remember(self, number: Signals) -> None:
        if self.signal is not None and number is signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = self.signal or number


def _drop_lost_terminal() -> None:
    """Write to nowhere instead of to a terminal that is gone, which would fail what there is left to save."""
    for stream in (1, 2):
        try:
            termios.tcgetattr(stream)
        except termios.error as error:
            if error.args[0] == errno.EIO:
                with suppress(OSError):
                    os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
