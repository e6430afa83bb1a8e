"""IDX, the format of MNIST: a magic number, the size of each dimension, bytes; plain or gzip.

Yann LeCun's description: yann.lecun.com/exdb/mnist; 0x08 is unsigned byte, the fourth byte the number of dimensions.
"""

import gzip
import math
import re
import struct
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from seqdiff.errors import DataError

NAME = re.compile(r"(?P<head>.*)images(?P<dot>[.-])idx[34]-ubyte(?P<gz>\.gz)?$")


def read_idx(path: Path, dimensions: tuple[int, ...]) -> UInt8[np.ndarray, "..."]:
    """The array of a file. Raises DataError where it cannot be read, is cut short, or has another number of dimensions
    than those allowed."""
    data = _bytes(path)
    if len(data) < 4 or data[:2] != b"\0\0":
        raise DataError(f"{path}: no IDX file (it does not begin with two zero bytes)")
    kind, number = data[2], data[3]
    if kind != 8:
        raise DataError(f"{path}: IDX of type 0x{kind:02x}: only unsigned bytes (0x08) are read")
    if number not in dimensions:
        raise DataError(f"{path}: {number} dimensions, where {' or '.join(map(str, dimensions))} belong")
    head = 4 + 4 * number
    shape = struct.unpack(f">{number}I", data[4:head]) if len(data) >= head else ()
    if len(data) != head + math.prod(shape) or not shape:
        raise DataError(
            f"{path}: damaged: {len(data) - head:,} bytes for {' x '.join(f'{size:,}' for size in shape) or 'nothing'}"
        )
    return np.frombuffer(data, np.uint8, offset=head).reshape(shape)


def is_idx(path: Path) -> bool:
    """Whether a file begins as IDX of unsigned bytes, plain or gzip."""
    try:
        return _opened(path).read(3) == b"\0\0\x08"
    except (OSError, EOFError, zlib.error):
        return False


def labels_of(path: Path) -> Path | None:
    """The file of labels that belongs to one of images, beside it: train-labels-idx1-ubyte; None: there is none."""
    if (found := NAME.match(path.name)) is None:
        return None
    name = f"{found['head']}labels{found['dot']}idx1-ubyte"
    return next((each for end in ("", ".gz") if (each := path.with_name(name + end)).is_file()), None)


def _opened(path: Path):
    with open(path, "rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rb") if zipped else open(path, "rb")


def _bytes(path: Path) -> bytes:
    try:
        with _opened(path) as file:
            return file.read()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
