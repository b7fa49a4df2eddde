"""Puts our `hydra/sweeper=optuna` (and samplers, pruners, `hydra/launcher=lanes`) where Hydra looks for configs."""

from pathlib import Path
from typing import Any

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.plugins.search_path_plugin import SearchPathPlugin

from lorasweep.sweeping import conf


class LorasweepSearchPath(SearchPathPlugin):
    """Adds the package's configs after the app's own, which may replace any of them."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Append the package's configs, and take the official Optuna plugin's of the same names out of the way.

        Hydra 1.3 takes a structured config of the same name for a file's schema, and refuses the file if that schema
        has a defaults list, as the official plugin's has. All plugins have been imported when this is called.
        """
        search_path.append("lorasweep", f"pkg://{conf.__name__}")
        folder = Path(conf.__path__[0])
        for file in folder.rglob("*.yaml"):
            _remove(ConfigStore.instance().repo, file.relative_to(folder).parts)


def _remove(repo: dict[str, Any], parts: tuple[str, ...]) -> None:
    """Remove the entry at a path of group names and file name from a config store's tree, if it is there."""
    *groups, name = parts
    for group in groups:
        repo = repo.get(group, {})
    repo.pop(name, None)
