"""Which images are held out to measure the loss: a function of the seed and the pixels, never of names or order."""

from __future__ import annotations

from collections.abc import Sequence

from lorasweep.randomness import seed_for


def split(digests: Sequence[str], holdout: float, seed: int) -> tuple[list[int], list[int]]:
    """Split images into training and held-out ones.

    Each distinct picture has its own place in a queue, drawn from the seed and its pixels, and the front of
    the queue is held out; so copies of a picture stay together, and renaming or adding files moves as few as
    possible.

    Args:
        digests: pixel digest of each image.
        holdout: share to hold out, 0 <= holdout < 1.
        seed: the run's seed.

    Returns:
        Indices into `digests`, ascending: training, held out. They never overlap. With `holdout` > 0 and two
        different pictures at least one is on each side; the share is rounded half up, and can only be missed
        by the size of a group of copies.
    """
    groups: dict[str, list[int]] = {}
    for index, digest in enumerate(digests):
        groups.setdefault(digest, []).append(index)
    if holdout <= 0 or len(groups) < 2:
        return list(range(len(digests))), []
    queue = sorted(groups.values(), key=lambda group: (seed_for(seed, "holdout", digests[group[0]]), group))
    wanted = min(max(1, int(len(digests) * holdout + 0.5)), len(digests) - 1)
    heldout: list[int] = []
    for group in queue:
        if len(heldout) + len(group) <= wanted:
            heldout += group
    if not heldout:
        heldout = min(queue, key=len)
    chosen = set(heldout)
    return [index for index in range(len(digests)) if index not in chosen], sorted(chosen)
