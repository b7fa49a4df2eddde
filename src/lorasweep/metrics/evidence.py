"""What image metrics are measured on: samples of a version, the base's of the same prompts and seeds, real images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lorasweep.features.lazy_image import LazyImage

if TYPE_CHECKING:
    from PIL import Image

    from lorasweep.pictures.prompts import Prompt


@dataclass(frozen=True)
class SampleImage:
    """A sample image.

    Attributes:
        image: as it was drawn.
        prompt: what it was drawn of.
    """

    image: LazyImage
    prompt: Prompt

    @classmethod
    def of(cls, image: Image.Image, prompt: Prompt) -> SampleImage:
        """Return the sample that an open image is."""
        return cls(LazyImage.of(image), prompt)


@dataclass(frozen=True)
class RealImage:
    """An image of the data, as the model sees it.

    Attributes:
        image: RGB, scaled and cropped to its bucket.
        name: what people know it by: its file.
        caption: the full one.
        mask: returns which pixels show the concept (white, of the image's size); None where nobody says.
    """

    image: LazyImage
    name: str = ""
    caption: str = ""
    mask: Callable[[], Image.Image] | None = field(default=None, compare=False)


@dataclass(frozen=True, kw_only=True)
class References:
    """What stays the same whatever is sampled.

    Attributes:
        heldout: images of the concept that were not trained on; maybe none.
        training: those that were.
        trigger: the word that calls the concept; "" of a version without one, whose every prompt does.
        others: images of other concepts, by the concept's name, that could be taken for this one.
        tagger: returns the tags of images, in lower case; None where no such model is given.
    """

    heldout: Sequence[RealImage] = ()
    training: Sequence[RealImage] = ()
    trigger: str = ""
    others: Mapping[str, Sequence[RealImage]] = field(default_factory=dict)
    tagger: Callable[[Sequence[LazyImage]], Sequence[set[str]]] | None = None

    def calls(self, prompt: Prompt) -> bool:
        """Return whether a prompt calls the concept."""
        return prompt.triggered or not self.trigger


@dataclass(frozen=True)
class Evidence:
    """What one measurement is of.

    Attributes:
        samples: of the version, or of the bare base where that is measured.
        base: the bare base's, of the same prompts and seeds in the same order; () where that is measured itself.
        references: the data.

    Raises:
        ValueError: the base's samples are of other prompts or seeds.
    """

    samples: Sequence[SampleImage]
    base: Sequence[SampleImage]
    references: References

    def __post_init__(self) -> None:
        if self.base and [one.prompt for one in self.base] != [one.prompt for one in self.samples]:
            raise ValueError("the base's samples are of other prompts and seeds than the version's")

    @cached_property
    def called(self) -> list[int]:
        """Indices of the samples that show the concept, or should."""
        return [index for index, one in enumerate(self.samples) if self.references.calls(one.prompt)]

    @cached_property
    def uncalled(self) -> list[int]:
        """Indices of the samples that should look as the base's do."""
        return [index for index, one in enumerate(self.samples) if not self.references.calls(one.prompt)]

    def by_prompt(self, indices: Iterable[int]) -> dict[str, list[int]]:
        """Return indices of samples by the text of their prompt, in their order."""
        found: dict[str, list[int]] = {}
        for index in sorted(indices):
            found.setdefault(self.samples[index].prompt.text, []).append(index)
        return found

    def table(self, scores: Mapping[int, float]) -> NDArray[np.float64]:
        """Return scores as a table, a row for each prompt and a column for each of its seeds.

        Where prompts have different numbers of seeds it is one column of all scores.

        Args:
            scores: by the index of the sample.
        """
        rows = [[scores[index] for index in indices] for indices in self.by_prompt(scores).values()]
        if len({len(row) for row in rows}) > 1:
            rows = [[score] for row in rows for score in row]
        return np.array(rows)
