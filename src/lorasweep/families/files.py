"""What is asked of a family about files, before any of its weights are loaded: nothing here imports torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from lorasweep.errors import Problem
from lorasweep.schema import BaseModelConfig


class Files(Protocol):
    """How the bases of a family lie on disk or on the model hub."""

    def kind(self, shapes: Mapping[str, Sequence[int]]) -> str | None:
        """Return what a single file is, judged by its tensors.

        Args:
            shapes: shape by tensor name.

        Returns:
            The family's `noun` for a whole base of it, other words for what is nearly one, None for anything else.
        """
        ...

    def problems(self, base: BaseModelConfig) -> Iterator[Problem]:
        """Yield everything that is wrong with the files that a base names, and with how it says it was trained."""
        ...

    def config_source(self, base: BaseModelConfig) -> str:
        """Return the folder or hub id that a base's configs and tokenizers come from."""
        ...

    def pixels_per_latent(self, base: BaseModelConfig) -> int | None:
        """Return the pixels per latent pixel of a base; None if its files do not tell."""
        ...

    def native_resolution(self, base: BaseModelConfig) -> int | None:
        """Return the side length in pixels that a base was made for; None if its files do not tell."""
        ...
