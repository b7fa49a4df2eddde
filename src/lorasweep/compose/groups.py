"""The config groups of a run and their choices, as Hydra finds them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from lorasweep.errors import Problem
from lorasweep.schema import schema_keys
from lorasweep.text.names import did_you_mean


def repository(line: Sequence[str]) -> Any:
    """Return Hydra's view of all config files, those of folders that a command line adds included.

    Args:
        line: overrides. Hydra must be initialized.
    """
    loader = GlobalHydra.instance().config_loader()
    assert isinstance(loader, ConfigLoaderImpl)
    search_path = [text for text in line if text.lstrip("+").startswith("hydra.searchpath=")]
    try:
        return loader._parse_overrides_and_create_caching_repo(None, search_path)[1]
    except HydraException:  # said where the overrides are judged
        return loader.repository


class Groups:
    """The config groups that Hydra was initialized with, and their choices; a leading _ makes a name private.

    Args:
        line: overrides, of which `hydra.searchpath` adds folders of configs.

    Attributes:
        names: of the groups.
    """

    def __init__(self, line: Sequence[str] = ()) -> None:
        # The loader's own get_group_options copies every config on every call.
        self._repository = repository(line)
        everything = self._repository.get_group_options("", ObjectType.GROUP)
        self.names = [group for group in everything if group != "hydra"]

    def has(self, group: str) -> bool:
        """Return whether there is such a group."""
        return group in self.names or group.startswith("hydra/")

    def of(self, group: str) -> list[str]:
        """Return the choices of a group, those in subfolders included (lora has food and food/v1)."""
        found = list(self._repository.get_group_options(group, ObjectType.CONFIG))
        for folder in self._repository.get_group_options(group, ObjectType.GROUP):
            found += [f"{folder}/{choice}" for choice in self.of(f"{group}/{folder}")]
        return [choice for choice in found if not choice.startswith("_")]

    def words(self, group: str) -> Mapping[str, Any]:
        """Return the words that people give as a choice of a group, and which choice each means."""
        keys = (schema_keys().get(f"{group}.{leaf}") for leaf in ("name", "type"))
        return next((key.meant for key in keys if key is not None), {})

    def problem(self, text: str, override: Override) -> Problem | None:
        """Return what is wrong with the choice of a group, or None."""
        group, value, choices = override.key_or_group, override.value(), self.of(override.key_or_group)
        if override.is_delete() or value in choices:
            return None
        if not choices:
            known = [f"hydra/{name}" for name in self._repository.get_group_options("hydra", ObjectType.GROUP)]
            return Problem(f"{text}: expected a group of Hydra's: one of {', '.join(known)}", group)
        if value is None:
            return Problem(f"{text}: leave it out, or write ~{group} for none at all", group)
        if f"{group}.path" in schema_keys() and isinstance(value, str) and Path(value).exists():
            return Problem(f"{text}: {value} is a path; give it as {group}.path={value}", group)
        folder = str(value).rpartition("/")[0]  # for food/v10, list food's versions
        near = [choice for choice in choices if choice.rpartition("/")[0] == folder]
        listed = near or [choice for choice in choices if "/" not in choice]
        return Problem(
            f"{text}: expected one of {', '.join(listed)}{did_you_mean(str(value), choices, self.words(group))}", group
        )
