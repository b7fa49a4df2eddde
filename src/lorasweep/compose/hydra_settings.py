"""Settings of Hydra on a command line that there are not, or that take other values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import hydra
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from lorasweep import program
from lorasweep.errors import Problem
from lorasweep.text.names import did_you_mean

_ERRORS = (HydraException, OmegaConfBaseException, ValueError)


def wrong(given: Mapping[str, Override], groups: Sequence[str], config_name: str) -> dict[str, Problem]:
    """Return which overrides of Hydra's own settings do not compose, and what to say of each.

    None where what stands beside them does not compose by itself.

    Args:
        given: such overrides, by their text.
        groups: the choices of groups beside them. Hydra must be initialized.
        config_name: the root config's name.
    """
    found: dict[str, Problem] = {}
    beside = [*groups, *(text for text in given if text.startswith("hydra.searchpath="))]
    try:
        settings = hydra.compose(config_name, beside, return_hydra_config=True).hydra
    except _ERRORS:
        return {}
    for text, override in given.items():
        try:
            hydra.compose(config_name, [*beside, text])
        except _ERRORS as error:
            found[text] = _problem(text, override, settings, error)
    return found


def _problem(text: str, override: Override, settings: DictConfig, error: Exception) -> Problem:
    key, value = override.key_or_group, text.partition("=")[2]
    known = {f"hydra.{name}" for name in _names(settings)}
    if key in known:
        return Problem(f"{text}: {_expected(error)}", key)
    nearest = did_you_mean(key, known).removesuffix("?")
    hint = f"{nearest}={value}?" if nearest else f"; {program.command()} --cfg hydra lists them"
    return Problem(f"{text}: Hydra has no setting {key}{hint}", key)


def _names(settings: DictConfig, path: str = "") -> Iterator[str]:
    for name in map(str, settings):
        yield f"{path}{name}"
        node = settings._get_node(name)
        if isinstance(node, DictConfig) and not node._is_none() and not node._is_missing():
            yield from _names(node, f"{path}{name}.")


def _expected(error: Exception) -> str:
    """Return what OmegaConf says of a value, without what it says of its own types."""
    return str(error.__cause__ or error).splitlines()[0].removesuffix(" (type str)")
