"""Loading feature models in transformers' format: one clear line where one cannot be loaded."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lorasweep.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor


def load_parts(path: str, title: str, parts: Callable[[], tuple[Any, ...]]) -> tuple[Any, ...]:
    """Return what `parts` loads: first the model, in evaluation mode, behind it what prepares its input.

    Args:
        path: folder or hub id, as the user gave it.
        title: what people call such a model.
        parts: loads the model and what belongs to it.

    Raises:
        UserError: nothing there, no model of this kind with all that belongs to it in safetensors, or weights that are
            no numbers.
    """
    from safetensors import SafetensorError

    from lorasweep.families.finite import refuse_non_finite

    given = f"features.models=[{path}]"
    try:
        found = parts()
    except (OSError, ValueError, SafetensorError) as error:
        raise UserError(
            f"{given}: no transformers {title} with safetensors weights and all that belongs to it "
            f"({str(error).splitlines()[0]}); give its folder or hub id, or set features=none"
        ) from error
    refuse_non_finite(found[0], given, title)
    found[0].eval().requires_grad_(False)
    return found


def grid_of(patches: Tensor) -> Tensor:
    """Return the tokens of square images as grids: (N, side * side, dim) -> (N, side, side, dim)."""
    count, tokens, dim = patches.shape
    side = round(tokens**0.5)
    return patches.reshape(count, side, side, dim)
