"""Training on sequences of many lengths: batches of like length, as many letters in each.

    lengths -> few widths -> a shuffled stream of sequences for each -> batches of all of them in a shuffled order

A batch holds sequences of one bucket, padded to its width, and as many as fit `budget` letters, pads included. Every
bucket comes as often as its share of the sequences asks for, so that each is seen as often as any other; nothing is
carried from step to step, so that a run resumes anywhere.
"""

from functools import cached_property

import numpy as np
from jaxtyping import Float64, Int, Int64

from seqdiff.data.batches import Batch, Shuffled
from seqdiff.data.classes import Classes
from seqdiff.data.collection import Collection
from seqdiff.data.sequences import as_batch
from seqdiff.streams import seed_of, uniforms

MOST = 24
"""Buckets at most: of the pads of one bucket alone, they leave about a twelfth."""
GRID = 256
"""Widths that are tried as ends of a bucket, at most."""
GOLDEN = (5**0.5 - 1) / 2


def widths(sizes: Int[np.ndarray, "N"], longest: int, budget: int, most: int = MOST) -> Int64[np.ndarray, "W"]:
    """The ends of at most `most` buckets that leave the fewest pads, ascending; the last holds the longest sequence.

    They are multiples of 8, where `longest` allows. A bucket has enough sequences to fill a batch, so that none shows
    a sequence twice. By dynamic programming over the ends of buckets (Wang and Song 2011, Ckmeans.1d.dp,
    doi:10.32614/RJ-2011-015, with pads for distances).

    >>> widths(np.array([5, 6, 7, 8, 60, 61, 64, 64]), longest=100, budget=32).tolist()
    [8, 64]
    """
    step = 8 * -(-longest // (8 * GRID))
    ends, count = np.unique(np.minimum(-(-sizes // step) * step, longest), return_counts=True)
    before = np.concatenate([[0], np.cumsum(count)])
    number = before[None, 1:] - before[:-1, None]  # of a bucket from the end at row i to that at column j
    cost = number * ends[None, :].astype(np.float64)
    cost[number < budget // ends[None, :]] = np.inf  # and where j < i
    best = cost[0].copy()
    choice = [np.zeros(len(ends), np.int64)]
    found = [best[-1]]
    for _ in range(1, min(most, len(ends))):
        whole = np.full((len(ends), len(ends)), np.inf)
        whole[1:] = best[:-1, None] + cost[1:]
        first = whole.argmin(0)
        best = whole[first, np.arange(len(ends))]
        choice.append(first)
        found.append(best[-1])
    if not np.isfinite(min(found)):
        return ends[-1:].astype(np.int64)
    chosen, last = [], len(ends) - 1
    for level in range(int(np.argmin(found)), -1, -1):
        chosen.append(ends[last])
        last = choice[level][last] - 1
    return np.array(chosen[::-1], np.int64)


class Buckets:
    """A `Loader` of whole proteins or documents, `batch_size` times the context in letters a step, pads included.

    Of one longer than the context, training sees a stretch of that length from anywhere in it. With `weights`,
    sequences are drawn that often in proportion, spread evenly; without, each comes once before any comes again.
    """

    def __init__(
        self,
        collection: Collection,
        records: Int[np.ndarray, "R"],
        context: int,
        batch_size: int,
        seed: int,
        weights: Float64[np.ndarray, "R"] | None = None,
        classes: Classes | None = None,
    ):
        self.classes = classes
        self.collection, self.context, self._seed = collection, context, seed
        sizes = np.minimum(collection.lengths_of(records), context)
        self.letters = float(sizes.sum() if weights is None else sizes @ weights)
        order = np.argsort(sizes, kind="stable")
        self.widths = widths(sizes, context, batch_size * context)
        edges = np.searchsorted(sizes[order], self.widths, "right")
        self._records = np.split(records[order], edges[:-1])
        self._rows = batch_size * context // self.widths
        self._until = None if weights is None else [np.cumsum(w) for w in np.split(weights[order], edges[:-1])]
        if self._until is None:
            seen = np.array([len(bucket) for bucket in self._records], np.float64)
        else:
            seen = np.array([until[-1] for until in self._until]) * (len(records) / weights.sum())
        # An epoch is a visit to about as many rows as there are sequences; few epochs make a cycle of the schedule.
        self._visits = seen / self._rows
        self._visits *= max(1, np.ceil(64 / self._visits.sum()))
        self._offset = uniforms(seed, "buckets", np.arange(len(self.widths)))
        self._cycle: tuple[int, np.ndarray, np.ndarray] | None = None

    @cached_property
    def _orders(self) -> list[Shuffled]:
        return [Shuffled(len(r), seed_of(self._seed, "bucket", b)) for b, r in enumerate(self._records)]

    def rows(self, step: int) -> int:
        bucket, _ = self._of(step)
        return int(self._rows[bucket])

    def batch(self, step: int, rows: range) -> Batch:
        bucket, visit = self._of(step)
        positions = visit * self._rows[bucket] + np.arange(rows.start, rows.stop)
        records = self._records[bucket][self._items(bucket, positions)]
        lengths = self.collection.lengths_of(records)
        sizes = np.minimum(lengths, self.context)
        spare = lengths - sizes + 1
        starts = (uniforms(self._seed, f"crop {bucket}", positions) * spare).astype(np.int64)
        codes = self.collection.gather(records, starts, sizes, int(self.widths[bucket]))
        labels = None
        if self.classes is not None:
            labels = self.classes.told(records, seed_of(self._seed, "labels", bucket), positions)
        return as_batch(codes, self.collection.alphabet.size, labels)

    def _items(self, bucket: int, positions: Int64[np.ndarray, "B"]) -> Int64[np.ndarray, "B"]:
        """The sequences of a bucket that stand at positions of its endless stream."""
        items = self._orders[bucket].items(positions)
        if self._until is None:
            return items
        # As many strata of the weights as sequences, one point in each, which moves on by the golden ratio every epoch:
        # over few epochs already, a sequence comes as often as it should, not more or less by chance.
        until = self._until[bucket]
        within = uniforms(self._seed, f"weighted {bucket}", items) + positions // len(until) * GOLDEN
        share = (items + within % 1) / len(until)
        return np.minimum(np.searchsorted(until, share * until[-1], "right"), len(until) - 1)

    def _of(self, step: int) -> tuple[int, int]:
        """The bucket of a step, and how often it came before."""
        at = step - 1
        if self._cycle is None or not 0 <= at - self._cycle[0] < len(self._cycle[1]):
            number = int(at / self._visits.sum())
            while self._before(number).sum() > at:
                number -= 1
            while self._before(number + 1).sum() <= at:
                number += 1
            before, after = self._before(number), self._before(number + 1)
            bucket = np.repeat(np.arange(len(before)), after - before)
            nth = np.arange(len(bucket)) - np.repeat(np.cumsum(after - before) - (after - before), after - before)
            rng = np.random.Generator(np.random.Philox(seed_of(self._seed, "cycle", number)))
            shuffle = rng.permutation(len(bucket))
            self._cycle = int(before.sum()), bucket[shuffle], (before[bucket] + nth)[shuffle]
        first, buckets, visits = self._cycle
        return int(buckets[at - first]), int(visits[at - first])

    def _before(self, cycle: int) -> Int64[np.ndarray, "W"]:
        """How often each bucket came before a cycle: as often as it should, rounded in its own place."""
        return np.floor(cycle * self._visits + self._offset).astype(np.int64)
