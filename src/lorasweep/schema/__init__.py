"""The schema of a run: a dataclass per config group, with the meaning and the limits of each value beside it.

All of it is plain data and imports neither torch nor Hydra; `checks.check` holds a config to the limits.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from omegaconf import MISSING

from lorasweep.schema import keys
from lorasweep.schema.base_model import BaseModelConfig
from lorasweep.schema.compat import CompatConfig
from lorasweep.schema.dataset import THEMES, DatasetConfig
from lorasweep.schema.evaluation import EvaluationConfig, SamplingConfig
from lorasweep.schema.features import FeaturesConfig
from lorasweep.schema.keys import Key
from lorasweep.schema.loss import LossConfig
from lorasweep.schema.measures import METRICS
from lorasweep.schema.need import value_at
from lorasweep.schema.network import NetworkConfig
from lorasweep.schema.optimizer import OptimizerConfig, SchedulerConfig
from lorasweep.schema.option import option
from lorasweep.schema.tracker import TrackerConfig, WandbConfig
from lorasweep.schema.training import TrainingConfig

__all__ = [
    "LAST",
    "PERMISSIONS",
    "THEMES",
    "BaseModelConfig",
    "CompatConfig",
    "Config",
    "DatasetConfig",
    "EvaluationConfig",
    "FeaturesConfig",
    "Key",
    "LossConfig",
    "NetworkConfig",
    "OptimizerConfig",
    "SamplingConfig",
    "SchedulerConfig",
    "TrackerConfig",
    "TrainingConfig",
    "WandbConfig",
    "schema_keys",
    "slug",
    "value_at",
]


@dataclass
class Config:
    """One version, whole."""

    name: str = option(MISSING, "display name; the folder is its lower-case form", resume="which", kohya="output_name")
    recipe: str = option("", "recipe that it came from, such as food/v8", resume="which")
    seed: int = option(
        42,
        "seed of every draw",
        at_least=0,
        ss="ss_seed",
    )
    output_root: str = option("outputs", "folder of all versions", resume="which", kohya="output_dir", path=True)
    dry_run: bool = option(
        False,
        "say what would be learnt from and how many steps it would take, and stop: nothing is trained or written",
        resume="free",
    )
    resume: str | None = option(None, "continue a version: v6, or latest", resume="which")
    objective: str = option("val/loss_ratio", "metric that a search optimises and train.py returns", registry=METRICS)
    further_objectives: list[str] = option(
        [], "metrics that a search optimises besides; it then shows a Pareto front", registry=METRICS
    )
    allow_code: list[str] = option(
        [],
        "packages whose code a dotted name may run, such as my_package for optimizer.name=my_package.optim:Mine; no "
        "weights file or record says it for you",
        resume="free",
    )
    base_model: BaseModelConfig = field(default_factory=BaseModelConfig)
    dataset: DatasetConfig = field(default_factory=DatasetConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    scheduler: SchedulerConfig = field(default_factory=SchedulerConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    features: FeaturesConfig = field(default_factory=FeaturesConfig)
    tracker: TrackerConfig = field(default_factory=TrackerConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    compat: CompatConfig = field(default_factory=CompatConfig)


LAST = "last"  # value of evaluation.select_by that chooses the last epoch, whatever was measured


PERMISSIONS = frozenset({"allow_code"})
"""Keys that say what whoever types a command allows; weights files and records do not keep them."""


def slug(name: str) -> str:
    """Return the folder name of a display name: `FuzzyBear` -> `fuzzybear`."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") or "unnamed"


def schema_keys() -> Mapping[str, Key]:
    """Return every leaf key of the schema by its dotted name, in the order of declaration."""
    return keys.keys_of(Config)
