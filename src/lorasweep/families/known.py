"""The family of a base, by the name that its config gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorasweep.schema import BaseModelConfig
from lorasweep.schema.base_model import FAMILIES

if TYPE_CHECKING:
    from lorasweep.families.base import Family


def family_of(base: BaseModelConfig) -> Family:
    """Return the family of a base.

    Args:
        base: a checked config: a dotted name is imported as it is.

    Raises:
        UserError: there is none of that name.
    """
    family: Family = FAMILIES[base.family]
    return family
