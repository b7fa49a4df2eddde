"""Keys that there once were: what is in their places, and saved configs and command lines that still have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lorasweep.schema.measures import RENAMED

RETIRED: Mapping[str, str] = {
    "evaluation.clip": "features=none leaves sample images unmeasured",
    "evaluation.clip_path": "features.models=[FOLDER_OR_HUB_ID]",
}
"""A key that is gone -> what to do instead."""

_METRICS = ("objective", "further_objectives", "evaluation.select_by")


def config_of_today(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a saved config, of any release, in today's keys and values.

    Args:
        config: as a record, a config file or a weights file has it, by groups.
    """
    found = {name: dict(group) if isinstance(group, Mapping) else group for name, group in config.items()}
    evaluation = found.get("evaluation")
    if isinstance(evaluation, dict):
        if {"clip", "clip_path"} & evaluation.keys():
            is_on, place = evaluation.pop("clip", True), evaluation.pop("clip_path", None)
            base = found.get("base_model")
            on_toy = isinstance(base, Mapping) and base.get("path") is None
            models = [place] if place else ["toy"] if on_toy else []
            found.setdefault("features", {"models": models if is_on else []})
        if isinstance(name := evaluation.get("select_by"), str):
            evaluation["select_by"] = RENAMED.get(name, name)
    if isinstance(name := found.get("objective"), str):
        found["objective"] = RENAMED.get(name, name)
    if isinstance(names := found.get("further_objectives"), list):
        found["further_objectives"] = [RENAMED.get(name, name) for name in names]
    return found


def line_of_today(line: Sequence[str]) -> list[str]:
    """Return the overrides of a command line, of any release, in today's keys and values."""
    return [new for text in line for new in _override(text)]


def _override(text: str) -> list[str]:
    key, _, value = text.partition("=")
    if key == "evaluation.clip":
        return ["features=none"] if value.lower() == "false" else []
    if key == "evaluation.clip_path":
        return [f"features.models=[{value}]"] if value != "null" else []
    if key in _METRICS:
        for old, new in RENAMED.items():
            value = value.replace(old, new)
        return [f"{key}={value}"]
    return [text]
