"""Fixed windows of a genome: which there are, and what they look like to a model.

    intervals of a split -> whole tiles -> those with few unknowns -> codes -> tokens and weights

A window never leaves the interval that it was tiled from, jittered or not: what is outside a split's
intervals cannot be seen through its windows.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Int, UInt8

from seqdiff.data.batches import Batch, Shuffled
from seqdiff.data.genome import SOFT_MASKED, Genome
from seqdiff.data.intervals import Interval
from seqdiff.streams import seed_of, uniforms


class Windows:
    """Windows of `length` bases that tile `intervals`, as batches.

    An interval shorter than `length` (a short contig, mostly) gives one window, padded on the right; of a
    longer one, the rest that fills no tile is left to jitter. Windows of which more than `max_unknown` is
    unknown are left out; unknown bases of the others are masks of weight 0. In training, soft-masked
    bases weigh `repeat_weight`; in evaluation every known base weighs 1, so that results of models
    trained with different weights compare.
    """

    def __init__(
        self,
        genome: Genome,
        intervals: list[Interval],
        length: int,
        *,
        max_unknown: float = 0.1,
        repeat_weight: float = 1.0,
    ):
        self.genome, self.length, self.max_unknown = genome, length, max_unknown
        order = {contig: index for index, contig in enumerate(genome.contigs)}
        places = [(order[contig], start, end) for contig, start, end in intervals if start < end]
        # By interval: its contig, its two ends, and the length of its tiles.
        self._contig, self._low, self._high = np.array(places, np.int64).reshape(-1, 3).T
        self._span = np.minimum(self._high - self._low, length)
        # By window: its interval, and where its tile starts.
        count = (self._high - self._low) // np.maximum(self._span, 1)
        self._interval = np.repeat(np.arange(len(count)), count)
        first = np.cumsum(count) - count
        nth = np.arange(len(self._interval)) - first[self._interval]
        self._start = self._low[self._interval] + nth * self._span[self._interval]
        span = self._span[self._interval]
        unknown = genome.unknown(self._contig[self._interval], self._start, self._start + span)
        kept = (unknown <= max_unknown * span) & (unknown < span)
        self._interval, self._start = self._interval[kept], self._start[kept]
        self.letters = int((span - unknown)[kept].sum())
        """Known bases in all windows."""
        symbols = genome.alphabet.size
        codes = np.arange(256, dtype=np.uint8)
        tokens, flags = codes & ~np.uint8(SOFT_MASKED), codes & SOFT_MASKED
        known = tokens < symbols
        self._complement = np.where(known, (symbols - 1 - tokens) | flags, codes)
        self._evaluation_weight = known.astype(np.float32)
        self._training_weight = np.where(flags > 0, np.float32(repeat_weight), np.float32(1)) * known

    def __len__(self) -> int:
        return len(self._start)

    @property
    def sizes(self) -> Int[np.ndarray, "N"]:
        """Bases of each window: `length`, or fewer where its interval is shorter."""
        return self._span[self._interval]

    def batch(self, items: Int[np.ndarray, "B"]) -> Batch:
        """The windows `items` exactly as tiled, for evaluation."""
        items = np.asarray(items)
        codes = self._codes(self._interval[items], self._start[items])
        return self._batch(codes, self._evaluation_weight)

    def augmented(
        self,
        items: Int[np.ndarray, "B"],
        positions: Int[np.ndarray, "B"],
        *,
        seed: int,
        reverse_complement: bool,
    ) -> Batch:
        """The windows `items`, each moved and perhaps turned, for training.

        A window moves to a uniformly drawn place at most half its length away and inside its interval,
        unless too much is unknown there, and is read from the other strand half of the time. What is
        drawn for row i depends on `seed` and `positions[i]` (its place in the stream of training rows)
        alone: neither on batch size nor on its neighbours.
        """
        items, positions = np.asarray(items), np.asarray(positions)
        interval, start = self._interval[items], self._start[items]
        span, half = self._span[interval], self.length // 2
        first = np.maximum(start - half, self._low[interval])
        last = np.minimum(start + half, self._high[interval] - span)
        moved = first + (uniforms(seed, "jitter", positions) * (last - first + 1)).astype(np.int64)
        unknown = self.genome.unknown(self._contig[interval], moved, moved + span)
        codes = self._codes(interval, np.where(unknown <= self.max_unknown * span, moved, start))
        if reverse_complement:
            turned = uniforms(seed, "strand", positions) < 0.5
            codes[turned] = self._turned(codes[turned], span[turned])
        return self._batch(codes, self._training_weight)

    def _codes(self, interval: np.ndarray, starts: np.ndarray) -> UInt8[np.ndarray, "B L"]:
        """Codes of one window in each interval, padded on the right where that is short."""
        contigs, spans = self._contig[interval], self._span[interval]
        assert (starts >= self._low[interval]).all(), "a window begins before its interval"
        assert (starts + spans <= self._high[interval]).all(), "a window ends after its interval"
        whole = spans == self.length
        if whole.all():
            return self.genome.gather(contigs, starts, self.length)
        codes = np.full((len(starts), self.length), self.genome.alphabet.pad, np.uint8)
        codes[whole] = self.genome.gather(contigs[whole], starts[whole], self.length)
        for row in np.flatnonzero(~whole):
            one, span = slice(row, row + 1), int(spans[row])
            codes[row, :span] = self.genome.gather(contigs[one], starts[one], span)[0]
        return codes

    def _turned(self, codes: np.ndarray, spans: np.ndarray) -> np.ndarray:
        """The other strand; pads stay on the right."""
        turned = self._complement[codes[:, ::-1]]
        for row in np.flatnonzero(spans < self.length):
            turned[row] = np.roll(turned[row], spans[row] - self.length)
        return turned

    def _batch(self, codes: np.ndarray, weight: np.ndarray) -> Batch:
        tokens = (codes & ~np.uint8(SOFT_MASKED)).astype(np.int64)
        return Batch(torch.from_numpy(tokens), torch.from_numpy(weight[codes]))


@dataclass(frozen=True)
class WindowLoader:
    """Training on windows: `batch_size` of them a step, in an order that is shuffled anew in every epoch."""

    windows: Windows
    batch_size: int
    seed: int
    reverse_complement: bool

    @cached_property
    def _order(self) -> Shuffled:
        return Shuffled(len(self.windows), seed_of(self.seed, "windows"))

    @property
    def letters(self) -> float:
        return float(self.windows.letters)

    def rows(self, step: int) -> int:
        return self.batch_size

    def batch(self, step: int, rows: range) -> Batch:
        positions = np.arange(rows.start, rows.stop) + (step - 1) * self.batch_size
        return self.windows.augmented(
            self._order.items(positions), positions, seed=self.seed, reverse_complement=self.reverse_complement
        )
