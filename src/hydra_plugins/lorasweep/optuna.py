"""`hydra/sweeper=optuna`, the plugin that Hydra finds: `lorasweep.search` searches, `lorasweep.review` reports."""

from __future__ import annotations

from typing import Any

from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class OptunaSweeper(Sweeper):
    """Searches with Optuna; its settings are the keys of `hydra.sweeper`, which `sweep` reads from the config."""

    def __init__(self, **settings: Any) -> None:
        self._parts: tuple[HydraContext, TaskFunction, DictConfig] | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Remember what Hydra hands over before `sweep`."""
        self._parts = (hydra_context, task_function, config)

    def sweep(self, arguments: list[str]) -> Any:
        """Run the study that the config and the command line's overrides describe."""
        from lorasweep.review.report import TerminalReporter
        from lorasweep.search.sweeper import sweep

        assert self._parts is not None, "Hydra calls setup before sweep"
        return sweep(*self._parts, arguments, TerminalReporter())
