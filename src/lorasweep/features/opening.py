"""Opening the feature models that a config names."""

from __future__ import annotations

from collections.abc import Sequence

from lorasweep.features.model import FeatureModel
from lorasweep.features.sources import source_of


def open_models(models: Sequence[str]) -> list[FeatureModel]:
    """Return the models of `features.models`, loaded on the CPU, in their order.

    Args:
        models: as the config has them; names of a user's own are of packages that `allow_code` covers.

    Raises:
        UserError: one of them cannot be had or read.
    """
    sources = [source_of(item) for item in models]
    return [FeatureModel(source.name, source.kind.title, source.kind.load(source.path)) for source in sources]
