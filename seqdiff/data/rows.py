"""Rows of one width, such as those of an alignment: as they are evaluated, and as training draws them."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float64, Int64, UInt8

from seqdiff.alphabet import Alphabet
from seqdiff.data.batches import Batch
from seqdiff.streams import seed_of


@dataclass(frozen=True)
class Rows:
    """A split of an alignment. Unknown letters weigh 0, all else 1."""

    tokens: UInt8[np.ndarray, "N L"]
    weights: Float64[np.ndarray, "N"]
    """How much each row counts in training."""
    unit: Int64[np.ndarray, "N"]
    """The group of relatives of each: rows of one are no independent sample."""
    alphabet: Alphabet

    def __len__(self) -> int:
        return len(self.tokens)

    def __iter__(self) -> Iterator[UInt8[np.ndarray, "L"]]:
        return iter(self.tokens)

    @property
    def sizes(self) -> Int64[np.ndarray, "N"]:
        """Columns of each, all alike."""
        return np.full(len(self), self.tokens.shape[1], np.int64)

    @cached_property
    def letters(self) -> int:
        """Known symbols in all rows."""
        return int((self.tokens < self.alphabet.size).sum())

    @cached_property
    def effective_letters(self) -> float:
        """Known symbols in all rows, each row counted with its weight."""
        return float(self.weights @ (self.tokens < self.alphabet.size).sum(1))

    def batch(self, items: Int64[np.ndarray, "B"]) -> Batch:
        """Some of them, exactly as they are."""
        tokens = self.tokens[items].astype(np.int64)
        return Batch(torch.from_numpy(tokens), torch.from_numpy((tokens < self.alphabet.size).astype(np.float32)))


@dataclass(frozen=True)
class RowLoader:
    """Training on rows: `batch_size` of them a step, each in proportion to its weight.

    The p-th draw is the row at the share u of all weights, u = start + p * golden ratio modulo 1: the most even of all
    sequences of its kind (Knuth, The Art of Computer Programming 3, sec. 6.4, theorem S), so that any stretch of draws
    is spread over the family like its weights.

    >>> from seqdiff.alphabet import ALIGNED
    >>> rows = Rows(np.arange(3, dtype=np.uint8)[:, None], np.array([1.0, 0.5, 0.5]), np.arange(3), ALIGNED)
    >>> drawn = RowLoader(rows, batch_size=400, seed=0).batch(1, range(400)).tokens
    >>> torch.bincount(drawn[:, 0]).tolist()
    [200, 99, 101]
    """

    examples: Rows
    batch_size: int
    seed: int

    @cached_property
    def _shares(self) -> Float64[np.ndarray, "N"]:
        shares = np.cumsum(self.examples.weights)
        return shares / shares[-1]

    @property
    def letters(self) -> float:
        return self.examples.effective_letters

    def rows(self, step: int) -> int:
        return self.batch_size

    def batch(self, step: int, rows: range) -> Batch:
        positions = np.arange(rows.start, rows.stop, dtype=np.uint64) + np.uint64((step - 1) * self.batch_size)
        with np.errstate(over="ignore"):
            place = np.uint64(seed_of(self.seed, "rows")) + positions * np.uint64(0x9E3779B97F4A7C15)
        share = (place >> np.uint64(11)) * 2.0**-53
        return self.examples.batch(np.searchsorted(self._shares, share, side="right"))
