"""The plugin `hydra/launcher=lanes`; imported at every start of every Hydra app, so what it does is imported late."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

if TYPE_CHECKING:
    from lorasweep.lanes.processes import ProcessLanes


class LanesLauncher(Launcher):
    """Runs jobs in child processes, each of which runs one after another; `hydra.launcher` has its settings."""

    def __init__(self, **settings: Any) -> None:
        self.config: DictConfig | None = None
        self.hydra_context: HydraContext | None = None
        self.task_function: TaskFunction | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what the jobs need."""
        self.config, self.hydra_context, self.task_function = config, hydra_context, task_function

    def open(self, n_jobs: int | None = None) -> ProcessLanes:
        """Return the lanes, for a sweeper that keeps them busy; hydra.launcher.n_jobs wins over its `n_jobs`."""
        from lorasweep.lanes.launcher import open_processes

        assert self.config is not None and self.hydra_context is not None and self.task_function is not None
        return open_processes(self.task_function, self.hydra_context, self.config, n_jobs)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run a batch of jobs, as Hydra's own sweeper asks for it."""
        from lorasweep.errors import exit_with_message
        from lorasweep.lanes.launcher import launch

        assert self.config is not None
        with exit_with_message():
            return launch(self.open, self.config, job_overrides, initial_job_idx)
