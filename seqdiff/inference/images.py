"""Images as records for a model, with or without pixels to be filled in; and back, value for value.

What a model reads are levels; what is written back are the values as they came, with those of the drawn levels in place
of the filled pixels alone.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
from jaxtyping import Bool, UInt8

from seqdiff.data.fasta import Record
from seqdiff.data.image_files import SUFFIXES, Reader
from seqdiff.data.image_sources import Shape
from seqdiff.data.images import source_of
from seqdiff.data.levels import UNKNOWN, Levels
from seqdiff.errors import DataError, UsageError

SIDES = ("left", "right", "top", "bottom", "center")
AT_ONCE = 2**27
"""Probabilities that are held together: of every level of every value that is filled."""

Item = TypeVar("Item")


@dataclass(frozen=True)
class Canvas:
    """The images of a model: their shape (rows, columns, channels) and levels.

    >>> canvas = Canvas((1, 2, 1), Levels.of(4))
    >>> record = canvas.record("a", np.array([[[0], [255]]], np.uint8), np.array([[False, True]]))
    >>> record.sequence == canvas.alphabet.decode(np.array([0, 4]))
    True
    """

    grid: Shape
    alphabet: Levels

    @property
    def length(self) -> int:
        """Values of an image."""
        return int(np.prod(self.grid))

    @property
    def together(self) -> int:
        """How many images are filled at a time, so that what is known of each level fits into memory."""
        return max(1, AT_ONCE // (self.length * self.alphabet.size))

    def blank(self, name: str) -> Record:
        """An image of which nothing is known."""
        return Record(name, name, UNKNOWN.encode() * self.length)

    def record(
        self, name: str, values: UInt8[np.ndarray, "H W C"], hidden: Bool[np.ndarray, "H W"] | None = None
    ) -> Record:
        """An image as its model reads it, unknown in all channels where it is `hidden`."""
        tokens = self.alphabet.levels(values)
        if hidden is not None:
            tokens[hidden] = self.alphabet.mask
        return Record(name, name, self.alphabet.decode(tokens.ravel()))

    def values(self, record: Record) -> UInt8[np.ndarray, "H W C"]:
        """What a record without an unknown value shows."""
        return self.alphabet.values(self.alphabet.encode(record.sequence)).reshape(self.grid)

    def filled(
        self, values: UInt8[np.ndarray, "H W C"], hidden: Bool[np.ndarray, "H W"], record: Record
    ) -> UInt8[np.ndarray, "H W C"]:
        """An image with what was drawn where it was hidden, all else as it was to the last bit."""
        return np.where(hidden[..., None], self.values(record), values)


@dataclass(frozen=True)
class Picture:
    """An image that was read, and how opaque its pixels are, where the file says."""

    name: str
    values: UInt8[np.ndarray, "H W C"]
    opaque: UInt8[np.ndarray, "H W"] | None = None

    @property
    def transparent(self) -> Bool[np.ndarray, "H W"]:
        """Where it shows less than half of itself."""
        return np.zeros(self.values.shape[:2], bool) if self.opaque is None else self.opaque < 128


def read(paths: Iterable[str | Path], grid: Shape) -> tuple[list[Picture], list[str]]:
    """The images of PNG and JPEG files, folders of these, IDX, .npz or tables; and what is to be said of them.

    A name is that of the file, without its suffix; of several in one file, with its number. Raises DataError: nothing
    there, damaged, of another size than `grid`, two of one name.
    """
    found: list[Picture] = []
    said: list[str] = []
    for path in map(Path, paths):
        if path.suffix.lower() in SUFFIXES and not path.is_dir():
            reader = Reader(grid)
            found.append(Picture(path.stem, *reader.read_open(path)))
            said += [f"{path}: {what}" for what in reader.changed]
        elif path.is_dir() and (files := sorted(f for f in path.iterdir() if f.suffix.lower() in SUFFIXES)):
            more, remarks = read(files, grid)
            found, said = found + more, said + remarks
        else:
            source = source_of(path, grid, crop=False)
            values = np.concatenate([block.values for block in source.blocks()])
            found += [Picture(f"{path.stem}_{number}", each) for number, each in enumerate(values, 1)]
            said += source.remarks()
    names = [picture.name for picture in found]
    if twice := next((name for name in names if names.count(name) > 1), None) if len(set(names)) < len(names) else None:
        raise DataError(f"two images are called {twice}: rename one, results would be told apart by nothing")
    return found, said


def hidden_by(mask: str, grid: Shape) -> Bool[np.ndarray, "H W"]:
    """What a mask hides: half of an image, its middle (half its height and width), or the white of an image file.

    >>> hidden_by("center", (4, 4, 1)).astype(int).tolist()
    [[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
    """
    rows, columns, _ = grid
    row, column = np.arange(rows)[:, None] + 0.5, np.arange(columns)[None] + 0.5
    match mask:
        case "left":
            hidden = (column < columns / 2) & (row > 0)
        case "right":
            hidden = (column > columns / 2) & (row > 0)
        case "top":
            hidden = (row < rows / 2) & (column > 0)
        case "bottom":
            hidden = (row > rows / 2) & (column > 0)
        case "center":
            hidden = (abs(row - rows / 2) < rows / 4) & (abs(column - columns / 2) < columns / 4)
        case _:
            path = Path(mask)
            if path.suffix.lower() not in SUFFIXES:
                raise UsageError(f"--mask {mask}: choose one of {', '.join(SIDES)}, or give a PNG, white where to fill")
            hidden = Reader((rows, columns, 1)).read(path)[..., 0] >= 128
    return hidden


def some(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Items, `size` at a time."""
    left = iter(items)
    while part := list(islice(left, size)):
        yield part
