"""Images as rows of tokens: as they are evaluated, and as training draws them."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Int64, Integer

from seqdiff.data.batches import Batch, Shuffled
from seqdiff.data.classes import told
from seqdiff.data.images import Images
from seqdiff.data.levels import Levels
from seqdiff.streams import seed_of, uniforms


@dataclass(frozen=True)
class Pictures:
    """Some of the images as `Examples`, an image an example; with their classes, where the model is told them."""

    images: Images
    items: Int64[np.ndarray, "N"]
    alphabet: Levels
    labelled: bool
    noun = "images"

    def __len__(self) -> int:
        return len(self.items)

    @property
    def length(self) -> int:
        """Values of an image."""
        return int(np.prod(self.images.values.shape[1:]))

    @property
    def sizes(self) -> Int64[np.ndarray, "N"]:
        """Values of each, all alike."""
        return np.full(len(self), self.length, np.int64)

    @property
    def letters(self) -> int:
        """Values of all of them."""
        return len(self) * self.length

    def tokens(self, items: Integer[np.ndarray, "B"], flipped: np.ndarray | None = None) -> Integer[np.ndarray, "B L"]:
        """The levels of some of them, those that are `flipped` with left and right exchanged."""
        values = self.images.values[self.items[items]]
        if flipped is not None:
            values[flipped] = values[flipped, :, ::-1]
        return self.alphabet.levels(values, self.images.depth).reshape(len(values), -1)

    def batch(self, items: Integer[np.ndarray, "B"]) -> Batch:
        """Some of them, exactly as they are."""
        items = np.asarray(items)
        labels = torch.from_numpy(self.images.classes[self.items[items]].astype(np.int64)) if self.labelled else None
        return _batch(self.tokens(items), labels)


@dataclass(frozen=True)
class PictureLoader:
    """Training on images: `batch_size` a step, each once before any comes again; half of them flipped where asked."""

    examples: Pictures
    batch_size: int
    seed: int
    flip: bool
    dropout: float

    @cached_property
    def _order(self) -> Shuffled:
        return Shuffled(len(self.examples), seed_of(self.seed, "images"))

    @property
    def letters(self) -> float:
        return float(self.examples.letters)

    def rows(self, step: int) -> int:
        return self.batch_size

    def batch(self, step: int, rows: range) -> Batch:
        positions = np.arange(rows.start, rows.stop) + (step - 1) * self.batch_size
        items = self._order.items(positions)
        flipped = uniforms(self.seed, "flip", positions) < 0.5 if self.flip else None
        labels, images = None, self.examples.images
        if self.examples.labelled:
            classes = images.classes[self.examples.items[items]]
            labels = told(classes, len(images.names), self.dropout, self.seed, positions)
        return _batch(self.examples.tokens(items, flipped), labels)


def _batch(tokens: Integer[np.ndarray, "B L"], labels: torch.Tensor | None) -> Batch:
    found = torch.from_numpy(tokens.astype(np.int64))
    return Batch(found, torch.ones(found.shape), labels)
