"""From a config to a loaded base, of whatever family it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorasweep.families.known import family_of
from lorasweep.schema import BaseModelConfig

if TYPE_CHECKING:
    import torch

    from lorasweep.families.base import Base


def load_base(config: BaseModelConfig, device: str, dtype: torch.dtype) -> Base:
    """Load a base from a folder, the hub, a single file, or (path null) the one that ships in the package.

    Args:
        config: which one.
        device: where to.
        dtype: in which precision; a part that overflows in it keeps a wider one.

    Raises:
        UserError: nothing there, parts missing, pickled or corrupt weights, weights that are no numbers, parts of
            another family, no network.
    """
    return family_of(config).load(config, device, dtype)
