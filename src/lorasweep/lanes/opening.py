"""Opens the lanes of whichever launcher Hydra was given."""

from __future__ import annotations

from hydra.plugins.launcher import Launcher

from lorasweep.lanes.launchers import Batches, OneAfterAnother
from lorasweep.lanes.submissions import Submissions
from lorasweep.lanes.work import Lanes

BASIC = "hydra._internal.core_plugins.basic_launcher"


SUBMITIT = "hydra_plugins.hydra_submitit_launcher.submitit_launcher"


def open_lanes(launcher: Launcher, n_jobs: int | None) -> Lanes:
    """Return the lanes of a Hydra launcher.

    Args:
        launcher: one that has been set up: `lanes` (its own processes), `basic` (this process), `submitit_slurm` and
            `submitit_local` (a job per trial), or any other, which is handed whole batches.
        n_jobs: how many trials at once; None lets the launcher decide. The basic launcher always runs one.

    Raises:
        UserError: the launcher cannot run as many, or cannot be opened.
    """
    if hasattr(launcher, "open"):
        lanes: Lanes = launcher.open(n_jobs)
        return lanes
    # By name: Hydra's search for plugins imports each module a second time, so there are two such classes.
    if type(launcher).__module__ == BASIC:
        return OneAfterAnother(launcher)
    if type(launcher).__module__ == SUBMITIT:
        return Submissions(launcher, n_jobs or 1)
    return Batches(launcher, n_jobs or 1)
