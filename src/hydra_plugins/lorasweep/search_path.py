"""Puts our `hydra/sweeper=optuna` (and samplers, pruners, `hydra/launcher=lanes`) where Hydra looks for configs."""

from pathlib import Path
from typing import Any

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin

from hydra_plugins.lorasweep import conf
from hydra_plugins.lorasweep.optuna import OptunaSweeper

OFFICIAL = "hydra_plugins.hydra_optuna_sweeper.optuna_sweeper.OptunaSweeper"
"""What configs that were written for the official Optuna plugin name as the sweeper, by its module."""


class LorasweepSearchPath(SearchPathPlugin):
    """Adds the package's configs after the app's own, which may replace any of them."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Append the package's configs, and take the official Optuna plugin's place.

        Its configs of the same names go: Hydra 1.3 takes a structured config of the same name for a file's schema, and
        refuses the file if that schema has a defaults list, as theirs has. The name of its sweeper, which configs give
        outright, means ours: such a config is merged with ours, whose keys theirs does not know. All plugins have been
        imported when this is called.
        """
        search_path.append("lorasweep", f"pkg://{conf.__name__}")
        folder = Path(conf.__path__[0])
        for file in folder.rglob("*.yaml"):
            _remove(ConfigStore.instance().repo, file.relative_to(folder).parts)
        Plugins.instance().class_name_to_class[OFFICIAL] = OptunaSweeper


def _remove(repo: dict[str, Any], parts: tuple[str, ...]) -> None:
    """Remove the entry at a path of group names and file name from a config store's tree, if it is there."""
    *groups, name = parts
    for group in groups:
        repo = repo.get(group, {})
    repo.pop(name, None)
