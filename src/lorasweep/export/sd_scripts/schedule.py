"""The number of steps and the learning rate over them, as sd-scripts wrote them."""

from __future__ import annotations

import math

from lorasweep.export.sd_scripts.about import About, whole_number
from lorasweep.export.sd_scripts.optimizer import Theirs
from lorasweep.optim.schedules.kind import KohyaSchedule, schedule_kind
from lorasweep.schema.optimizer import SCHEDULES


def known_schedules() -> dict[str, tuple[str, KohyaSchedule]]:
    """Return our name and what is known of each of sd-scripts' schedules, by its name there."""
    return {theirs: (ours, known) for ours in SCHEDULES for theirs, known in schedule_kind(ours).kohya.items()}


def read_schedule(about: About, optimizer: Theirs) -> None:
    """Read the schedule and its warmup.

    Args:
        about: the file's metadata.
        optimizer: the class that was read; some take no schedule.
    """
    scheduler = about.value("ss_lr_scheduler", str) or "unknown"
    warmup = about.value("ss_lr_warmup_steps", _steps_or_share)
    steps = about.value("ss_max_train_steps", whole_number)
    if isinstance(warmup, int) and steps and warmup >= steps:
        about.notes.append(f"a warmup of {warmup} steps in a run of {steps}, which never came to its rate: left out")
        warmup = None
    if optimizer.known.constant:
        about.settings["scheduler.name"] = "constant"
        return
    if scheduler.startswith("adafactor"):
        about.notes.append(f"ss_lr_scheduler={scheduler}: relative steps have no schedule; here the rate is constant")
        scheduler = "constant"
    ours, known = known_schedules().get(scheduler, (None, KohyaSchedule()))
    about.set("scheduler.name", ours, f"the schedule (ss_lr_scheduler={scheduler})")
    about.settings |= {f"scheduler.{key}": value for key, value in known.settings.items()}
    about.notes += [f"part of the schedule (ss_lr_scheduler={scheduler}): set scheduler.{key}" for key in known.untold]
    if warmup:
        key = "warmup_steps" if isinstance(warmup, int) else "warmup_ratio"
        about.settings[f"scheduler.{key}"] = warmup
    elif scheduler == "inverse_sqrt":
        about.settings["scheduler.name"] = "constant"
        about.notes.append(
            "inverse_sqrt without a warmup, whose rate falls as 1 / sqrt(1 + step / 10,000) there; here it is constant"
        )


def read_steps(about: About) -> None:
    """Read how long it was trained: in epochs if that comes to the same number of steps, else in steps."""
    epochs, steps = about.value("ss_num_epochs", whole_number), about.value("ss_max_train_steps", whole_number)
    batches = about.value("ss_num_batches_per_epoch", whole_number)
    size, total = (
        about.value("ss_batch_size_per_device", whole_number),
        about.value("ss_total_batch_size", whole_number),
    )
    accumulation = about.value("ss_gradient_accumulation_steps", whole_number) or 1
    if epochs:
        about.settings["training.epochs"] = epochs
    if accumulation > 1:
        about.settings["training.gradient_accumulation"] = accumulation
    if size:
        about.settings["training.batch_size"] = size
        _read_processes(about, size, (total or 0) // max(1, accumulation))
    if not steps:
        about.notes.append("the number of steps: set training.epochs or training.max_steps")
    elif not size or (epochs or 0) * math.ceil((batches or 0) / max(1, accumulation)) != steps:
        about.settings["training.max_steps"] = steps


def _read_processes(about: About, size: int, together: int) -> None:
    """Take the batch of several GPUs together: theirs is that of one."""
    if together > size:
        about.settings["training.batch_size"] = together
        about.notes.append(
            f"how many GPUs to use: {together // size} had {size} images each; a batch here is all of them"
        )


def _steps_or_share(text: str) -> int | float:
    """Read a warmup: a whole number of steps, else a share of all steps."""
    number = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    return int(number) if number >= 1 or number == 0 else number
