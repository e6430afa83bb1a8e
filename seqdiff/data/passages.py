"""Running text as a model sees it: passages of one length, cut where training likes and tiled where it is evaluated."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Int, Integer

from seqdiff.data.batches import Batch, Shuffled
from seqdiff.streams import seed_of

_BLOCK = 1 << 24


class Passages:
    """A stretch of running text in passages of `length` characters, one after another; the last may be shorter.

    Passages without a known character are left out.

    >>> passages = Passages(np.array([0, 1, 1, 0, 1], np.uint8), length=2, symbols=2)
    >>> passages.sizes.tolist(), passages.batch(np.array([0, 2])).tokens.tolist()
    ([2, 2, 1], [[0, 1], [1, 3]])
    """

    def __init__(self, tokens: Integer[np.ndarray, " T"], length: int, symbols: int):
        self.tokens, self.length, self.symbols = tokens, length, symbols
        starts = np.arange(0, len(tokens), length)
        self._starts = starts[self._known > 0]
        self.letters = int(self._known.sum())
        """Known characters in all passages."""

    @cached_property
    def _known(self) -> Int[np.ndarray, " passages"]:
        """Known characters of each passage of the whole stretch."""
        some = max(1, _BLOCK // self.length) * self.length
        found = [np.empty(0, np.int64)]
        for first in range(0, len(self.tokens), some):
            known = self.tokens[first : first + some] < self.symbols
            found.append(np.add.reduceat(known, np.arange(0, len(known), self.length), dtype=np.int64))
        return np.concatenate(found)

    def __len__(self) -> int:
        return len(self._starts)

    @property
    def sizes(self) -> Int[np.ndarray, "N"]:
        """Characters of each passage."""
        return np.minimum(len(self.tokens) - self._starts, self.length)

    def batch(self, items: Int[np.ndarray, "B"]) -> Batch:
        """Some passages, padded on the right where the last one is shorter."""
        return self.at(self._starts[np.asarray(items)])

    def at(self, starts: Int[np.ndarray, "B"]) -> Batch:
        """The passages that begin at any places."""
        tokens = np.full((len(starts), self.length), self.symbols + 1, np.int64)
        for row, start in zip(tokens, starts.tolist(), strict=True):
            passage = self.tokens[start : start + self.length]
            row[: len(passage)] = passage
        found = torch.from_numpy(tokens)
        return Batch(found, (found < self.symbols).float())


@dataclass(frozen=True)
class PassageLoader:
    """Training on passages: `batch_size` a step, and in every epoch the text is cut anew, at another place.

    An epoch is the whole text in passages that touch, in a shuffled order; where the first one begins is drawn. So
    every character is seen once an epoch (but for less than a passage at the ends), at any place of its passage.
    """

    passages: Passages
    batch_size: int
    seed: int

    @cached_property
    def _order(self) -> Shuffled:
        """The passages of an epoch, wherever the first begins."""
        whole = len(self.passages.tokens) // self.passages.length
        return Shuffled(max(1, whole - 1), seed_of(self.seed, "passages"))

    @property
    def letters(self) -> float:
        return float(self.passages.letters)

    def rows(self, step: int) -> int:
        return self.batch_size

    def batch(self, step: int, rows: range) -> Batch:
        positions = np.arange(rows.start, rows.stop) + (step - 1) * self.batch_size
        begins = np.array([self._begin(epoch) for epoch in (positions // self._order.size).tolist()], np.int64)
        return self.passages.at(begins + self._order.items(positions) * self.passages.length)

    def _begin(self, epoch: int) -> int:
        """Where the first passage of an epoch begins: all places from which the others fit are equally likely."""
        room = max(0, len(self.passages.tokens) - self._order.size * self.passages.length)
        return seed_of(self.seed, "begin", epoch) % (room + 1)
