"""Images of one size: read once from wherever they come, and memory-mapped from then on.

    a source (`seqdiff.data.image_sources`) -> one pass -> SOURCE.28x28x1.seqdiff (1 byte a value) -> np.memmap

What is kept are the values as they came, 8 bits each; how many levels a model tells apart is not of the file.
"""

import contextlib
import hashlib
import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from jaxtyping import Int64, UInt8

from seqdiff.data import cifar, idx
from seqdiff.data.encoded import Origin, digest_of, encoded
from seqdiff.data.image_sources import UNSAID, Cifar, Folder, Idx, ImageSource, Shape
from seqdiff.data.levels import Levels
from seqdiff.data.output import Output
from seqdiff.data.pixel_arrays import Archive, Pixels
from seqdiff.data.source import missing
from seqdiff.errors import DataError

log = logging.getLogger("seqdiff")

DIGITS = "digits"
DIGIT_SHAPE: Shape = (8, 8, 1)
DIGIT_LEVELS = 17
_COLUMNS = 3
_SAY_EVERY = 20.0
"""Seconds between two lines on how far the reading has come."""


@dataclass(frozen=True)
class Images:
    """Images as values, any of them at once."""

    path: Path
    values: UInt8[np.ndarray, "N H W C"]
    split: Int64[np.ndarray, "N"]
    """The split that the source says, by its place in `SPLITS`; `UNSAID` where it says none."""
    classes: Int64[np.ndarray, "N"] | None
    keys: Int64[np.ndarray, "N"]
    """A hash of each image: the same for the same values."""
    names: tuple[str, ...] | None
    """Of the classes."""
    checksum: str
    """blake2b-128, hex, of all values, classes and splits in their order."""
    depth: int = 256
    """Values that there are: 0 to `depth` - 1."""

    def __len__(self) -> int:
        return len(self.values)

    @classmethod
    def open(cls, path: str | Path, shape: Shape, *, crop: bool = False) -> "Images":
        """The images at a path, or `digits`, which come with scikit-learn (1,797 of 8 x 8, 17 levels).

        Encodes them where that was not done before (`seqdiff.data.encoded`). `crop`: see `image_files.Reader`. Raises
        DataError: nothing there, damaged, of another shape, no room.
        """
        if str(path) == DIGITS:
            return _digits()
        path = Path(path)
        source = source_of(path, shape, crop)
        origin = Origin(lambda: _state(source.files), lambda: contextlib.nullcontext(source))
        footer, codes, words = encoded(path, _Layout(shape, crop), origin=origin)
        table = words.reshape(-1, _COLUMNS)
        names = footer["names"]
        return cls(
            path, codes.reshape(-1, *shape), table[:, 0], None if names is None else table[:, 1], table[:, 2],
            None if names is None else tuple(names), footer["checksum"],
        )  # fmt: skip


def source_of(path: Path, shape: Shape, crop: bool) -> ImageSource:
    """What a path holds. Raises DataError where that is nothing that can be read."""
    if not path.exists():
        raise DataError(missing(path))
    found: ImageSource
    if path.is_dir():
        if cifar.files(path):
            found = Cifar(path, shape)
        elif files := sorted(each for each in path.iterdir() if each.is_file() and idx.NAME.match(each.name)):
            found = Idx(files, shape)
        elif archives := sorted(path.glob("*.npz")):
            found = Archive(archives, shape)
        else:
            return Folder(path, shape, crop)
    elif path.suffix.lower() == ".npz":
        found = Archive([path], shape)
    elif {".csv", ".tsv"} & {suffix.lower() for suffix in path.suffixes}:
        found = Pixels(path, shape)
    elif idx.is_idx(path):
        found = Idx([path], shape)
    else:
        raise DataError(
            f"{path}: no images that could be read: give a folder of PNG or JPEG, IDX, .npz, .csv, or the folder of "
            "CIFAR's binary batches (data_batch_1.bin); an archive must be unpacked first"
        )
    if crop:
        raise DataError(f"data.crop: it is for a folder of PNG or JPEG; the images of {path} have one size")
    return found


@dataclass(frozen=True)
class _Layout:
    """The layout of images in their encoded file: values, and for each its split, class and hash."""

    shape: Shape
    crop: bool
    content = "images"
    alphabet = Levels.of(256)

    @property
    def suffix(self) -> str:
        size = "x".join(map(str, self.shape))
        return f".{size}{'-cropped' if self.crop else ''}.seqdiff"

    def table(self) -> bytes:
        return repr((self.shape, self.crop)).encode()

    def encode(self, source: ImageSource, out: Output, words: BinaryIO) -> dict[str, Any]:
        """Raises DataError where there is no image, and as the source does."""
        checksum, count, said = digest_of(self.table()), 0, time.monotonic()
        for values, classes, split in source.blocks():
            values = np.ascontiguousarray(values)
            table = np.zeros((len(values), _COLUMNS), np.int64)
            table[:, 0] = split
            table[:, 1] = 0 if classes is None else classes
            table[:, 2] = [_key(image) for image in values]
            checksum.update(values)
            checksum.update(np.ascontiguousarray(table[:, :2]))
            out.write(values.tobytes())
            words.write(table.tobytes())
            count += len(values)
            if time.monotonic() - said > _SAY_EVERY:
                said = time.monotonic()
                log.info("%s images read", f"{count:,}")
        if not count:
            raise DataError(f"{source.files[0]}: no image in it")
        for remark in source.remarks():
            log.warning("of %s images: %s", f"{count:,}", remark)
        names = source.names()
        return {
            "letters": count * int(np.prod(self.shape)), "words": count * _COLUMNS,
            "names": names, "checksum": checksum.hexdigest(),
        }  # fmt: skip


def _digits() -> Images:
    from sklearn.datasets import load_digits

    found = load_digits()
    values = found.images.astype(np.uint8).reshape(-1, *DIGIT_SHAPE)
    classes = found.target.astype(np.int64)
    digest = digest_of(values.tobytes())
    digest.update(classes)
    keys = np.array([_key(image) for image in values], np.int64)
    return Images(
        Path(DIGITS), values, np.full(len(values), UNSAID), classes, keys, tuple(map(str, found.target_names)),
        digest.hexdigest(), DIGIT_LEVELS,
    )  # fmt: skip


def _key(image: UInt8[np.ndarray, "H W C"]) -> int:
    return int.from_bytes(hashlib.blake2b(image.tobytes(), digest_size=8).digest(), "little", signed=True)


def _state(files: tuple[Path, ...]) -> dict[str, int]:
    """What tells one state of some files from another."""
    digest, size = hashlib.blake2b(digest_size=6), 0
    for file in files:
        status = file.stat()
        size += status.st_size
        digest.update(f"{file.name} {status.st_size} {status.st_mtime_ns}\n".encode())
    return {"files": len(files), "size": size, "names": int.from_bytes(digest.digest(), "little")}
