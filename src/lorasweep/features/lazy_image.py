"""An image that may not be open yet, known by its content: what features are remembered by."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True)
class LazyImage:
    """One image.

    Attributes:
        key: equal for equal pixels, and for nothing else.
        open: returns the image.
    """

    key: str
    open: Callable[[], Image.Image] = field(compare=False)

    @classmethod
    def of(cls, image: Image.Image) -> LazyImage:
        """Return the lazy image of an open one."""
        digest = hashlib.blake2b(f"{image.mode} {image.size} ".encode(), digest_size=16)
        digest.update(image.tobytes())
        return cls(digest.hexdigest(), lambda: image)

    def mirrored(self) -> LazyImage:
        """Return the image as a mirror shows it, left and right changed."""
        from PIL import ImageOps

        return LazyImage(f"{self.key} mirrored", lambda: ImageOps.mirror(self.open()))
