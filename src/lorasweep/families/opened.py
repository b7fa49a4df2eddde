"""The base of a config, in the precision that its config calls for; loaded once for all that want the same one."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import lru_cache

import torch

from lorasweep.families.base import Base
from lorasweep.families.device import dtype_of, open_accelerator
from lorasweep.families.load import load_base
from lorasweep.schema import BaseModelConfig, Config, TrainingConfig


def base_of(config: Config) -> Base:
    """Return the base of a config in the precision that its training calls for.

    It stays loaded: the next version of this process that wants the same one, a search's next trial, has it at once.
    """
    training = config.training
    whole = config.network.type == "full"
    return _loaded(json.dumps(asdict(config.base_model)), training.device, training.mixed_precision, whole)


@lru_cache(maxsize=1)
def _loaded(base_model: str, device: str, mixed_precision: str, whole: bool) -> Base:
    accelerator = open_accelerator(TrainingConfig(device=device, mixed_precision=mixed_precision))
    # Weights that are trained themselves stay in 32 bit; autocast computes with them in the run's precision.
    dtype = torch.float32 if whole else dtype_of(accelerator)
    return load_base(BaseModelConfig(**json.loads(base_model)), str(accelerator.device), dtype)
