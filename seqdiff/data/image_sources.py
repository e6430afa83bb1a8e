"""Where images come from: a folder of PNG and JPEG, IDX, CIFAR's batches; arrays are in `pixel_arrays`.

    folder | train-images-idx3-ubyte[.gz] | data_batch_*.bin | *.npz | *.csv[.gz] -> blocks of uint8

Each says which files it reads, which classes its images may have, and
gives its images in blocks, each of one split where the source says which.
"""

import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Integer, UInt8

from seqdiff.data import cifar, idx
from seqdiff.data.image_files import SUFFIXES, Reader
from seqdiff.errors import DataError

Shape = tuple[int, int, int]
"""Rows, columns, channels."""
SPLITS = ("train", "valid", "test")
UNSAID = len(SPLITS)
"""In place of a split where the source does not say."""
AT_ONCE = 512
"""Files of a folder in a block."""


class Block(NamedTuple):
    """Some images: their values, their classes where there are any, and their split by its place in `SPLITS`."""

    values: UInt8[np.ndarray, "n H W C"]
    classes: Integer[np.ndarray, "n"] | None
    split: int


@runtime_checkable
class ImageSource(Protocol):
    """What images are read from; made in no time, nothing is read before it is asked for."""

    files: tuple[Path, ...]

    def names(self) -> tuple[str, ...] | None:
        """The names of the classes; None: the source knows of none."""

    def blocks(self) -> Iterator[Block]:
        """All images. Raises DataError for what is damaged, or of another shape."""

    def remarks(self) -> list[str]:
        """What is to be said of the images when all have been read."""


class Cifar:
    """A folder of CIFAR's batches."""

    def __init__(self, path: Path, shape: Shape):
        self._batches = cifar.files(path)
        require_shape(path, cifar.SHAPE, shape)
        self.files = tuple(file for file, _, _ in self._batches)
        self._names = cifar.classes(path, self._batches[0][2])

    def names(self) -> tuple[str, ...] | None:
        return self._names

    def blocks(self) -> Iterator[Block]:
        for file, split, labels in self._batches:
            yield Block(*cifar.read_batch(file, labels, len(self._names)), SPLITS.index(split))

    def remarks(self) -> list[str]:
        return []


class Idx:
    """Files of images, each with a file of labels beside it or none with one."""

    def __init__(self, files: list[Path], shape: Shape):
        self._labels = [idx.labels_of(file) for file in files]
        self._images, self._shape = files, shape
        found = [label for label in self._labels if label is not None]
        if found and len(found) < len(files):
            raise DataError(f"{files[self._labels.index(None)]}: no file of labels beside it, as the others have")
        self.files = (*files, *found)

    @cached_property
    def _numbers(self) -> tuple[list[UInt8[np.ndarray, "_"]], UInt8[np.ndarray, "classes"]]:
        """The labels of each file, and which there are."""
        labels = [idx.read_idx(file, (1,)) for file in self._labels]
        return labels, np.unique(np.concatenate(labels))

    def names(self) -> tuple[str, ...] | None:
        return None if self._labels[0] is None else tuple(map(str, self._numbers[1].tolist()))

    def blocks(self) -> Iterator[Block]:
        for number, file in enumerate(self._images):
            values = idx.read_idx(file, (3, 4))
            values = values[..., None] if values.ndim == 3 else values
            require_shape(file, values.shape[1:], self._shape)
            classes = None
            if self._labels[0] is not None:
                labels, known = self._numbers
                classes = np.searchsorted(known, labels[number])
                if len(classes) != len(values):
                    raise DataError(f"{self._labels[number]}: {len(classes):,} labels for {len(values):,} images")
            yield Block(values, classes, split_named(file.name))

    def remarks(self) -> list[str]:
        return []


class Folder:
    """PNG and JPEG: in folders of splits (train, valid, test) or none, in these in folders of classes or none."""

    def __init__(self, path: Path, shape: Shape, crop: bool):
        self._path, self._reader = path, Reader(shape, crop)
        listed = sorted(each for each in path.rglob("*") if each.is_file() and not each.name.startswith("."))
        self.files = tuple(file for file in listed if file.suffix.lower() in SUFFIXES)
        self._ignored = [file for file in listed if file.suffix.lower() not in SUFFIXES]
        if not self.files:
            hint = ""
            if any(re.fullmatch(r"data_batch_\d", file.name) for file in self._ignored):
                hint = "; these are CIFAR's batches as Python pickles, which are not read: get the binary version"
            elif self._ignored:
                hint = f" (but {self._ignored[0].name}, ...)"
            raise DataError(f"{path}: no PNG or JPEG, IDX, .npz or CIFAR batch in it{hint}")
        places = [file.relative_to(path).parts[:-1] for file in self.files]
        split = [split_named(parts[0], whole=True) if parts else UNSAID for parts in places]
        within = [parts[1:] if of != UNSAID else parts for parts, of in zip(places, split, strict=True)]
        if UNSAID in split and len(set(split)) > 1:
            stray = self.files[split.index(UNSAID)]
            raise DataError(f"{stray} is in no folder of a split, as others are (train, valid, test): move it into one")
        names = sorted({parts[0] for parts in within if parts})
        if names and not all(within):
            stray = next(file for file, parts in zip(self.files, within, strict=True) if not parts)
            raise DataError(f"{stray} is in no folder of a class, as others are ({names[0]}, ...): move it into one")
        self._names = tuple(names) if names else None
        self._split = np.array(split)
        number = {name: place for place, name in enumerate(names)}
        self._class = np.array([number[parts[0]] for parts in within]) if names else None

    def names(self) -> tuple[str, ...] | None:
        return self._names

    def blocks(self) -> Iterator[Block]:
        order = np.argsort(self._split, kind="stable")
        for split in np.unique(self._split):
            of_split = order[self._split[order] == split]
            for first in range(0, len(of_split), AT_ONCE):
                part = of_split[first : first + AT_ONCE]
                values = np.stack([self._reader.read(self.files[item]) for item in part.tolist()])
                yield Block(values, None if self._class is None else self._class[part], int(split))

    def remarks(self) -> list[str]:
        said = [f"{count:,} {what}" for what, count in self._reader.changed.items()]
        if self._ignored:
            said.append(
                f"{len(self._ignored):,} files that are neither PNG nor JPEG left out ({self._ignored[0].name})"
            )
        return said


def split_named(name: str, whole: bool = False) -> int:
    """The split that a name speaks of, by its place in `SPLITS`, else `UNSAID`.

    >>> [split_named(name) for name in ("t10k-images-idx3-ubyte", "train_data_batch_1.npz", "latest.npz")]
    [2, 0, 3]
    """
    words = [name.lower()] if whole else re.split(r"[^a-z0-9]+", name.lower())
    for place, known in enumerate((("train", "training"), ("valid", "val", "validation"), ("test", "testing", "t10k"))):
        if any(word in known for word in words):
            return place
    return UNSAID


def require_shape(path: Path, found: tuple[int, ...], wanted: Shape) -> None:
    """DataError where images are of another shape."""
    if tuple(found) != wanted:
        rows, columns, channels = (*found, *([1] * 3))[:3]
        raise DataError(
            f"{path}: images of {rows} x {columns} pixels (rows x columns) and {channels} channels, not of "
            f"{wanted[0]} x {wanted[1]} and {wanted[2]}: to train on them, set data.size=[{rows},{columns}] and "
            f"data.channels={channels}"
        )
