"""Images as arrays: NumPy archives (.npz) and tables with a column a pixel.

In an archive each array of images has (N, H, W), (N, H, W, C) or (N, C, H, W) values, or flat rows, which are channel
after channel, as the downsampled ImageNet has them. A name with train, val or test in it says which split, one with
label, class, target or y that it is of labels.
"""

import logging
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Integer, UInt8

from seqdiff.data.image_sources import UNSAID, Block, Shape, require_shape, split_named
from seqdiff.errors import DataError

log = logging.getLogger("seqdiff")

_LABELS = re.compile(r"label|class|target|(^|_)y($|_)", re.I)
_DAMAGE = (
    OSError, ValueError, EOFError, TypeError, KeyError, OverflowError, RuntimeError, SyntaxError,
    zipfile.BadZipFile, zlib.error, struct.error,
)  # fmt: skip
"""What zip archives and the arrays in them may raise that are damaged, encrypted, or of another kind."""
DARK = 64
"""A largest value below this is taken for a sign that values were meant on another scale."""
_ASIDE = re.compile(r"names?$|mean$", re.I)
"""Arrays that come along: names of files, the mean image of the downsampled ImageNet."""


class Archive:
    """NumPy archives; nothing in them is unpickled."""

    def __init__(self, files: list[Path], shape: Shape):
        self.files, self._shape = tuple(files), shape
        self._largest: dict[str, int] = {}

    @cached_property
    def _parts(self) -> list[tuple[Path, str, str | None, int]]:
        """File, array of images, array of labels, split."""
        found = []
        for file in self.files:
            with _archive(file) as arrays:
                found += _parts(file, arrays.files)
        return found

    @cached_property
    def _numbers(self) -> Integer[np.ndarray, "classes"] | None:
        """The labels that there are; None where images have none."""
        without = [file for file, _, name, _ in self._parts if name is None]
        if len(without) == len(self._parts):
            return None
        if without:
            raise DataError(f"{without[0]}: images without labels, where others have them")
        found = []
        for file, _, name, _ in self._parts:
            with _archive(file) as arrays:
                found.append(np.unique(_labels(file, name, _array(file, arrays, name))))
        return np.unique(np.concatenate(found))

    def names(self) -> tuple[str, ...] | None:
        return None if self._numbers is None else tuple(map(str, self._numbers.tolist()))

    def blocks(self) -> Iterator[Block]:
        for file, images, labels, split in self._parts:
            with _archive(file) as arrays:
                values = _images(f"{file}, {images}", _array(file, arrays, images), self._shape)
                self._largest[f"{file}, {images}"] = int(values.max(initial=0))
                classes = None
                if self._numbers is not None:
                    classes = np.searchsorted(self._numbers, _labels(file, labels, _array(file, arrays, labels)))
                    if len(classes) != len(values):
                        raise DataError(f"{file}: {len(classes):,} labels ({labels}) for {len(values):,} images")
            yield Block(values, classes, split)

    def remarks(self) -> list[str]:
        return _dark(self._largest)


class Pixels:
    """A table (comma or tab, plain or gzip), a row an image, a column a pixel's value, 0 to 255; and one of labels.

    The column of labels is the one that its header names (label, class, target, y), or the last, or the first where
    that alone takes more than one value.
    """

    def __init__(self, path: Path, shape: Shape):
        self.files, self._shape = (path,), shape

    @cached_property
    def _read(self) -> tuple[UInt8[np.ndarray, "n H W C"], Integer[np.ndarray, "n"] | None, tuple[str, ...] | None]:
        """Values, classes and the names of these."""
        import pandas as pd

        (path,), shape = self.files, self._shape
        dimensions = int(np.prod(shape))
        try:
            table = pd.read_csv(path, header=None, sep="\t" if ".tsv" in path.suffixes else ",", low_memory=False)
        except (OSError, ValueError, EOFError, zlib.error) as error:
            raise DataError(f"{path}: cannot be read as a table: {str(error).splitlines()[0]}") from error
        header = None
        if table.iloc[0].map(lambda cell: isinstance(cell, str)).any():
            header, table = [str(cell).strip().lower() for cell in table.iloc[0]], table.iloc[1:]
        if table.shape[1] not in (dimensions, dimensions + 1):
            raise DataError(
                f"{path}: {table.shape[1]:,} columns, where images of {shape[0]} x {shape[1]} x {shape[2]} have "
                f"{dimensions:,}, and one of labels or none: to train on them, set data.size and data.channels"
            )
        column = None if table.shape[1] == dimensions else _label_column(path, table, header)
        numbers = table.drop(columns=[] if column is None else [table.columns[column]])
        try:
            values = numbers.to_numpy(np.float64)
        except ValueError as error:
            raise DataError(f"{path}: a pixel that is no number: {error}") from error
        images = _eight_bits(str(path), values).reshape(-1, *shape)
        if column is None:
            return images, None, None
        names, classes = np.unique(table.iloc[:, column].astype(str), return_inverse=True)
        return images, classes, tuple(names.tolist())

    def names(self) -> tuple[str, ...] | None:
        return self._read[2]

    def blocks(self) -> Iterator[Block]:
        yield Block(*self._read[:2], UNSAID)

    def remarks(self) -> list[str]:
        return _dark({str(self.files[0]): int(self._read[0].max(initial=0))})


