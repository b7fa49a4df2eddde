"""From a weights file back to the recipe that trains it again."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from torch import Tensor

from lorasweep import program
from lorasweep.compose.composition import composing
from lorasweep.compose.groups import Groups
from lorasweep.errors import UserError
from lorasweep.export.fitting import Fitted, fit_settings
from lorasweep.export.formula import escaped
from lorasweep.export.layers import FileLayers, peft_settings, read_layers
from lorasweep.export.sd_scripts import settings_of
from lorasweep.export.sd_scripts.network import kind_of_layer
from lorasweep.export.weights import read_weights
from lorasweep.families.kinds import kind_of as kind_of_file
from lorasweep.schema import BaseModelConfig, slug
from lorasweep.schema.base_model import FAMILIES
from lorasweep.schema.retired import config_of_today
from lorasweep.search.wording import as_overrides

NOTE_LENGTH = 300


def recipe_from_file(path: Path, saved: Path | None = None) -> str:
    """Return the YAML of a recipe that trains a weights file again, from what the file says about itself.

    A file of ours holds its whole config. From one of kohya's sd-scripts, or of any program whose layers are known, the
    recipe is put together from its metadata and its tensors; comments list what neither tells, and each value that
    had to go. Base, resolution and machine are no part of it: comments have the command that gives them as they were.

    Args:
        path: the file.
        saved: where the recipe will be written; None proposes a place.

    Raises:
        UserError: the file cannot be read, is no adapter that can be trained here, or its metadata is damaged.
    """
    tensors, metadata = read_weights(path)
    if "lorasweep.config" in metadata:
        settings = _own_settings(path, metadata)
        base = _group_choice(settings)
        about = [
            f"Recipe of {path.name}: what it was trained with by lorasweep "
            + metadata.get("lorasweep.version", "of an unknown version"),
            f"SHA-256 of its images and captions: {metadata.get('lorasweep.dataset_sha256', 'unknown')}",
            f"SHA-256 of its base's weights: {metadata.get('lorasweep.base_sha256', 'unknown')}",
        ]
        return _text(fit_settings(settings, base), base, about, saved=saved)
    base, layers = _layers(path, tensors, metadata)
    found = settings_of(path.stem, metadata, layers)
    about = [f"Recipe of {path.name}, put together from its metadata and its tensors."]
    if any(key.startswith("compat.") for key in found.settings):
        ways = "Under compat is what sd-scripts does in ways of its own"
        about.append(f"{ways}: docs/coming-from-kohya.md has the reasons against.")
    given = ["dataset.path=FOLDER"]
    return _text(fit_settings(found.settings, base), base, about, found.notes, given, saved)


def _group_choice(settings: Mapping[str, Any]) -> str:
    """Return the choice of the group base_model that our own file's base was: the one named as its family, if any."""
    family = settings.get("base_model.family", BaseModelConfig().family)
    with composing():
        known = Groups().of("base_model")
    return family if settings.get("base_model.path") is not None and family in known else "toy"


def _own_settings(path: Path, metadata: Mapping[str, str]) -> dict[str, Any]:
    """Return the config in a file of ours, dotted keys -> values."""
    try:
        config = json.loads(metadata["lorasweep.config"])
    except (ValueError, RecursionError):
        config = None
    if not isinstance(config, dict):
        raise UserError("its lorasweep.config is no JSON object: the metadata was edited", title=f"{path} is damaged")
    return _flat(config_of_today(config))


def _layers(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> tuple[str, FileLayers]:
    """Return the choice of the group base_model that a file's base is, and the layers in it.

    Raises:
        UserError: it is no adapter, one of another kind, or for another family of models.
    """
    title = f"{path} is no LoRA that can be trained again"
    families = [FAMILIES[name] for name in FAMILIES]
    known = " or ".join(family.title for family in families)
    claimed = [(choice, family) for family in families if (choice := family.choice_of(metadata))]
    if not claimed:
        version = metadata.get("ss_base_model_version")
        raise UserError(f"it adapts a base of the kind {version}; expected one of {known}", title=title)
    peft = peft_settings(path, metadata)
    found = [(choice, read_layers(tensors, family.naming, peft)) for choice, family in claimed]
    trainable = [pair for pair in found if any(kind_of_layer(parts) for parts in pair[1].tensors.values())]
    if not trainable:
        kind = kind_of_file({name: tuple(tensor.shape) for name, tensor in tensors.items()})
        raise UserError(
            f"it is {kind}, with neither our metadata nor a layer of {known} that is a LoRA, LoHa or LoKr: there is no "
            "recipe in it",
            title=title,
        )
    choice, layers = trainable[0]
    if foreign := layers.naming.foreign(layers.tensors):
        raise UserError(f"it adapts {foreign}; expected {known}", title=title)
    return choice, layers


def _text(
    fitted: Fitted,
    base: str,
    about: Sequence[str],
    notes: Sequence[str] = (),
    given: Sequence[str] = (),
    saved: Path | None = None,
) -> str:
    """Return a recipe's text, with the commands that train it among its comments.

    Args:
        fitted: its settings.
        base: the choice of the group base_model that it was for.
        about: comments for its head.
        notes: what the file does not tell, or what lorasweep does not do.
        given: what the user must give besides, as overrides.
        saved: where it will be written.
    """
    choice = _choice(saved)
    name = choice or slug(str(fitted.recipe.get("name", "recipe")))
    run = f"{program.command()} lora={shlex.quote(name)}"
    was = [f"base_model={base}", *(["base_model.path=FILE"] if given else [])] if base != "toy" else []
    exact = " ".join([run, *was, *given, as_overrides(fitted.elsewhere)]).strip()
    notes = [*notes, *fitted.notes]
    comments = [
        *about,
        *(["What it does not tell, or what lorasweep does not do:"] if notes else []),
        *(_cut(f"- {note}") for note in notes),
        f"On any base{'' if choice else f', once it is conf/lora/{name}.yaml'}: {' '.join([run, *given])}",
        f"As it was trained: {exact}",
    ]
    lines = "\n".join(f"# {_one_line(comment)}" for comment in comments)
    config = _nested({**fitted.recipe, "recipe": name})
    return f"# @package _global_\n{lines}\n\n{OmegaConf.to_yaml(OmegaConf.create(config))}"


def _choice(saved: Path | None) -> str | None:
    """Return the choice of the group lora that a file in conf/lora is, such as `food/v10`; None of any other file."""
    if saved is None or saved.suffix != ".yaml":
        return None
    folder, _, choice = saved.absolute().with_suffix("").as_posix().rpartition("/conf/lora/")
    return choice if folder else None


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"network": {"rank": 8}} -> {"network.rank": 8}"""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


def _nested(settings: Mapping[str, Any]) -> dict[str, Any]:
    """{"network.rank": 8} -> {"network": {"rank": 8}}, ready to be written."""
    tree: dict[str, Any] = {}
    for key, value in settings.items():
        *groups, last = key.split(".")
        inner = tree
        for group in groups:
            inner = inner.setdefault(group, {})
        inner[last] = escaped(value)
    return tree


def _one_line(text: str) -> str:
    """Keep a stranger's text inside its comment: no line break of any kind, no control character."""
    return "".join(char for char in " ".join(text.split()) if char.isprintable())


def _cut(text: str) -> str:
    return text if len(text) <= NOTE_LENGTH else f"{text[:NOTE_LENGTH]}..."
