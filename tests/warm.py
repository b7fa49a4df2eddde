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
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn

NOTHING: Mapping[str, str] = MappingProxyType({})


class Warm:
    """A process that forks a child for each command.

    Args:
        checkout: the folder that train.py, conf/ and src/ are taken from.
    """

    def __init__(self, checkout: Path) -> None:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
        more = {"PYTHONPATH": str(checkout / "src"), "OMP_NUM_THREADS": "1", "NO_COLOR": "1", "WANDB_MODE": "offline"}
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            cwd=checkout,
            env=clean | more,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(
        self,
        command: Sequence[str],
        folder: Path,
        environment: Mapping[str, str] = NOTHING,
        interrupted_at: str = "",
    ) -> subprocess.CompletedProcess[str]:
        """Run a command and return how it ended and what it printed.

        Args:
            command: `python train.py ...`, `python -m MODULE ...` or `lorasweep ...`, split into words.
            folder: its working directory.
            environment: variables that it has besides.
            interrupted_at: it gets Ctrl-C as soon as a file of this pattern is there, below the folder.
        """
        child = self.start(command, folder, environment)
        while interrupted_at and child.poll() is None:
            if any(folder.glob(interrupted_at)):
                child.send_signal(signal.SIGINT)
                break
            time.sleep(0.02)
        return child.wait()

    def start(self, command: Sequence[str], folder: Path, environment: Mapping[str, str] = NOTHING) -> Child:
        """Start a command; the arguments are those of `run`."""
        request = {"command": list(command), "folder": str(folder), "environment": dict(environment)}
        return Child(self, list(command), self.ask(request)["pid"])

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return the process's answer to a request."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


class Child:
    """A command that runs.

    Args:
        warm: whose child it is.
        command: as it was given.
        pid: of its process.
    """

    def __init__(self, warm: Warm, command: list[str], pid: int) -> None:
        self._warm, self._command, self.pid = warm, command, pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit code, or minus the signal that ended it; None while it runs."""
        return self.returncode if self.returncode is not None else self._warm.ask({"poll": self.pid})["code"]

    def send_signal(self, number: int) -> None:
        """Send a signal; nothing if it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def wait(self) -> subprocess.CompletedProcess[str]:
        """Wait for its end; return how it ended and what it printed."""
        ended = self._warm.ask({"wait": self.pid})
        self.returncode = ended["code"]
        return subprocess.CompletedProcess(self._command, ended["code"], ended["stdout"], ended["stderr"])


def _serve() -> None:
    """Answer one request a line on standard input, until it is closed."""
    import hydra  # noqa: F401 (the apps of some tests import it)

    import lorasweep.commands.cli
    import lorasweep.search.sweeper
    import lorasweep.toy.sets
    import lorasweep.training.cohort  # noqa: F401

    printed: dict[int, dict[str, int]] = {}
    for line in sys.stdin:
        request = json.loads(line)
        if "command" in request:
            files = {name: os.memfd_create(name) for name in ("stdout", "stderr")}
            child = os.fork()
            if not child:
                _become(request, files)
            printed[child] = files
            answer: dict[str, Any] = {"pid": child}
        elif "poll" in request:
            over = os.waitid(os.P_PID, request["poll"], os.WEXITED | os.WNOHANG | os.WNOWAIT)
            answer = {"code": over and (over.si_status if over.si_code == os.CLD_EXITED else -over.si_status)}
        else:
            _, status = os.waitpid(request["wait"], 0)
            answer = {"code": os.waitstatus_to_exitcode(status)}
            for name, descriptor in printed.pop(request["wait"]).items():
                with os.fdopen(descriptor, "rb") as stream:
                    stream.seek(0)
                    answer[name] = stream.read().decode(errors="replace")
        print(json.dumps(answer), flush=True)


def _become(request: dict[str, Any], files: dict[str, int]) -> NoReturn:
    """Be the process of a command, from here to its end."""
    for number, name in enumerate(files, start=1):
        os.dup2(files[name], number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ.update(request["environment"])
    sys.path[1:1] = filter(None, request["environment"].get("PYTHONPATH", "").split(os.pathsep))
    os.chdir(request["folder"])
    sys.exit(_run(request["command"]))


def _run(command: list[str]) -> int:
    """Run a command in this process; return its exit code."""
    try:
        match command:
            case ["python", "-m", module, *arguments]:
                sys.argv = [module, *arguments]
                runpy.run_module(module, run_name="__main__", alter_sys=True)
            case ["python", script, *arguments]:
                sys.argv = [script, *arguments]
                sys.path[0] = str(Path(script).resolve().parent)
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
