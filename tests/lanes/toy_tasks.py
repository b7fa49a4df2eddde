"""Tasks of a small Hydra app, as a module that tests put on sys.path and that lanes must then find there too."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

LOADED: list[int] = []


class Unpicklable:
    """A value that cannot leave its process."""

    def __reduce__(self) -> Any:
        raise TypeError("not for export")


def task(config: DictConfig) -> Any:
    """Do what config.do says with config.x; leave traces in the job's folder."""
    folder = Path(HydraConfig.get().runtime.output_dir)
    logging.getLogger("toy").info("x is %s", config.x)
    (folder / ".began").write_text(str(os.getpid()))
    (folder / ".began").rename(folder / "began")  # whoever sees it may read it
    LOADED.append(config.x)
    match config.do:
        case "double":
            return 2 * config.x
        case "loaded":
            return len(LOADED)
        case "pid":
            return os.getpid()
        case "job":
            return [HydraConfig.get().job.num, HydraConfig.get().job.id, os.environ.get("TOY"), folder.name]
        case "environment":
            return {name: os.environ.get(name) for name in ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS")}
        case "raise":
            raise ValueError("x is bad\nand this is why")
        case "sys.exit":
            sys.exit(3)
        case "os._exit":
            print("last words", flush=True)
            os._exit(7)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "segfault":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "daughter":  # a grandchild that holds the lane's connection open, as a forked data loader does
            daughter = os.fork()
            if daughter == 0:
                time.sleep(600)
                os._exit(0)
            (folder / "daughter").write_text(str(daughter))
            os.kill(os.getpid(), signal.SIGKILL)
        case "unpicklable":
            return Unpicklable()
        case "wait":  # until the file appears that the test makes
            until, deadline = Path(config.until), time.monotonic() + 120  # a failed test leaves nobody behind
            while not until.exists() and time.monotonic() < deadline:
                time.sleep(0.02)
            (folder / "ended").write_text("")
            return config.x
        case "save":  # as the trainer does: a signal is remembered, the step finished, the state saved
            asked: list[int] = []
            before = [signal.signal(number, lambda n, _: asked.append(n)) for number in (signal.SIGINT, signal.SIGTERM)]
            (folder / "ready").write_text("")
            while not asked:
                time.sleep(0.02)
            time.sleep(0.3)
            (folder / "saved").write_text(str(asked[0]))
            for number, handler in zip((signal.SIGINT, signal.SIGTERM), before, strict=True):
                signal.signal(number, handler)
            raise SystemExit(128 + asked[0])
        case "stubborn":
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            (folder / "ready").write_text("")
            time.sleep(60)
    raise AssertionError(config.do)
