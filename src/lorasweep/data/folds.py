"""k folds over the images: each image is in exactly one, near-duplicates together, all as even as possible."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lorasweep.randomness import seed_for


def grouped(count: int, alike: Callable[[int, int], bool]) -> list[list[int]]:
    """Return 0 .. count - 1 in groups: whatever is alike, or linked by a chain of alike ones, is together.

    Args:
        count: number of things.
        alike: says of two of them, the lower number first, whether they belong together.

    Returns:
        Ascending numbers in each group, the groups by their first.
    """
    group = list(range(count))  # of each thing, the lowest number of its group
    for right in range(count):
        joined = {group[left] for left in range(right) if alike(left, right)}
        if joined:
            first = min(joined)
            group = [first if of in joined or number == right else of for number, of in enumerate(group)]
    return [[number for number, of in enumerate(group) if of == first] for first in sorted(set(group))]


def deal(groups: Sequence[Sequence[int]], digests: Sequence[str], folds: int, seed: int) -> list[list[int]]:
    """Deal groups of images out into folds.

    The largest groups go first, each to the fold that has the fewest images; groups of one size in an order drawn
    from the seed and their pixels. So file names and their order change nothing, and without near-duplicates the
    folds' sizes differ by at most one.

    Args:
        groups: as `grouped` returns them; at least `folds` of them.
        digests: pixel digest of each image.
        folds: how many.
        seed: of the draw.

    Returns:
        For each fold the images held out in it, ascending; each image is in exactly one.

    Raises:
        ValueError: fewer groups than folds.
    """
    if len(groups) < folds:
        raise ValueError(f"{len(groups)} groups cannot fill {folds} folds")

    def place(group: Sequence[int]) -> tuple[int, int, Sequence[int]]:
        return -len(group), seed_for(seed, "fold", min(digests[number] for number in group)), group

    dealt: list[list[int]] = [[] for _ in range(folds)]
    for group in sorted(groups, key=place):
        min(dealt, key=len).extend(group)
    return [sorted(fold) for fold in dealt]