def _label_column(path: Path, table, header: list[str] | None) -> int:
    last = table.shape[1] - 1
    if header is not None:
        named = [number for number, name in enumerate(header) if _LABELS.search(name)]
        if len(named) != 1:
            raise DataError(f"{path}: which column has the labels? Call one, and no other, label")
        return named[0]
    column = 0 if table.iloc[:, last].nunique() == 1 and table.iloc[:, 0].nunique() > 1 else last
    log.info("%s: the %s column is taken for labels", path, "first" if column == 0 else "last")
    return column


def _parts(file: Path, names: list[str]) -> list[tuple[Path, str, str | None, int]]:
    """The arrays of an archive, those of images each with that of its labels."""
    labels = {_split(file, name): name for name in names if _LABELS.search(name)}
    images = {}
    for name in names:
        if not _LABELS.search(name) and not _ASIDE.search(name):
            if (split := _split(file, name)) in images:
                raise DataError(
                    f"{file}: which array has the images, {images[split]} or {name}? Keep one of them, or say train, "
                    "val and test in their names"
                )
            images[split] = name
    if not images:
        raise DataError(f"{file}: no array of images in it; it has {', '.join(names) or 'none'}")
    return [(file, name, labels.get(split), split) for split, name in sorted(images.items())]


def _split(file: Path, name: str) -> int:
    found = split_named(name)
    return split_named(file.name) if found == UNSAID else found


def _images(where: str, found: np.ndarray, shape: Shape) -> UInt8[np.ndarray, "N H W C"]:
    """Values in the shape that is wanted, whichever of the orders they have."""
    rows, columns, channels = shape
    found = _eight_bits(where, found)
    if found.shape[1:] == shape:
        return found
    if found.shape[1:] == (channels, rows, columns):
        return found.transpose(0, 2, 3, 1)
    if found.ndim == 3 and found.shape[1:] == (rows, columns) and channels == 1:
        return found[..., None]
    if found.ndim == 2 and found.shape[1] == rows * columns * channels:
        return found.reshape(-1, channels, rows, columns).transpose(0, 2, 3, 1)
    if found.ndim in (3, 4):
        require_shape(Path(where), found.shape[1:], shape)
    raise DataError(
        f"{where}: {' x '.join(map(str, found.shape))} values are no images of {rows} x {columns} x {channels}: to "
        "train on them, set data.size and data.channels"
    )


def _eight_bits(where: str, found: np.ndarray) -> UInt8[np.ndarray, "..."]:
    if found.dtype == np.uint8:
        return found
    if found.dtype == bool:
        return found.astype(np.uint8) * 255
    if not np.issubdtype(found.dtype, np.number):
        raise DataError(f"{where}: {found.dtype} are no pixel values: save them as whole numbers, 0 to 255 (uint8)")
    if not (np.isfinite(found).all() and (found == np.rint(found)).all() and 0 <= found.min() <= found.max() <= 255):
        raise DataError(f"{where}: pixel values that are not whole numbers from 0 to 255: scale them first (uint8)")
    return found.astype(np.uint8)


def _dark(largest: dict[str, int]) -> list[str]:
    """What is to be said of values that are nowhere near 255: 0 or 1, scikit-learn's digits of 0 to 16, and the like.

    >>> _dark({"digits.npz": 16, "photographs.npz": 251})
    ['digits.npz: no value above 16, where 255 is white: multiply them by 15 first, unless they are that dark']
    """
    return [
        f"{where}: no value above {value}, where 255 is white: multiply them by {255 // value} first, unless they are "
        "that dark"
        for where, value in largest.items()
        if 0 < value < DARK
    ]


def _labels(file: Path, name: str, found: np.ndarray) -> Integer[np.ndarray, "N"]:
    found = found.reshape(-1) if found.ndim == 2 and 1 in found.shape else found
    if found.ndim != 1 or not np.issubdtype(found.dtype, np.integer):
        raise DataError(f"{file}: {name} are no labels: whole numbers, one an image")
    return found


def _archive(file: Path):
    try:
        return np.load(file, allow_pickle=False)
    except _DAMAGE as error:
        raise DataError(f"{file}: damaged, or no NumPy archive: {error}") from error


def _array(file: Path, arrays, name: str) -> np.ndarray:
    try:
        return arrays[name]
    except _DAMAGE as error:
        raise DataError(f"{file}: {name} cannot be read: {error}") from error
