"""Puts our `hydra/sweeper=optuna` (and samplers, pruners, `hydra/launcher=lanes`) where Hydra looks for configs."""

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin


class LorasweepSearchPath(SearchPathPlugin):
    """Adds the package's configs after the app's own, and before all structured configs.

    So an app may replace any of them, and the official Optuna plugin's, if it is installed, come second.
    """

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Append the package's configs."""
        search_path.append("lorasweep", "pkg://lorasweep.sweeping.conf")
