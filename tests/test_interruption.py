"""The signals that ask a program to stop."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from lorasweep.interruption import EXIT_CODES, SIGNALS, Interruption, exit_now, listening


@pytest.mark.parametrize("number", SIGNALS)
def test_each_signal_is_heard_inside_and_has_its_own_meaning_again_outside(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    heard: list[signal.Signals] = []
    with listening(heard.append):
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)
    assert heard == [number, number]
    assert signal.getsignal(number) is before
    assert 128 + number in EXIT_CODES


def test_who_has_nothing_to_finish_leaves_at_once_with_the_signals_code() -> None:
    with pytest.raises(SystemExit) as left, listening(exit_now):
        os.kill(os.getpid(), signal.SIGUSR1)
    assert left.value.code == 138
    with pytest.raises(KeyboardInterrupt), listening(exit_now):
        os.kill(os.getpid(), signal.SIGINT)


def test_the_first_signal_is_remembered_and_only_a_second_ctrl_c_does_not_wait() -> None:
    with Interruption() as interruption:
        assert interruption.signal is None
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGTERM)
        assert interruption.signal is signal.SIGHUP and interruption.exit_code == 129
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_a_thread_leaves_signals_to_the_one_that_started_it() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    inside: list[object] = []

    def work() -> None:
        with Interruption():
            inside.extend(signal.getsignal(number) for number in SIGNALS)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert inside == before


def test_nohup_keeps_its_meaning() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interruption() as interruption:
            os.kill(os.getpid(), signal.SIGHUP)
            assert interruption.signal is None
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_lost_terminal_does_not_keep_a_program_from_saving(tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    code = f"""
import fcntl, os, pathlib, termios, time
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # as of an ssh connection
from lorasweep.interruption import Interruption
with Interruption() as interruption:
    print("ready", flush=True)
    while interruption.signal is None:
        time.sleep(0.01)
    print("a line of progress", flush=True)
    pathlib.Path({str(saved)!r}).write_text("whole")
raise SystemExit(interruption.exit_code)
"""
    controller, terminal = pty.openpty()
    process = subprocess.Popen([sys.executable, "-c", code], stdin=terminal, stdout=terminal, stderr=terminal)
    os.close(terminal)
    assert b"ready" in os.read(controller, 100)
    os.close(controller)
    assert process.wait(60) == 129 and saved.read_text() == "whole"
