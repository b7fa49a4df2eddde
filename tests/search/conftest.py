"""A small Hydra app of somebody else's, and studies without one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import pytest
from hydra import initialize_config_dir
from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf

from lorasweep.review.report import TerminalReporter
from lorasweep.search.storage import open_storage
from lorasweep.search.sweeper import sweep

APP = """
import json, os, signal, sys, time
from pathlib import Path
import hydra
from omegaconf import DictConfig, OmegaConf

@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(cfg: DictConfig):
    Path("ran").mkdir(exist_ok=True)
    with open(f"ran/{os.getpid()}", "a") as stream:
        stream.write(json.dumps({"x": cfg.x, "n": cfg.n, "kind": cfg.model.kind, "layers": list(cfg.layers)}) + "\\n")
    if cfg.how == "returns":
        return objective(cfg, 4)
    from lorasweep import search
    with search.trial() as trial:
        for step in range(5):
            if cfg.how == "killed" and step == 2 and trial.retry_of is None:
                os.kill(os.getpid(), signal.SIGKILL)
            if cfg.how == "raises" and cfg.n == 2:
                raise RuntimeError("two is\\nnot allowed")
            if cfg.how == "exits" and trial.retry_of is None and step == 2:
                sys.exit(130)
            time.sleep(cfg.pause)
            if trial is not None and (reason := trial.report(step, objective(cfg, step))):
                trial.prune(reason)
                return None
        if trial is not None:
            trial.note(metrics={"size": cfg.n * 10.0}, version=f"toy v{trial.number + 1}")
            trial.finish(float("nan") if cfg.how == "diverges" and cfg.n == 2 else objective(cfg, 4))

def objective(cfg, step):
    value = (cfg.x - 0.3) ** 2 + cfg.n + (4 - step) * (1 + cfg.x)
    return [value, cfg.n] if cfg.how == "two" else value

if __name__ == "__main__":
    main()
"""

CONFIG = """
defaults:
  - model: small
  - _self_
x: 1.0
n: 3
layers: [1, 2]
how: reports
pause: 0.0
seed: 7
fold: null
hydra:
  sweep: {dir: swept}
  job_logging: {disable_existing_loggers: false}
"""


@pytest.fixture
def app(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a foreign app in `tmp_path` with a command line, and return the finished process."""
    (tmp_path / "conf" / "model").mkdir(parents=True)
    (tmp_path / "conf" / "config.yaml").write_text(CONFIG)
    for kind in ("small", "large"):
        (tmp_path / "conf" / "model" / f"{kind}.yaml").write_text(f"kind: {kind}\n")
    (tmp_path / "app.py").write_text(APP)

    def run(*line: str, plots: bool = False) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "app.py", "-m", "hydra/sweeper=optuna", f"hydra.sweeper.plots={plots}", *line],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )

    return run


@pytest.fixture
def study_of(tmp_path: Path) -> Callable[[str], optuna.Study]:
    """Open the study that the foreign app has left behind."""

    def load(name: str = "app") -> optuna.Study:
        return optuna.load_study(study_name=name, storage=open_storage(f"{tmp_path}/swept/journal.log"))

    return load


@dataclass
class Search:
    """A search of a task in this process: the keys x, n, top, kind, layers and seed, and one folder per job.

    Attributes:
        folder: where the study and the jobs' folders go.
        task: what each trial runs; it gets the config.
        ran: x and n of every job that ran.
    """

    folder: Path
    task: Callable[[DictConfig], Any]
    ran: list[tuple[Any, Any]]

    def __call__(self, *line: str) -> float | None:
        """Search as a command line says, and return the best value."""
        loader = GlobalHydra.instance().config_loader()
        quiet = ["hydra/sweeper=optuna", "hydra/job_logging=none", "hydra/hydra_logging=none"]
        config = loader.load_configuration(
            "config", [*quiet, "hydra.sweeper.plots=false", *line], run_mode=RunMode.MULTIRUN
        )
        context = HydraContext(config_loader=loader, callbacks=Callbacks(config))
        HydraConfig.instance().set_config(config)

        def task(job: DictConfig) -> Any:
            self.ran.append((job.x, job.n))
            return self.task(job)

        arguments = OmegaConf.to_container(config.hydra.overrides.task, resolve=False)
        assert isinstance(arguments, list)
        return sweep(context, task, config, [str(text) for text in arguments], TerminalReporter())

    def study(self, name: str = "app") -> optuna.Study:
        """Return the study that was left behind."""
        return optuna.load_study(study_name=name, storage=open_storage(f"{self.folder}/journal.log"))


@pytest.fixture
def search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Search]:
    """A search whose trials return (x - 1) squared, kept in the folder `swept`."""
    conf = tmp_path / "conf"
    conf.mkdir()
    (conf / "config.yaml").write_text(
        "x: 1.0\nn: 3\ntop: 4\nkind: plain\nlayers: [1, 2]\nseed: 7\nhydra: {sweep: {dir: swept}}\n"
    )
    monkeypatch.chdir(tmp_path)
    with initialize_config_dir(str(conf), version_base="1.3", job_name="app"):
        yield Search(tmp_path / "swept", lambda job: (job.x - 1) ** 2, [])
