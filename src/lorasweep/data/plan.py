"""Which batch is trained at which step: a pure function of the step, so that resuming needs no position to be
saved.

The rule. Each bucket is one endless stream of draws: epoch after epoch, each epoch a fresh permutation of the
bucket's (item, repeat) pairs. The stream is cut into batches that run on across the epoch's end. So every
image is seen exactly as often as planned, and only the very last batch of a bucket can be short. The batches
of epoch e are those whose first draw belongs to it; their order across buckets is shuffled. With one bucket
the number of steps is the product of images, repeats and epochs over the batch size, rounded up once at the
end.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import lru_cache

from lorasweep.randomness import permutation


@dataclass(frozen=True)
class Row:
    """One draw of one image; it indexes every random decision about that draw.

    Args:
        item: number of the image in the dataset. repeat: 0 .. repeats - 1. epoch: 0-based.
    """

    item: int
    repeat: int
    epoch: int


def total_steps(images: int, repeats: int, batch_size: int, epochs: int, accumulation: int = 1) -> int:
    """Return the optimizer steps of a plan whose images all have one shape: one rounding, up, at the end."""
    return _ceil(images * repeats * epochs, batch_size * accumulation)


class Plan:
    """The whole course of a training, computed on demand.

    Args:
        buckets: for each bucket, how often each of its items is drawn in an epoch: {item: repeats}.
        batch_size: images per batch; a batch never mixes buckets.
        accumulation: batches per optimizer step; groups run across epochs, only the last can be short.
        epochs: passes over all draws.
        max_steps: optimizer steps; when set it wins over `epochs`, and the streams go on as long as it takes.
        seed: the run's seed.
        regularisation: the items that are regularisation images (for `explain` only).

    Raises:
        ValueError: there is nothing to draw.
    """

    def __init__(
        self,
        buckets: Sequence[Mapping[int, int]],
        batch_size: int,
        accumulation: int,
        epochs: int,
        max_steps: int | None,
        seed: int,
        regularisation: AbstractSet[int] = frozenset(),
    ) -> None:
        self._draws = [[(item, repeat) for item, count in b.items() for repeat in range(count)] for b in buckets]
        if not self._draws or not all(self._draws):
            raise ValueError("a plan needs at least one bucket, and at least one draw in each")
        self._buckets, self._regularisation = buckets, regularisation
        self._batch_size, self._accumulation, self._seed = batch_size, accumulation, seed
        self._epochs, self._max_steps = epochs, max_steps
        # _starts[e]: how many batches come before epoch e
        self._starts = [0]
        while not self._complete():
            done = len(self._starts)
            self._starts.append(sum(_ceil(len(draws) * done, batch_size) for draws in self._draws))
        self.total_epochs = len(self._starts) - 1
        self._batches = self._starts[-1] if max_steps is None else max_steps * accumulation
        self.total_steps = _ceil(self._batches, accumulation)
        # Step after which epoch i (1-based: index i - 1) is complete; epochs shorter than a step share one.
        self.epoch_ends = [min(_ceil(start, accumulation), self.total_steps) for start in self._starts[1:]]
        self._shuffled = lru_cache(maxsize=4 * len(self._draws))(self._shuffle)
        self._ordered = lru_cache(maxsize=2)(self._order)

    @property
    def batches_per_epoch(self) -> int:
        """Batches of the first epoch; later ones can have one less per bucket, when batches run on across epochs."""
        return self._starts[1]

    def batches(self, step: int) -> list[list[Row]]:
        """Return the batches of a step: one per accumulated micro-batch, each with rows of one bucket.

        Args:
            step: 0 .. total_steps - 1.

        Raises:
            IndexError: there is no such step.
        """
        if not 0 <= step < self.total_steps:
            raise IndexError(f"step {step} is outside 0..{self.total_steps - 1}")
        first = step * self._accumulation
        return [self._batch(number) for number in range(first, min(first + self._accumulation, self._batches))]

    def explain(self) -> str:
        """Return how the number of steps comes about, in one to three lines."""
        draws = sum(len(bucket) for bucket in self._draws)
        steps_an_epoch = _number(draws / self._batch_size / self._accumulation)
        lines = [f"{self._counts()} = {draws} draws an epoch"]
        accumulated = f" / accumulation {self._accumulation}" if self._accumulation > 1 else ""
        line = f"/ batch {self._batch_size}{accumulated} = {steps_an_epoch} steps"
        if self._max_steps is None:
            lines.append(f"{line}; x {self._epochs} epochs = {self.total_steps} steps")
        else:
            whole = self._starts[-1] == self._batches
            partial = "" if whole else ", the last one partial"
            lines.append(f"{line}; max_steps {self._max_steps} wins over epochs: {self.total_epochs} epochs{partial}")
        if len(self._draws) > 1:
            sizes = " + ".join(str(len(bucket)) for bucket in self._draws)
            lines.append(
                f"{len(self._draws)} buckets of {sizes} draws: batches never mix them and run on across epochs"
                " (only a bucket's last batch can be short)"
            )
        return "\n".join(lines)

    def _complete(self) -> bool:
        if self._max_steps is None:
            return len(self._starts) > self._epochs
        return self._starts[-1] >= self._max_steps * self._accumulation

    def _batch(self, number: int) -> list[Row]:
        epoch = bisect_right(self._starts, number) - 1
        bucket, batch = self._ordered(epoch)[number - self._starts[epoch]]
        draws = self._draws[bucket]
        start = batch * self._batch_size
        stop = start + self._batch_size
        if self._max_steps is None:
            stop = min(stop, len(draws) * self._epochs)
        rows = []
        for position in range(start, stop):
            drawn_in, place = divmod(position, len(draws))
            item, repeat = draws[self._shuffled(drawn_in, bucket)[place]]
            rows.append(Row(item, repeat, drawn_in))
        return rows

    def _shuffle(self, epoch: int, bucket: int) -> list[int]:
        return permutation(len(self._draws[bucket]), self._seed, "shuffle", epoch, bucket)

    def _order(self, epoch: int) -> list[tuple[int, int]]:
        """Return the epoch's batches as (bucket, number of the batch in that bucket's stream), in training order."""
        batches = [
            (bucket, batch)
            for bucket, draws in enumerate(self._draws)
            for batch in range(
                _ceil(len(draws) * epoch, self._batch_size), _ceil(len(draws) * (epoch + 1), self._batch_size)
            )
        ]
        order = permutation(len(batches), self._seed, "batch order", epoch)
        return [batches[place] for place in order]

    def _counts(self) -> str:
        repeats = {item: count for bucket in self._buckets for item, count in bucket.items()}
        training = Counter(count for item, count in repeats.items() if item not in self._regularisation)
        regularisation = Counter(count for item, count in repeats.items() if item in self._regularisation)
        parts = [
            f"{images} {_plural(images, 'image')} x {_plural(count, 'repeat', True)}"
            for count, images in sorted(training.items())
        ]
        parts += [
            f"{images} regularisation {_plural(images, 'image')} x {count}"
            for count, images in sorted(regularisation.items())
        ]
        return " + ".join(parts)


def _ceil(dividend: int, divisor: int) -> int:
    return -(-dividend // divisor)


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _plural(count: int, noun: str, counted: bool = False) -> str:
    words = noun if count == 1 else noun + "s"
    return f"{count} {words}" if counted else words
