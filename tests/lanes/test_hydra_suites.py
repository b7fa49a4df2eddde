"""Hydra's own tests of launchers, as they ship with hydra-core, on the lanes."""

from __future__ import annotations

from typing import Any

import pytest
from hydra import version
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.test_utils.launcher_common_tests import (
    BatchedSweeperTestSuite,
    IntegrationTestSuite,
    LauncherTestSuite,
)

ONE_LANE = ["hydra.launcher.n_jobs=1"]


@pytest.fixture(autouse=True)
def of_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """The suites' apps name no version_base, which Hydra keeps for the whole process: that of the tests before them."""
    monkeypatch.setattr(version.VersionBase.instance(), "version_base", version.__compat_version__)


def test_hydra_finds_the_lanes() -> None:
    assert "LanesLauncher" in [plugin.__name__ for plugin in Plugins.instance().discover(Launcher)]


@pytest.mark.parametrize(("launcher_name", "overrides"), [("lanes", ONE_LANE)])
class TestLanes(LauncherTestSuite):
    """What a launcher must do with jobs, configs and what they return."""


@pytest.mark.parametrize(
    ("launcher_name", "overrides"), [("lanes", [*ONE_LANE, "hydra/sweeper=basic", "hydra.sweeper.max_batch_size=2"])]
)
class TestLanesWithBatches(BatchedSweeperTestSuite):
    """The same where the sweeper asks for one batch after another."""


@pytest.mark.parametrize(("task_launcher_cfg", "extra_flags"), [({}, ["-m", "hydra/launcher=lanes", *ONE_LANE])])
class TestLanesIntegration(IntegrationTestSuite):
    """From the command line: folders, names, working directories."""


def test_what_hydra_is_told_of_a_job_is_whole(toy_app: Any) -> None:
    launcher = toy_app.launcher("lanes", *ONE_LANE)
    good, bad, dead = launcher.launch([["x=4"], ["do=raise"], ["do=kill"]], 5)
    assert good.return_value == 8 and good.status.name == "COMPLETED"
    assert (good.cfg.x, good.hydra_cfg.hydra.job.num, good.overrides, good.task_name) == (4, 5, ["x=4"], "toy")
    assert str(good.working_dir) == str(toy_app.folder.parent)
    assert bad.status.name == "FAILED" and bad.cfg.do == "raise" and bad.hydra_cfg.hydra.job.num == 6
    with pytest.raises(Exception, match="x is bad"):
        bad.return_value  # noqa: B018
    assert dead.status.name == "FAILED" and dead.overrides == ["do=kill"]
