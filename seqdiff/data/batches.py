"""Batches of tokens: what they hold, what gives them, and the order in which training visits its examples."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from seqdiff.streams import seed_of


@dataclass(frozen=True)
class Batch:
    """Clean tokens and what each position counts.

    `tokens` (B, L) int64: symbols, `mask` where the source is unknown, `pad` past the end.
    `weight` (B, L) float32: 0 where a position is not scored (always so at masks and pads), below 1
    where it counts less (soft-masked repeats), else 1.
    `labels` (B,) int64: the class of each row, the number of classes where it is not told; None: there are no classes.
    """

    tokens: Int[Tensor, "B L"]
    weight: Float[Tensor, "B L"]
    labels: Int[Tensor, "B"] | None = None

    def __len__(self) -> int:
        return self.tokens.shape[0]

    def to(self, device: torch.device | str) -> "Batch":
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def rows(self, which: slice) -> "Batch":
        """Some of its rows."""
        return self._each(lambda tensor: tensor[which])

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        return Batch(change(self.tokens), change(self.weight), None if self.labels is None else change(self.labels))


@runtime_checkable
class Examples(Protocol):
    """The sequences of a split as they are evaluated: windows of a genome, whole proteins, rows of an alignment."""

    @property
    def sizes(self) -> Int[np.ndarray, "N"]:
        """Letters in the row of each, known or not, without pads."""

    @property
    def letters(self) -> int:
        """Known letters in all of them."""

    def __len__(self) -> int: ...

    def batch(self, items: Int[np.ndarray, "B"]) -> Batch:
        """Some of them, padded on the right to the longest of these or further."""


@runtime_checkable
class Loader(Protocol):
    """What training shows, step by step. Nothing is carried along: any step can be asked for at any time, on any
    process, and is the same."""

    @property
    def letters(self) -> float:
        """Letters of one pass over the training data: what a network's prior is weighed against."""

    def rows(self, step: int) -> int:
        """Rows of the global batch of step 1, 2, ..."""

    def batch(self, step: int, rows: range) -> Batch:
        """Some rows of it, augmented: the share of one process."""


class Shuffled:
    """A shuffled order over `size` items, epoch after epoch, that any position can be read from.

    Position p of the endless stream is item `permutation(seed, p // size)[p % size]`: nothing to save,
    so a run resumes in the middle of an epoch from its step number alone.

    >>> order = Shuffled(3, seed=0)
    >>> sorted(order.items(np.arange(3, 6)).tolist())
    [0, 1, 2]
    """

    def __init__(self, size: int, seed: int):
        if size < 1:
            raise ValueError("nothing to shuffle")
        self.size, self.seed = size, seed
        self._permutations: dict[int, np.ndarray] = {}

    def items(self, positions: np.ndarray) -> np.ndarray:
        """The items at positions of the stream, int64."""
        epochs, offsets = np.divmod(np.asarray(positions, np.int64), self.size)
        items = np.empty_like(offsets)
        for epoch in np.unique(epochs):
            chosen = epochs == epoch
            items[chosen] = self._permutation(int(epoch))[offsets[chosen]]
        return items

    def _permutation(self, epoch: int) -> np.ndarray:
        if epoch not in self._permutations:
            if len(self._permutations) > 1:
                self._permutations.pop(min(self._permutations))
            rng = np.random.Generator(np.random.Philox(seed_of(self.seed, "order", epoch)))
            self._permutations[epoch] = rng.permutation(self.size)
        return self._permutations[epoch]
