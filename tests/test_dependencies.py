"""What a plain installation, without the extras of the tests, has to bring along."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

import pytest

DRAWS = """
import sys, tempfile
from pathlib import Path
import optuna
from lorasweep.review.plots import draw_plots
optuna.logging.set_verbosity(optuna.logging.ERROR)
study = optuna.create_study(sampler=optuna.samplers.RandomSampler(0))
study.optimize(lambda trial: trial.suggest_float("x", 0, 1) + trial.suggest_int("n", 1, 9), n_trials=8)
drawn = draw_plots(study, Path(tempfile.mkdtemp()))
assert "contour" in [path.stem for path in drawn.files], drawn
"""
IMPORTS = """
import importlib, pkgutil, lorasweep
for module in pkgutil.walk_packages(lorasweep.__path__, "lorasweep."):
    importlib.import_module(module.name)
"""
ASKS = """
import optuna
from lorasweep.search import choices
from lorasweep.search.space import parse_space
optuna.logging.set_verbosity(optuna.logging.ERROR)
space = parse_space({"x": "interval(0, 1)"}, [])
for name in ("TPESampler", "GPSampler", "CmaEsSampler", "NSGAIISampler", "QMCSampler"):
    sampler = choices.sampler({"_target_": f"optuna.samplers.{name}"}, space, ["minimize"], 0)
    study = optuna.create_study(sampler=sampler)
    for _ in range(12):
        trial = study.ask(dict(space.distributions))
        study.tell(trial, trial.params["x"])
"""


TAKEN_IF_THERE = {"greenlet"}
"""What a dependency imports where it happens to be installed (SQLAlchemy, beside the tests' browser driver)."""


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def brought_along(package: str) -> set[str]:
    """The distributions that installing `package` without extras installs, by name."""
    found, waiting = set(), [package]
    while waiting:
        name = normal(waiting.pop())
        if name in found:
            continue
        try:
            requirements = distribution(name).requires or []
        except ImportError:  # for another platform
            continue
        found.add(name)
        waiting += [re.split(r"[^\w.-]", text)[0] for text in requirements if "extra ==" not in text]
    return found


@pytest.mark.parametrize("code", [IMPORTS, DRAWS, ASKS], ids=["imports", "plots", "samplers"])
def test_only_what_is_brought_along_is_used(code: str, tmp_path: Path) -> None:
    tell = code + "\nimport sys; print('MODULES', *sorted({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", tell], capture_output=True, text=True, cwd=tmp_path, timeout=120)
    assert done.returncode == 0, done.stderr
    used = next(line for line in done.stdout.splitlines() if line.startswith("MODULES")).split()[1:]
    owners = packages_distributions()
    brought = brought_along("lorasweep")
    foreign = {
        name: owners[name]
        for name in used
        if name in owners and name not in TAKEN_IF_THERE and not {normal(owner) for owner in owners[name]} & brought
    }
    assert not foreign
