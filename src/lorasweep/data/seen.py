"""Images as the model sees them, one by one and not opened before they are looked at: what metrics compare with."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from PIL import Image

from lorasweep.data.items import Item
from lorasweep.data.known import open_known_mask, placed
from lorasweep.data.latents import ImageCache
from lorasweep.data.masks import Mask
from lorasweep.data.resizing import prepare_mask
from lorasweep.text.encoding import readable


class SeenImage(NamedTuple):
    """One image of the data.

    Attributes:
        key: equal for equal pixels in equal buckets.
        open: returns it: RGB, scaled and cropped to its bucket.
        name: of its file, below the folder.
        caption: the full one.
        mask: returns which pixels count (white), of the same size; None: all of them.
    """

    key: str
    open: Callable[[], Image.Image]
    name: str
    caption: str
    mask: Callable[[], Image.Image] | None


def seen_images(items: Sequence[Item], pictures: ImageCache) -> list[SeenImage]:
    """Return the images of a run.

    Args:
        items: in their order.
        pictures: opens them.
    """
    return [_seen(item, pictures) for item in items]


def _seen(item: Item, pictures: ImageCache) -> SeenImage:
    path, digest, placement = item.sample.path, item.sample.facts.digest, item.placement

    def mask(found: Mask) -> Image.Image:
        return prepare_mask(open_known_mask(found), placement)

    return SeenImage(
        key=f"{digest} {json.dumps(placed(placement), sort_keys=True)}",
        open=partial(pictures.as_seen, path, digest, placement),
        name=readable(path.name),
        caption=item.caption,
        mask=partial(mask, item.mask) if item.mask is not None else None,
    )
