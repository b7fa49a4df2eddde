"""The base model, without loading it."""

from __future__ import annotations

from collections.abc import Iterator

from lorasweep import weights
from lorasweep.config import Config


def _base_model(config: Config) -> Iterator[str]:
    path = config.base_model.path
    if path is None:
        return
    yield from (f"base_model.path={path}: {problem}" for problem in weights.base_problems(path))
    native = weights.native_resolution(path)
    if native is not None and native >= 4 * config.base_model.resolution:
        yield (
            f"base_model.resolution={config.base_model.resolution}: {path} is made for {native} pixels; add "
            f"base_model=sdxl, whose sizes suit it, or set base_model.resolution={native}"
        )


RULES = (_base_model,)
