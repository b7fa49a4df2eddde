"""What wins where several parts of a config say something about one key.

Hydra merges the files of a config in the order of its defaults list, wherever a choice comes from: a recipe, which
comes after the groups, would also win over a group that the command line chooses. Here what a person types counts
most: such a group is merged last.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import hydra._internal.hydra
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.default_element import ResultDefault
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from lorasweep.schema import schema_keys
from lorasweep.schema.optimizer import RATES
from lorasweep.text.values import written

ORDER = "groups < recipe (lora) < compat < preset < sweeps < groups on the command line < key=value"
"""Who wins, the last one most, as the help and the documents say it."""

BUNDLES = ("lora", "compat", "preset", "sweeps")
"""Groups whose choices speak of all other groups' keys, in their own order."""


class Loader(ConfigLoaderImpl):
    """Hydra's config loader, which merges the groups that are chosen on the command line last and expands paths."""

    _chosen: Collection[str] = ()

    def load_configuration(
        self,
        config_name: str | None,
        overrides: list[str],
        run_mode: RunMode,
        from_shell: bool = True,
        validate_sweep_overrides: bool = True,
    ) -> DictConfig:
        """Compose a config; see Hydra."""
        self._chosen = chosen(overrides)
        config = super().load_configuration(config_name, overrides, run_mode, from_shell, validate_sweep_overrides)
        _expand_paths(config)
        return config

    def _compose_config_from_defaults_list(self, defaults: list[ResultDefault], repo: Any) -> DictConfig:
        rest = [default for default in defaults if not _is_of(default, self._chosen)]
        last = [default for default in defaults if _is_of(default, self._chosen)]
        frozen: list[str] = []
        if "optimizer" in self._chosen:
            # First: Hydra lets the nodes of what it composes change with what is composed later of the same files.
            before = super()._compose_config_from_defaults_list(rest, repo)
            frozen = [key for key in RATES if OmegaConf.select(before, key, throw_on_resolution_failure=False) == 0]
        config = super()._compose_config_from_defaults_list([*rest, *last], repo)
        for key in frozen:
            OmegaConf.update(config, key, 0.0)
        return config


def install() -> None:
    """Let Hydra compose every config of this process with our loader."""
    hydra._internal.hydra.ConfigLoaderImpl = Loader  # type: ignore[misc]


def chosen(overrides: Sequence[str]) -> set[str]:
    """Return the groups that overrides choose, but for recipes and other bundles."""
    keys = {text.partition("=")[0].lstrip("+").partition("@")[0] for text in overrides if not text.startswith("~")}
    return {key for key in keys if key not in BUNDLES and not key.startswith("hydra/") and "." not in key}


def given_way(line: Sequence[str], config: DictConfig, config_name: str = "config") -> list[str]:
    """Return in words where a group that the command line chooses wins over a recipe, or over what that brings along.

    Args:
        line: the overrides of the command line. Hydra must be initialized.
        config: what they come to.
        config_name: the root config's name.

    Returns:
        A line for each group that wins over something.
    """
    loader = GlobalHydra.instance().config_loader()
    assert isinstance(loader, ConfigLoaderImpl)
    _, repository = loader._parse_overrides_and_create_caching_repo(config_name, list(line))
    defaults = loader.compute_defaults_list(config_name, list(line), RunMode.RUN).defaults
    files = [default for default in defaults if default.parent not in (None, "<root>") and _group(default) != "hydra"]
    sources = [(default, _dotted(loader._load_single_config(default, repository).config)) for default in files]
    typed, groups, lines = {text.partition("=")[0].lstrip("+") for text in line}, chosen(line), []
    others = {
        key: (value, default.config_path)
        for default, values in sources
        if default.config_path != "schema" and not _is_of(default, groups)
        for key, value in values.items()
    }
    for values, path in [(values, str(default.config_path)) for default, values in sources if _is_of(default, groups)]:
        won = [
            f"{key}={written(now)} instead of {written(others[key][0])} ({others[key][1]})"
            for key, value in values.items()
            if key in others and key not in typed
            if others[key][0] not in (value, now := OmegaConf.select(config, key))
        ]
        lines += [f"{path.replace('/', '=', 1)} brings {', '.join(won)}"] if won else []
    return lines


def _is_of(default: ResultDefault, groups: Collection[str]) -> bool:
    """Whether a part of a config is a choice of one of the groups; what its choices share, such as _native, is none."""
    return _group(default) in groups and not str(default.config_path).rpartition("/")[2].startswith("_")


def _group(default: ResultDefault) -> str:
    return str(default.config_path).partition("/")[0]


def _dotted(config: Any) -> dict[str, Any]:
    """Return what a part of a config says, by the dotted names of our keys, interpolations as they are."""
    found: dict[str, Any] = {}
    for key in schema_keys():
        node: Any = config
        for part in key.split("."):
            known = OmegaConf.is_dict(node) and part in node
            node = node._get_node(part) if known else None
        if node is not None:
            found[key] = OmegaConf.to_container(node, resolve=False) if OmegaConf.is_config(node) else node._value()
    return found


def _expand_paths(config: DictConfig) -> None:
    """Put the home folder and environment variables into the paths of a config, in place."""
    for key in (key.name for key in schema_keys().values() if key.path):
        value = OmegaConf.select(config, key, throw_on_resolution_failure=False)
        if isinstance(value, str) and (expanded := _expanded(value)) != value:
            OmegaConf.update(config, key, expanded)
        elif OmegaConf.is_list(value) and (items := [_expanded(str(item)) for item in value]) != list(value):
            OmegaConf.update(config, key, items)


def _expanded(path: str) -> str:
    path = os.path.expandvars(path)
    with suppress(RuntimeError):  # nobody has that name
        return str(Path(path).expanduser()) if path.startswith("~") else path
    return path
