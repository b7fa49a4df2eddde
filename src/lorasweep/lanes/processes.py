"""Lanes that are child processes of this one: a lane that is free takes the next work at once."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for
from pathlib import Path
from typing import Any

from lorasweep.interruption import SIGNALS
from lorasweep.lanes.work import Ended, Work, log_tail

FROM_OUTSIDE = (signal.SIGKILL, *SIGNALS)
"""What kills a process that has done nothing wrong; others (SIGSEGV, SIGABRT) it draws on itself."""
LOOK_S = 0.25  # how often a busy lane's process is looked at: a grandchild may hold a dead lane's connection open
EXIT_S = 5.0  # how long an idle lane may take to leave


@dataclass
class Lane:
    """A lane as the controller sees it.

    Attributes:
        index: from 0.
        process: the child, leader of its own session.
        connection: to it.
        log: the file that its output goes to.
        work: what it runs, or None.
    """

    index: int
    process: subprocess.Popen[bytes]
    connection: Connection[Any, Any]
    log: Path
    work: Work | None = None

    def __str__(self) -> str:
        return f"lane {self.index} (pid {self.process.pid})"

    def kill(self) -> None:
        """End the process and all that it started, now."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.connection.close()


class ProcessLanes:
    """Child processes as lanes, started when they are first needed, replaced when they die.

    They run in sessions of their own, so a Ctrl-C in the terminal reaches only this process, whose `stop` passes it
    on. If this process dies, each lane finishes its work and leaves.

    Attributes:
        capacity: the largest number of processes.
        folder: where their output goes.
    """

    def __init__(
        self,
        parcel: bytes,
        capacity: int,
        folder: Path,
        environment: Callable[[int], Mapping[str, str]] = lambda index: {},
        grace_s: float = 60.0,
    ) -> None:
        """Prepare lanes; no process is started yet.

        Args:
            parcel: the app, from `lane.pack`.
            capacity: the largest number of processes.
            folder: where lane i writes lane-<i>.log, appending.
            environment: the variables that lane i gets beside this process's own.
            grace_s: seconds that interrupted work has before it is killed.
        """
        self.capacity = capacity
        self._parcel = parcel
        self.folder = folder
        self._environment = environment
        self._grace_s = grace_s
        self._lanes: dict[int, Lane] = {}
        self._ended: list[Ended] = []

    def start(self, work: Work) -> None:
        """Hand `work` to a free lane, starting one if need be."""
        lane = self._free_lane()
        lane.work = work
        with suppress(OSError):  # it died just now, which `wait` will find
            lane.connection.send(work)

    def wait(self, seconds: float) -> list[Ended]:
        """Return what ended: at once if something has, [] after `seconds` or when nothing runs."""
        deadline = time.monotonic() + seconds
        while not self._ended and (busy := self._busy()):
            left = max(0.0, deadline - time.monotonic())
            ready = set(wait_for([lane.connection for lane in busy], min(left, LOOK_S)))
            for lane in busy:
                if lane.connection in ready:
                    self._receive(lane)
                elif lane.process.poll() is not None:
                    # It may have answered between the two looks.
                    self._receive(lane) if lane.connection.poll() else self._mark_dead(lane)
            if left == 0.0:
                break
        ended, self._ended = self._ended, []
        return ended

    def stop(self) -> None:
        """Interrupt what is running (SIGINT), wait `grace_s` seconds, kill what is still there; end all lanes.

        A further KeyboardInterrupt ends the wait: everything is killed at once.
        """
        deadline = time.monotonic() + self._grace_s
        ended: list[Ended] = []
        try:
            for lane in self._busy():
                lane.process.send_signal(signal.SIGINT)
            while self._busy() and time.monotonic() < deadline:
                ended += self.wait(LOOK_S)
        finally:
            for lane in self._busy():
                lane.kill()
                reason = f"{lane} did not stop within {self._grace_s:g} s of being interrupted and was killed"
                self._end(lane, Ended(lane.work.number, error=reason, crashed=True, outside=True))  # type: ignore[union-attr]
                del self._lanes[lane.index]
            self._ended = ended + self._ended
            self.close()

    def close(self) -> None:
        """End all lanes: idle ones leave by themselves, busy ones are killed."""
        lanes = list(self._lanes.values())
        self._lanes = {}
        for lane in lanes:
            if lane.work is None:
                lane.connection.close()
        deadline = time.monotonic() + EXIT_S
        for lane in lanes:
            if lane.work is None:
                with suppress(subprocess.TimeoutExpired):
                    lane.process.wait(max(0.0, deadline - time.monotonic()))
            lane.kill()

    def _busy(self) -> list[Lane]:
        return [lane for lane in self._lanes.values() if lane.work is not None]

    def _free_lane(self) -> Lane:
        for lane in list(self._lanes.values()):
            if lane.work is None:
                if lane.process.poll() is None:
                    return lane
                self._mark_dead(lane)  # it died while it had nothing to do
        unused = [index for index in range(self.capacity) if index not in self._lanes]
        if not unused:
            raise RuntimeError(f"all {self.capacity} lanes are busy")
        self._lanes[unused[0]] = lane = self._open(unused[0])
        return lane

    def _open(self, index: int) -> Lane:
        self.folder.mkdir(parents=True, exist_ok=True)
        log = self.folder / f"lane-{index}.log"
        ours, theirs = multiprocessing.Pipe()
        with open(log, "ab") as output, _signals_blocked():
            process = subprocess.Popen(
                # -P: the current folder is no place for modules; the lane gets this process's sys.path.
                [sys.executable, "-P", "-m", "lorasweep.lanes.child", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, **self._environment(index)},
            )
        theirs.close()
        with suppress(OSError):  # it died at once, which `wait` will find
            ours.send(sys.path)
            ours.send_bytes(self._parcel)
        return Lane(index, process, ours, log)

    def _receive(self, lane: Lane) -> None:
        try:
            answer = lane.connection.recv_bytes()
        except (EOFError, OSError):
            self._mark_dead(lane)
            return
        try:
            ended: Ended = pickle.loads(answer)
        except Exception as error:
            ended = Ended(lane.work.number, error=f"what the task returned cannot be read: {error}")  # type: ignore[union-attr]
        self._end(lane, ended)

    def _mark_dead(self, lane: Lane) -> None:
        """Note the death of a lane and forget it; its successor is started when it is needed."""
        with suppress(subprocess.TimeoutExpired):  # its end of the connection closes a little before it is dead
            lane.process.wait(EXIT_S)
        lane.kill()
        del self._lanes[lane.index]
        if lane.work is not None:
            code = lane.process.returncode
            reason = f"{lane} {_death(code)}; {log_tail(lane.log)}"
            self._end(lane, Ended(lane.work.number, error=reason, crashed=True, outside=-code in FROM_OUTSIDE))

    def _end(self, lane: Lane, ended: Ended) -> None:
        lane.work = None
        self._ended.append(replace(ended, log=lane.log))


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Block what asks to stop: a process started in the block has it blocked until it is ready for it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _death(returncode: int) -> str:
    if returncode >= 0:
        return f"ended with exit code {returncode} in the middle of its work"
    with suppress(ValueError):
        return f"was killed by signal {-returncode} ({signal.Signals(-returncode).name})"
    return f"was killed by signal {-returncode}"
