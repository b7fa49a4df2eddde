"""Which batch is trained at which step: a pure function of the step, so that resuming needs no position to be
saved.

The rule. Each bucket is one endless stream of draws: epoch after epoch, each epoch a fresh permutation of the
bucket's (item, repeat) pairs. The stream is cut into batches that run on across the epoch's end. So every
image is seen exactly as often as planned, and only the very last batch of a bucket can be short. The batches
of epoch e are those whose first draw belongs to it; their order across buckets is shuffled. With one bucket
the number of steps is the product of images, repeats and epochs over the batch size, rounded up once at the
end.

With `round_each_epoch` (kohya's sd-scripts) no batch and no step runs on: each bucket ends every epoch with what
is left of it, and the epoch's last step accumulates the batches that are left.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import lru_cache

from lorasweep.randomness import Row, permutation
from lorasweep.text.values import counted


class Plan:
    """The whole course of a run, computed on demand.

    Args:
        buckets: for each bucket, how often each of its items is drawn in an epoch: {item: repeats}.
        batch_size: images per batch; a batch never mixes buckets.
        accumulation: batches per optimizer step; groups run across epochs, only the last can be short.
        epochs: passes over all draws.
        max_steps: optimizer steps; when set it wins over `epochs`, and the streams go on as long as it takes.
        seed: the run's seed.
        regularisation: the items that are regularisation images (for `explain` only).
        round_each_epoch: neither batches nor groups run across epochs, in each of which the last can be short.

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
        *,
        round_each_epoch: bool = False,
    ) -> None:
        self._draws = [[(item, repeat) for item, count in b.items() for repeat in range(count)] for b in buckets]
        if not self._draws or not all(self._draws):
            raise ValueError("a plan needs at least one bucket, and at least one draw in each")
        self._buckets, self._regularisation = buckets, regularisation
        self._batch_size, self._accumulation, self._seed = batch_size, accumulation, seed
        self._epochs, self._max_steps, self._round_each_epoch = epochs, max_steps, round_each_epoch
        # _starts[e]: how many batches come before epoch e
        self._starts = [0]
        while not self._complete():
            done = len(self._starts)
            self._starts.append(sum(self._first(bucket, done) for bucket in range(len(self._draws))))
        self.total_epochs = len(self._starts) - 1
        self.total_steps = self._steps_of(self.total_epochs) if max_steps is None else max_steps
        # Step after which epoch i (1-based: index i - 1) is complete; epochs shorter than a step share one.
        self.epoch_ends = [min(self._steps_of(1 + i), self.total_steps) for i in range(self.total_epochs)]
        self._shuffled = lru_cache(maxsize=4 * len(self._draws))(self._shuffle)
        self._ordered = lru_cache(maxsize=2)(self._order)

    def trains_as(self, other: Plan) -> bool:
        """Whether another plan, of the same data and batches, has the same steps and epochs to the end."""
        last = self.total_steps - 1
        return self.epoch_ends == other.epoch_ends and self.batches(last) == other.batches(last)

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
        first, end = step * self._accumulation, self._starts[-1]
        if self._round_each_epoch:
            epoch, earlier = divmod(step, self._steps_of(1))
            first, end = self._starts[epoch] + earlier * self._accumulation, self._starts[epoch + 1]
        return [self._batch(number) for number in range(first, min(first + self._accumulation, end))]

    def explain(self) -> str:
        """Return how the number of steps comes about, in one to three lines."""
        draws = sum(len(bucket) for bucket in self._draws)
        steps_an_epoch = _number(draws / self._batch_size / self._accumulation)
        rounded = ""
        if self._round_each_epoch:
            steps_an_epoch, rounded = str(self._steps_of(1)), " in every epoch, rounded up"
        lines = [f"{self._counts()} = {draws} draws an epoch"]
        accumulated = f" / accumulation {self._accumulation}" if self._accumulation > 1 else ""
        line = f"/ batch {self._batch_size}{accumulated} = {steps_an_epoch} steps{rounded}"
        if self._max_steps is None:
            lines.append(f"{line}; x {counted(self._epochs, 'epoch')} = {self.total_steps} steps")
        else:
            whole = self._max_steps == self._steps_of(self.total_epochs)
            partial = "" if whole else ", the last one partial"
            trained = counted(self.total_epochs, "epoch")
            lines.append(f"{line}; max_steps {self._max_steps} wins over epochs: {trained}{partial}")
        if len(self._draws) > 1:
            sizes = " + ".join(str(len(bucket)) for bucket in self._draws)
            run_on = "and run on across epochs (only a bucket's last batch can be short)"
            if self._round_each_epoch:
                run_on = "and end with the epoch (each bucket's last batch in it can be short)"
            lines.append(f"{len(self._draws)} buckets of {sizes} draws: batches never mix them {run_on}")
        return "\n".join(lines)

    def _complete(self) -> bool:
        epochs = len(self._starts) - 1
        if self._max_steps is None:
            return epochs >= self._epochs
        if self._round_each_epoch:
            return self._steps_of(epochs) >= self._max_steps
        return self._starts[-1] >= self._max_steps * self._accumulation

    def _steps_of(self, epochs: int) -> int:
        """Return the steps that the first `epochs` epochs take, the last one's begun step included."""
        if self._round_each_epoch:
            return epochs * _ceil(self._starts[min(epochs, 1)], self._accumulation)
        return _ceil(self._starts[epochs], self._accumulation)

    def _first(self, bucket: int, epoch: int) -> int:
        """Return how many of a bucket's batches come before an epoch's."""
        draws = len(self._draws[bucket])
        if self._round_each_epoch:
            return epoch * _ceil(draws, self._batch_size)
        return _ceil(draws * epoch, self._batch_size)

    def _span(self, bucket: int, batch: int) -> range:
        """Return the places of a batch's draws in the stream of its bucket."""
        draws, size = len(self._draws[bucket]), self._batch_size
        if self._round_each_epoch:
            epoch, earlier = divmod(batch, _ceil(draws, size))
            start = epoch * draws + earlier * size
            return range(start, min(start + size, (epoch + 1) * draws))
        start, stop = batch * size, (batch + 1) * size
        return range(start, stop if self._max_steps is not None else min(stop, draws * self._epochs))

    def _batch(self, number: int) -> list[Row]:
        epoch = bisect_right(self._starts, number) - 1
        bucket, batch = self._ordered(epoch)[number - self._starts[epoch]]
        draws = self._draws[bucket]
        rows = []
        for position in self._span(bucket, batch):
            stream_epoch, index = divmod(position, len(draws))
            item, repeat = draws[self._shuffled(stream_epoch, bucket)[index]]
            rows.append(Row(item, repeat, stream_epoch))
        return rows

    def _shuffle(self, epoch: int, bucket: int) -> list[int]:
        return permutation(len(self._draws[bucket]), self._seed, "shuffle", epoch, bucket)

    def _order(self, epoch: int) -> list[tuple[int, int]]:
        """Return the epoch's batches as (bucket, number of the batch in that bucket's stream), in training order."""
        batches = [
            (bucket, batch)
            for bucket in range(len(self._draws))
            for batch in range(self._first(bucket, epoch), self._first(bucket, epoch + 1))
        ]
        order = permutation(len(batches), self._seed, "batch order", epoch)
        return [batches[index] for index in order]

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
