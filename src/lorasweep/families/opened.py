"""The base of a config, in the precision that its config calls for; loaded once for all that want the same one."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from lorasweep.schema import Config

if TYPE_CHECKING:
    from lorasweep.families.base import Base


class OpenedBase:
    """The base that is loaded, for whoever works with one config after another: it owns this and passes it on.

    One base is loaded at a time. A copy that is sent to another process is empty: that process loads its own.
    """

    def __init__(self) -> None:
        self._key = ""
        self._base: Base | None = None

    def __reduce__(self) -> tuple[type[OpenedBase], tuple[()]]:
        return OpenedBase, ()

    def of(self, config: Config) -> Base:
        """Return the base of a config in the precision that its training calls for.

        Args:
            config: checked. Where it wants another base than the one before, that one is let go of first.

        Raises:
            UserError: the base cannot be had.
        """
        training, whole = config.training, config.network.type == "full"
        key = json.dumps([asdict(config.base_model), training.device, training.mixed_precision, whole])
        if self._base is None or key != self._key:
            self._base = None
            self._base, self._key = _load(config, whole), key
        return self._base


def _load(config: Config, whole: bool) -> Base:
    """Load a base; `whole` where its weights are trained themselves."""
    import torch

    from lorasweep.families.device import dtype_of, open_accelerator
    from lorasweep.families.load import load_base

    accelerator = open_accelerator(config.training)
    # Weights that are trained themselves stay in 32 bit; autocast computes with them in the run's precision.
    return load_base(config.base_model, str(accelerator.device), torch.float32 if whole else dtype_of(accelerator))
