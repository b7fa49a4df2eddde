"""The families of models there are, by name: `base_model.family`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorasweep.errors import UserError
from lorasweep.registry import Registry
from lorasweep.schema import BaseModelConfig

if TYPE_CHECKING:
    from lorasweep.families.base import Family

FAMILIES: Registry[Family] = Registry(
    "model family", "lorasweep.families", {"sdxl": "lorasweep.families.sdxl.family:FAMILY"}
)


def family_of(base: BaseModelConfig) -> Family:
    """Return the family of a base.

    Raises:
        UserError: there is none of that name.
    """
    return FAMILIES[base.family]


def find_family(base: BaseModelConfig) -> Family | None:
    """Return the family of a base; None where there is none of that name, which is another check's to say."""
    try:
        return FAMILIES[base.family]
    except UserError:
        return None
