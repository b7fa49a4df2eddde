"""What to say and to do when a run has diverged: a loss or a gradient that is not finite."""

from __future__ import annotations

from lorasweep.errors import UserError
from lorasweep.optim.optimizers.kind import optimizer_kind
from lorasweep.runs import command_lines as commands
from lorasweep.runs.record import Record
from lorasweep.schema import Config, value_at
from lorasweep.schema.optimizer import RATES
from lorasweep.text.values import written
from lorasweep.training.version import Version


def diverged(what: str, version: Version, record: Record) -> UserError:
    """Return the words for a step that was not taken, or weights that were not written.

    To go on from the last state would lead to the same step with the same numbers, so that is not among the ways on.

    Args:
        what: what is not finite, and where.
        version: what is trained, after the steps that it has taken.
        record: its record.
    """
    config, step, precision = version.config, version.step, version.accelerator.mixed_precision
    last, changes = record.folder / str(record.saved[-1].file) if record.saved else None, {}
    if step == 0 and config.network.start_from is None:
        cure = "nothing was learnt yet, so it comes from the base, its VAE or an image"
        cure += "" if precision == "no" else ", or from their precision"
    else:
        cure = f"the last good file is {last}" if last else "no file was saved yet"
        changes = {"begin anew, slower": _slower(config)}
        if last is not None and config.network.type != "full":
            changes["go on from its last good file, slower"] = [f"network.start_from={last}", *_slower(config)]
    if precision == "fp16" or (step == 0 and precision != "no"):
        changes["in full precision"] = ["training.mixed_precision=no"]
    begun = record.overrides
    ways = {purpose: commands.train(commands.changed(begun, wishes)) for purpose, wishes in changes.items()}
    title = f"{record.name} v{record.version} stopped"
    return UserError(f"{what}; {cure}", title=title, ways={} if record.trial else ways)


def _slower(config: Config) -> list[str]:
    """Return the overrides that let a run learn at a third of its rate, or at the base's own if that is less."""
    if key := optimizer_kind(config.optimizer.name).searches_rate:
        return [f"{key}={written(value_at(config, key) / 3)}"]
    rates = {key: value_at(config, key) for key in RATES}
    factor = min(1 / 3, config.base_model.lora_lr / max(rate for rate in rates.values() if rate))
    return [f"{key}={written(factor * rate)}" for key, rate in rates.items() if rate]
