"""From a weights file back to the recipe that trains it again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from lorasweep.config import slug
from lorasweep.errors import UserError
from lorasweep.export.metadata import SDXL, TOY
from lorasweep.export.sd_scripts import settings_of
from lorasweep.export.sd_scripts_network import modules_of
from lorasweep.export.weights import read_weights

NOTE_LENGTH = 300


def recipe_from_file(path: Path) -> str:
    """Return the YAML of a recipe that trains a weights file again, from what the file says about itself.

    A file of ours holds its whole config. From one of kohya's sd-scripts the recipe is put together from its
    `ss_*` metadata and its tensors; comments list what neither tells.

    Raises:
        UserError: the file cannot be read, is no adapter of SDXL in kohya's or LyCORIS' format, or its metadata
            is damaged.
    """
    tensors, metadata = read_weights(path)
    if "lorasweep.config" in metadata:
        return _own(path, metadata)
    if not modules_of(tensors):
        raise UserError(
            "it has neither our metadata nor a tensor of kohya's or LyCORIS' formats: there is no recipe in it",
            title=f"{path} is no LoRA that can be trained again",
        )
    kind = metadata.get("ss_base_model_version", SDXL)
    if not kind.startswith("sdxl") and kind != TOY:
        raise UserError(
            f"it adapts a base of the kind {kind}; expected one of SDXL",
            title=f"{path} is no LoRA that can be trained again",
        )
    return _foreign(path, *settings_of(path.stem, metadata, tensors))


def _own(path: Path, metadata: Mapping[str, str]) -> str:
    try:
        config = json.loads(metadata["lorasweep.config"])
        config["resume"] = None  # the recipe starts a new version
    except (json.JSONDecodeError, TypeError) as error:
        raise UserError(
            "its lorasweep.config is no JSON object: the metadata was edited", title=f"{path} is damaged"
        ) from error
    comments = [
        f"Recipe of {path.name}: the whole config it was trained with by lorasweep "
        + metadata.get("lorasweep.version", "of an unknown version"),
        f"SHA-256 of its images and captions: {metadata.get('lorasweep.dataset_sha256', 'unknown')}",
        f"SHA-256 of its base's weights: {metadata.get('lorasweep.base_sha256', 'unknown')}",
    ]
    return _document(config, comments, "")


def _foreign(path: Path, settings: Mapping[str, Any], notes: list[str]) -> str:
    ways = "Under compat is what sd-scripts does in ways of its own: docs/coming-from-kohya.md has the reasons against."
    comments = [
        f"Recipe of {path.name}, put together from the metadata of sd-scripts and the tensors.",
        *([ways] if any(key.startswith("compat.") for key in settings) else []),
        "What they do not tell, or what lorasweep does not do:",
        *(f"- {note}" for note in notes),
    ]
    return _document(
        _nested(settings), comments, " base_model=sdxl base_model.path=<its base> dataset.path=<its images>"
    )


def _document(config: Mapping[str, Any], comments: list[str], more: str) -> str:
    name = slug(str(config.get("name", "recipe")))
    run = f"Save it as conf/lora/{name}.yaml, then run: python train.py lora={name}{more}"
    lines = "\n".join(f"# {_one_line(comment)}" for comment in [*comments, run])
    return f"# @package _global_\n{lines}\n\n{OmegaConf.to_yaml(OmegaConf.create(_literal(config)))}"


def _nested(settings: Mapping[str, Any]) -> dict[str, Any]:
    """{"network.rank": 8} -> {"network": {"rank": 8}}"""
    tree: dict[str, Any] = {}
    for key, value in settings.items():
        *groups, last = key.split(".")
        inner = tree
        for group in groups:
            inner = inner.setdefault(group, {})
        inner[last] = value
    return tree


def _one_line(text: str) -> str:
    """Keep a stranger's text inside its comment: no line break of any kind, no control character."""
    line = "".join(char for char in " ".join(text.split()) if char.isprintable())
    return line if len(line) <= NOTE_LENGTH else f"{line[:NOTE_LENGTH]}..."


def _literal(value: Any) -> Any:
    """Escape `${...}`: in a resolved config it is text; a stranger's must not read our environment."""
    if isinstance(value, Mapping):
        return {key: _literal(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_literal(inner) for inner in value]
    return value.replace("${", "\\${") if isinstance(value, str) else value
