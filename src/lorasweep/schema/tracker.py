"""Where metrics go."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from lorasweep.registry import Registry
from lorasweep.schema.option import option

TRACKERS: Registry[Any] = Registry(
    "tracker",
    "lorasweep.trackers",
    {
        "tensorboard": "lorasweep.tracking.tensorboard:TRACKER",
        "wandb": "lorasweep.tracking.wandb:TRACKER",
    },
)
"""What each name stands for (`tracking.tracker`); packages of a user's own add names by entry points."""


@dataclass
class WandbConfig:
    """Weights & Biases."""

    mode: str = option(
        "auto",
        "auto goes online when there is a key and a network",
        choices=("auto", "online", "offline", "disabled"),
        resume="free",
        meant={"on": "online", "off": "disabled", "none": "disabled", "dryrun": "offline"},
    )
    project: str = option(
        "lorasweep",
        "W&B project",
        resume="free",
        kohya="log_tracker_name",
        needs="tracker.wandb.mode=auto|online|offline",
        brought=True,
    )
    entity: str | None = option(
        None,
        "W&B team or user; null: your default",
        resume="free",
        needs="tracker.wandb.mode=auto|online|offline",
        brought=True,
    )
    group: str | None = option(
        None,
        "W&B group; null: the study's or the LoRA's name",
        resume="free",
        needs="tracker.wandb.mode=auto|online|offline",
        brought=True,
    )
    tags: list[str] = option(
        [], "further W&B tags", resume="free", needs="tracker.wandb.mode=auto|online|offline", brought=True
    )


@dataclass
class TrackerConfig:
    """Where metrics go besides metrics.jsonl, which is always written."""

    every_steps: int = option(10, "training metrics are means over this many steps", at_least=1, resume="free")
    tensorboard: bool = option(True, "write TensorBoard event files", resume="free")
    wandb: WandbConfig = field(default_factory=WandbConfig)
    others: list[str] = option(
        [],
        "further trackers, of installed packages or as my_package.tracking:Mine",
        choices=TRACKERS,
        resume="free",
    )
