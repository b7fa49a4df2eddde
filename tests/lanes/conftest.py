"""A small Hydra app in this process, whose jobs run on lanes."""

from __future__ import annotations

import importlib
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext


@dataclass
class ToyApp:
    """An app in this process (toy_tasks.py) with the keys x, do and until; job i's folder is folder/<i>."""

    folder: Path
    task: Callable[..., Any]

    def launcher(self, name: str, *overrides: str) -> Launcher:
        """Return the launcher hydra/launcher=name of a multirun, set up as Hydra does."""
        line = [f"hydra/launcher={name}", f"hydra.sweep.dir={self.folder}", *overrides]
        config = compose("config", line, return_hydra_config=True)
        context = HydraContext(config_loader=GlobalHydra.instance().config_loader(), callbacks=Callbacks(config))
        return Plugins.instance().instantiate_launcher(hydra_context=context, task_function=self.task, config=config)

    def job(self, number: int) -> Path:
        """Return the folder of a job."""
        return self.folder / str(number)


@pytest.fixture
def toy_app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ToyApp]:
    """The app, its module beside a script that is not installed anywhere."""
    beside = tmp_path / "toy"
    (beside / "conf").mkdir(parents=True)
    shutil.copy(Path(__file__).parent / "toy_tasks.py", beside)
    (beside / "conf" / "config.yaml").write_text("x: 1\ndo: double\nuntil: null\n")
    monkeypatch.syspath_prepend(str(beside))
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module("toy_tasks")
    with initialize_config_dir(str(beside / "conf"), version_base="1.3", job_name="toy"):
        yield ToyApp(tmp_path / "sweep", module.task)
    del sys.modules["toy_tasks"]


@pytest.fixture
def until() -> Callable[..., None]:
    """A function that waits until a condition holds, and fails the test if it does not come to hold."""

    def wait(condition: Callable[[], Any], seconds: float = 60.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "it did not come to hold"
            time.sleep(0.02)

    return wait
