"""Commands run by a process that has the heavy imports behind it: each in a fork, seconds sooner than by itself.

What a command does, prints and returns is the same; only what happens while modules are imported is not tested here.
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any


class Warm:
    """A process that forks a child for each command, one after the other."""

    def __init__(self, checkout: Path) -> None:
        """Start the process.

        Args:
            checkout: the folder that train.py, conf/ and src/ are taken from.
        """
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            cwd=checkout,
            env=os.environ | {"PYTHONPATH": str(checkout / "src"), "OMP_NUM_THREADS": "1", "WANDB_MODE": "offline"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, command: Sequence[str], folder: Path, interrupted_at: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command and return how it ended and what it printed.

        Args:
            command: `python train.py ...`, `python -m MODULE ...` or `lorasweep ...`, split into words.
            folder: its working directory.
            interrupted_at: it gets Ctrl-C as soon as a file of this pattern is there, below the folder.
        """
        self._tell({"command": list(command), "folder": str(folder), "interrupted_at": interrupted_at})
        ended = self._hear()
        return subprocess.CompletedProcess(list(command), ended["code"], ended["stdout"], ended["stderr"])

    def close(self) -> None:
        """End the process."""
        self._process.communicate()

    def _send(self, request: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()

    def _receive(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


def _serve() -> None:
    """Answer one request a line on standard input, until it is closed."""
    import lorasweep.search.sweeper
    import lorasweep.toy.sets
    import lorasweep.training.cohort  # noqa: F401

    for line in sys.stdin:
        request = json.loads(line)
        files = {name: os.memfd_create(name) for name in ("stdout", "stderr")}
        child = os.fork()
        if not child:
            for number, name in enumerate(files, start=1):
                os.dup2(files[name], number)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.chdir(request["folder"])
            sys.exit(_run(request["command"]))
        if request["interrupted_at"]:
            _interrupt(child, Path(request["folder"]), request["interrupted_at"])
        _, status = os.waitpid(child, 0)
        ended: dict[str, Any] = {"code": os.waitstatus_to_exitcode(status)}
        for name, descriptor in files.items():
            with os.fdopen(descriptor, "rb") as stream:
                stream.seek(0)
                ended[name] = stream.read().decode(errors="replace")
        print(json.dumps(ended), flush=True)


def _interrupt(child: int, folder: Path, pattern: str) -> None:
    """Send Ctrl-C to a process once a file is there, or do nothing if it ends before."""
    while not os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        if any(folder.glob(pattern)):
            os.kill(child, signal.SIGINT)
            return
        time.sleep(0.02)


def _run(command: list[str]) -> int:
    """Run a command in this process; return its exit code."""
    try:
        match command:
            case ["python", "-m", module, *arguments]:
                sys.argv = [module, *arguments]
                runpy.run_module(module, run_name="__main__", alter_sys=True)
            case ["python", script, *arguments]:
                sys.argv = [script, *arguments]
                runpy.run_path(script, run_name="__main__")
            case ["lorasweep", *arguments]:
                from lorasweep.commands import cli

                return cli.main(arguments)
            case _:
                raise ValueError(f"{command[0]}: no such program here")
    except SystemExit as exit:
        return exit.code if isinstance(exit.code, int) else int(bool(exit.code))
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    _serve()
