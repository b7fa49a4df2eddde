"""A feature model as metrics use it: by name, with what it saw remembered."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, MutableMapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from lorasweep.features.kind import ImageFeatures, PatchFeatures, TextFeatures
from lorasweep.features.lazy_image import LazyImage
from lorasweep.features.recent import Recent

if TYPE_CHECKING:
    import torch
    from torch import Tensor

BATCH = 16  # images that are opened, and seen, side by side


class FeatureModel:
    """A loaded model that sees nothing twice.

    Args:
        name: what its figures are called by; lower-case letters, digits and _.
        title: what people call it.
        model: the loaded one.
        store: where features are kept, by `images|patches|texts` and the picture's key, or the text; None: in memory.
    """

    def __init__(
        self, name: str, title: str, model: ImageFeatures, store: MutableMapping[str, Tensor] | None = None
    ) -> None:
        self.name, self.title, self._model = name, title, model
        self.store: MutableMapping[str, Tensor] = Recent() if store is None else store

    @property
    def reads_texts(self) -> bool:
        """Whether it sees texts in the space of its images."""
        return isinstance(self._model, TextFeatures)

    @property
    def has_patches(self) -> bool:
        """Whether it sees the parts of an image."""
        return isinstance(self._model, PatchFeatures)

    @cached_property
    def identity(self) -> str:
        """What its features depend on, as a digest of what it makes of one fixed picture and one text.

        A forward pass stands for gigabytes of weights: what two models see alike to the last bit, they see alike. Where
        the same weights run on another device or in another precision, their last bits are others, and so is this.
        """
        from PIL import Image

        picture = Image.linear_gradient("L").rotate(30).convert("RGB").resize((64, 64))
        digest = hashlib.blake2b(self._model.images([picture]).numpy().tobytes(), digest_size=16)
        if isinstance(self._model, TextFeatures):
            digest.update(self._model.texts(["a red figure"]).numpy().tobytes())
        return digest.hexdigest()

    def images(self, images: Sequence[LazyImage]) -> Tensor:
        """Return features (N, dim), unit length, fp32 on the CPU, of images of any size and mode; at least one."""
        see = self._model.images
        keys = [image.key for image in images]
        return self._remembered("images", keys, lambda indices: see([images[index].open() for index in indices]))

    def texts(self, texts: Sequence[str]) -> Tensor:
        """Return features (N, dim), likewise, of texts; at least one. Only of a model that `reads_texts`."""
        assert isinstance(self._model, TextFeatures)
        see = self._model.texts
        return self._remembered("texts", texts, lambda indices: see([texts[index] for index in indices]))

    def patches(self, images: Sequence[LazyImage]) -> Tensor:
        """Return features (N, rows, columns, dim), likewise, of parts; at least one. Only of one that `has_patches`."""
        assert isinstance(self._model, PatchFeatures)
        see = self._model.patches
        keys = [image.key for image in images]
        return self._remembered("patches", keys, lambda indices: see([images[index].open() for index in indices]))

    def to(self, device: torch.device | str, dtype: torch.dtype) -> None:
        """Move the model to where the base runs."""
        self._model.to(device, dtype)
        self.__dict__.pop("identity", None)

    def _remembered(self, what: str, keys: Sequence[str], see: Callable[[Sequence[int]], Tensor]) -> Tensor:
        import torch

        first = {key: index for index, key in reversed([*enumerate(keys)])}
        found = {key: seen for key in first if (seen := self.store.get(f"{what} {key}")) is not None}
        unseen = [key for key in first if key not in found]
        for start in range(0, len(unseen), BATCH):
            batch = unseen[start : start + BATCH]
            for key, feature in zip(batch, see([first[key] for key in batch]), strict=True):
                found[key] = self.store[f"{what} {key}"] = feature.clone()
        return torch.stack([found[key] for key in keys])
