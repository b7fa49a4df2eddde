"""What to say and to do when a training has left the numbers: a loss or a gradient that is not finite."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lorasweep import commands
from lorasweep.config import Config, value_at
from lorasweep.errors import UserError
from lorasweep.text import written

RATES = ("optimizer.lr", "optimizer.text_encoder_lr", "optimizer.text_encoder_2_lr")


def diverged(error: Exception, config: Config, record: Mapping[str, Any], folder: Path, step: int) -> UserError:
    """Return the words for a step that was not taken.

    To go on from the last state would lead to the same step with the same numbers, so that is not among the ways on.

    Args:
        error: what is not finite.
        config: of the version.
        record: its record.json.
        folder: its folder.
        step: the optimizer steps that it has taken.
    """
    name = f"{record['name']} v{record['version']}"
    what = f"step {step + 1}: {error}. The step was not taken and nothing was saved of it"
    saved = [entry["file"] for entry in record["epochs"] if entry["file"]]
    last = folder / saved[-1] if saved else None
    if step == 0 and config.network.start_from is None:
        cure = (
            "nothing was learnt yet, so it comes from the base, its VAE or an image"
            if config.training.mixed_precision == "no"
            else "nothing was learnt yet, so it comes from the base, its VAE or an image, or from their precision"
        )
        changes = {"in full precision": ["training.mixed_precision=no"]}
    else:
        cure = f"the last good file is {last}" if last else "no file was saved yet"
        changes = {"begin anew, slower": _slower(config)}
        if last is not None and config.network.type != "full":
            changes["go on from its last good file, slower"] = [f"network.start_from={last}", *_slower(config)]
    begun = record["overrides"]
    ways = {purpose: commands.train(commands.changed(begun, wishes)) for purpose, wishes in changes.items()}
    return UserError(f"{what}; {cure}", title=f"{name} stopped", ways={} if record["trial"] else ways)


def _slower(config: Config) -> list[str]:
    """Return the overrides that let a training learn at a third of its rate, or at the base's own if that is less."""
    if config.optimizer.name == "prodigy":
        return [f"optimizer.d_coef={written(config.optimizer.d_coef / 3)}"]
    rates = {key: value_at(config, key) for key in RATES}
    factor = min(1 / 3, config.base_model.lora_lr / max(rate for rate in rates.values() if rate))
    return [f"{key}={written(factor * rate)}" for key, rate in rates.items() if rate]
