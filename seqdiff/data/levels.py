"""The alphabet of images: levels of brightness, one for each value of each channel of each pixel.

An image is a row of tokens: rows of pixels from the top, pixels from the left, channels in their order. Wherever a
record holds an image, its `sequence` has two bytes a token, the lower one first.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Int, Integer, UInt8

from seqdiff.alphabet import Alphabet

UNKNOWN = "\x7f\x7f"
"""Two bytes that are the level of no image."""


@dataclass(frozen=True)
class Levels(Alphabet):
    """The whole numbers from 0, darkest, to the number of levels less one.

    >>> grey = Levels.of(16)
    >>> grey.encode(grey.decode(np.array([0, 15, 16]))).tolist(), grey.mask
    ([0, 15, 16], 16)
    """

    @classmethod
    def of(cls, levels: int) -> "Levels":
        """An alphabet of 2 to 256 levels."""
        assert 2 <= levels <= 256
        return cls(f"images of {levels} levels", "".join(map(chr, range(levels))), UNKNOWN, (), unit="dimension")

    @property
    def names(self) -> tuple[str, ...]:
        """The levels as numbers."""
        return tuple(map(str, range(self.size)))

    @property
    def dtype(self) -> np.dtype:
        """The smallest type of numbers that holds all tokens."""
        return np.dtype(np.uint8 if self.pad < 256 else np.int16)

    @property
    def codes(self) -> np.ndarray:
        """Not for images: a token is two bytes."""
        raise TypeError(f"{self.name} are no single bytes: use encode")

    def encode(self, text: bytes) -> Integer[np.ndarray, " L"]:
        """The token of each two bytes; what is no level is a mask."""
        found = np.frombuffer(text, "<u2")
        return np.where(found < self.size, found, self.mask).astype(self.dtype)

    def decode(self, tokens: np.ndarray) -> bytes:
        """Two bytes of each token, the unknown ones of a mask."""
        tokens = np.asarray(tokens)
        unknown = np.frombuffer(UNKNOWN.encode(), "<u2")[0]
        return np.where(tokens < self.size, tokens, unknown).astype("<u2").tobytes()

    def allowed(self, text: bytes) -> Bool[np.ndarray, "L K"]:
        """Itself where a level is known, any where it is not."""
        return np.concatenate([np.eye(self.size, dtype=bool), np.ones((1, self.size), bool)])[self.encode(text)]

    def first_invalid(self, text: bytes) -> int | None:
        """None: whatever is no level is unknown."""
        return None

    def fill(self, text: bytes, positions: Int[np.ndarray, " n"], tokens: Integer[np.ndarray, " n"]) -> bytes:
        """The row with tokens at some positions, all else as it was."""
        row = np.frombuffer(text, "<u2").copy()
        row[positions] = tokens
        return row.tobytes()

    def levels(self, values: UInt8[np.ndarray, "*shape"], depth: int = 256) -> Integer[np.ndarray, "*shape"]:
        """The level of values 0 to `depth` - 1: equal shares of them, from the darkest.

        >>> Levels.of(2).levels(np.array([0, 127, 128, 255], np.uint8)).tolist()
        [0, 0, 1, 1]
        """
        table = (np.arange(256) * self.size // depth).clip(max=self.size - 1).astype(self.dtype)
        return table[values]

    def values(self, tokens: Integer[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape"]:
        """The brightness that shows a level, 0 to 255, one that `levels` reads as that level again.

        >>> Levels.of(3).values(np.array([0, 1, 2])).tolist()
        [0, 128, 255]
        """
        return self._shown[tokens]

    @cached_property
    def _shown(self) -> UInt8[np.ndarray, " K"]:
        level = np.arange(self.size)
        first = -(-256 * level // self.size)
        last = -(-256 * (level + 1) // self.size) - 1
        return np.rint(level * 255 / (self.size - 1)).clip(first, last).astype(np.uint8)
