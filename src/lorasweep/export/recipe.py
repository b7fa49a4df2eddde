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
from lorasweep.errors import UserError
from lorasweep.export.fitting import Fitted, fit
from lorasweep.export.formula import escaped
from lorasweep.export.layers import DOWN, FileLayers, peft_settings, read_layers
from lorasweep.export.metadata import SDXL, TOY
from lorasweep.export.sd_scripts import settings_of
from lorasweep.export.sd_scripts.network import kind_of
from lorasweep.export.weights import read_weights
from lorasweep.families.kinds import kind_of as kind_of_file
from lorasweep.families.sdxl.names import UNetLayout
from lorasweep.schema import slug
from lorasweep.search.wording import overrides

NOTE_LENGTH = 300
SDXL_LAYOUT = UNetLayout(2, (True, True, False))
OTHER_WIDTHS = {768: "SD 1.5", 1024: "SD 2"}
"""Families by the width of the captions that a UNet's cross-attention takes; SDXL's is 2,048."""


def recipe_from_file(path: Path, saved: Path | None = None) -> str:
    """Return the YAML of a recipe that trains a weights file again, from what the file says about itself.

    A file of ours holds its whole config. From one of kohya's sd-scripts, or of any program whose layers are known, the
    recipe is put together from its metadata and its tensors; comments list what neither tells, and each value that
    had to go. Base, resolution and machine are no part of it: comments have the command that gives them as they were.

    Args:
        path: the file.
        saved: where the recipe will be written; None proposes a place.

    Raises:
        UserError: the file cannot be read, is no adapter of SDXL that can be trained here, or its metadata is damaged.
    """
    tensors, metadata = read_weights(path)
    if "lorasweep.config" in metadata:
        settings = _own_settings(path, metadata)
        base = "toy" if settings.get("base_model.path") is None else "sdxl"
        about = [
            f"Recipe of {path.name}: what it was trained with by lorasweep "
            + metadata.get("lorasweep.version", "of an unknown version"),
            f"SHA-256 of its images and captions: {metadata.get('lorasweep.dataset_sha256', 'unknown')}",
            f"SHA-256 of its base's weights: {metadata.get('lorasweep.base_sha256', 'unknown')}",
        ]
        return _text(fit(settings, base), base, about, saved=saved)
    base = "toy" if metadata.get("ss_base_model_version") == TOY else "sdxl"
    layers = read_layers(tensors, SDXL_LAYOUT, peft_settings(path, metadata))
    _require_trainable(path, tensors, metadata, layers)
    found = settings_of(path.stem, metadata, layers)
    about = [f"Recipe of {path.name}, put together from its metadata and its tensors."]
    if any(key.startswith("compat.") for key in found.settings):
        ways = "Under compat is what sd-scripts does in ways of its own"
        about.append(f"{ways}: docs/coming-from-kohya.md has the reasons against.")
    given = ["dataset.path=FOLDER"]
    return _text(fit(found.settings, base), base, about, found.notes, given, saved)


def _own_settings(path: Path, metadata: Mapping[str, str]) -> dict[str, Any]:
    """Return the config in a file of ours, dotted keys -> values."""
    try:
        config = json.loads(metadata["lorasweep.config"])
    except (ValueError, RecursionError):
        config = None
    if not isinstance(config, dict):
        raise UserError("its lorasweep.config is no JSON object: the metadata was edited", title=f"{path} is damaged")
    return _flat(config)


def _require_trainable(
    path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str], layers: FileLayers
) -> None:
    """Refuse a file that no recipe can be made of.

    Raises:
        UserError: it is no adapter, one of another kind, or for another family of models.
    """
    title = f"{path} is no LoRA that can be trained again"
    family = metadata.get("ss_base_model_version", SDXL)
    if not family.startswith("sdxl") and family != TOY:
        raise UserError(f"it adapts a base of the kind {family}; expected one of SDXL", title=title)
    if not any(kind_of(parts) for parts in layers.tensors.values()):
        kind = kind_of_file({name: tuple(tensor.shape) for name, tensor in tensors.items()})
        raise UserError(
            f"it is {kind}, with neither our metadata nor a layer of SDXL that is a LoRA, LoHa or LoKr: there is no "
            "recipe in it",
            title=title,
        )
    keys = [parts[DOWN] for layer, parts in layers.tensors.items() if layer.endswith("attn2.to_k") and DOWN in parts]
    if others := [OTHER_WIDTHS[tensor.shape[1]] for tensor in keys if tensor.shape[1] in OTHER_WIDTHS]:
        raise UserError(f"it adapts {others[0]}, by the width of its cross-attention; expected SDXL", title=title)


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
    was = ["base_model=sdxl", *(["base_model.path=FILE"] if given else [])] if base == "sdxl" else []
    exact = " ".join([run, *was, *given, overrides(fitted.elsewhere)]).strip()
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
