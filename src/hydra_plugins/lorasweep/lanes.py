"""The plugin `hydra/launcher=lanes`; imported at every start of every Hydra app, so what it does is imported late."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

if TYPE_CHECKING:
    from lorasweep.sweeping.processes import Processes


class LanesLauncher(Launcher):
    """Runs jobs in child processes, each of which runs one after another.

    Args:
        n_jobs: number of lanes; None = the sweeper's, or one per GPU, or 2 without any.
        gpus: the GPUs to deal out; None = all visible ones, [] = leave CUDA_VISIBLE_DEVICES alone.
        grace_s: seconds that interrupted work has before it is killed.
        folder: of the lanes' logs.
    """

    def __init__(
        self,
        n_jobs: int | None = None,
        gpus: Sequence[int | str] | None = None,
        grace_s: float = 60.0,
        folder: str = "lanes",
    ) -> None:
        self.n_jobs = n_jobs
        self.gpus = gpus
        self.grace_s = grace_s
        self.folder = folder
        self.config: DictConfig | None = None
        self.hydra_context: HydraContext | None = None
        self.task_function: TaskFunction | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what the jobs need."""
        self.config, self.hydra_context, self.task_function = config, hydra_context, task_function

    def open(self, n_jobs: int | None = None) -> Processes:
        """Return the lanes, for a sweeper that keeps them busy; hydra.launcher.n_jobs wins over its `n_jobs`."""
        from lorasweep.sweeping import launcher

        assert self.config is not None and self.hydra_context is not None and self.task_function is not None
        return launcher.open_processes(
            self.task_function,
            self.hydra_context,
            self.config,
            n_jobs=n_jobs if self.n_jobs is None else self.n_jobs,
            gpus=self.gpus,
            grace_s=self.grace_s,
            folder=self.folder,
        )

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run a batch of jobs, as Hydra's own sweeper asks for it."""
        from lorasweep.sweeping import launcher

        assert self.config is not None
        return launcher.launch(self.open, self.config, job_overrides, initial_job_idx)
