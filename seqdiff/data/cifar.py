"""CIFAR's binary batches: for each image one byte of its class (CIFAR-100: two, coarse and fine), then 3 x 32 x 32.

Krizhevsky 2009; the layout is on www.cs.toronto.edu/~kriz/cifar.html, "binary version".
"""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from seqdiff.errors import DataError

TRAIN = ("data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin")
NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SHAPE = (32, 32, 3)
_PIXELS = 3 * 32 * 32


def files(folder: Path) -> list[tuple[Path, str, int]]:
    """The batches of a folder: their file, whether of train or test, and how many bytes of labels they have; none where
    it holds no such."""
    found = [(folder / name, "train", 1) for name in TRAIN] + [(folder / "test_batch.bin", "test", 1)]
    if not found[0][0].is_file():
        found = [(folder / "train.bin", "train", 2), (folder / "test.bin", "test", 2)]
    return [each for each in found if each[0].is_file()]


def classes(folder: Path, labels: int) -> tuple[str, ...]:
    """The names of the classes, from the file of names that comes along, else those of CIFAR-10, or numbers."""
    names = folder / ("batches.meta.txt" if labels == 1 else "fine_label_names.txt")
    if names.is_file():
        return tuple(line.strip() for line in names.read_text(errors="replace").splitlines() if line.strip())
    return NAMES if labels == 1 else tuple(map(str, range(100)))


def read_batch(path: Path, labels: int, number: int) -> tuple[UInt8[np.ndarray, "N 32 32 3"], UInt8[np.ndarray, "N"]]:
    """The images of a batch and their classes, of which there are `number`. Raises DataError for a damaged file."""
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    size = labels + _PIXELS
    if not len(data) or len(data) % size:
        raise DataError(f"{path}: {len(data):,} bytes are no whole number of images of {size:,}: is it cut short?")
    data = data.reshape(-1, size)
    found = data[:, labels - 1]
    if found.max() >= number:
        raise DataError(f"{path}: class {found.max()} where there are {number}: is it a batch of CIFAR-{number}?")
    return data[:, labels:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), found
