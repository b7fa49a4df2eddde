"""What to type once a version is complete."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lorasweep.families.identity import Identity
from lorasweep.families.known import family_of
from lorasweep.runs import command_lines as commands
from lorasweep.schema import Config


def after_training(config: Config, overrides: Sequence[str], selected: Path, *, base: Identity) -> dict[str, str]:
    """Return what for -> command, or what to do with the weights file.

    Args:
        config: of the version.
        overrides: those that it was begun with.
        selected: its weights file.
        base: what kind of base it is on.
    """
    is_full = config.network.type == "full"
    found = {}
    if not is_full:
        rank = f"network.rank={2 * config.network.rank}"
        found["another version"] = commands.train(commands.changed(overrides, [rank]))
    found["all versions"] = commands.versions(config.name, config.output_root)
    if is_full:
        found["a LoRA on it"] = _lora_on(config, selected, base.choice)
    if base.published:
        folder = "checkpoints" if is_full else "loras"
        found["use it"] = f"copy {selected} to ComfyUI/models/{folder}/"
    return found


def _lora_on(config: Config, selected: Path, group: str) -> str:
    """Return the command that trains a LoRA on a full fine-tune."""
    source = family_of(config.base_model).files.config_source(config.base_model)
    base = [f"base_model={group}", f"base_model.path={selected}", f"base_model.config_path={source}"]
    root = [] if config.output_root == "outputs" else [f"output_root={config.output_root}"]
    return commands.train(["lora=fuzzybear", *base, *root])
