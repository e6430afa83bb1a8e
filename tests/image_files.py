"""Small files of images in every form that is read, for the tests."""

import gzip
import struct

import numpy as np
from PIL import Image

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (24, 4, 6, 1), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (24, 4, 6, 3), dtype=np.uint8)
LABELS = np.arange(24) % 3


def idx(path, values, *, zipped=False):
    """An IDX file of unsigned bytes."""
    data = bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
    data += values.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(data) if zipped else data)


def png(path, values):
    """A PNG, grey or RGB."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values[..., 0] if values.shape[-1] == 1 else values).save(path)


def cifar(folder, number=6, classes=10, names=True):
    """Five small batches and one of test; the values and labels of all of them."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(1)
    files = [f"data_batch_{k}.bin" for k in range(1, 6)] + ["test_batch.bin"]
    images, labels = [], []
    for file in files:
        values = rng.integers(0, 256, (number, 3, 32, 32), dtype=np.uint8)
        label = rng.integers(0, classes, number).astype(np.uint8)
        (folder / file).write_bytes(b"".join(bytes([k]) + v.tobytes() for k, v in zip(label, values)))
        images.append(values.transpose(0, 2, 3, 1))
        labels.append(label)
    if names:
        (folder / "batches.meta.txt").write_text("\n".join("abcdefghij") + "\n\n")
    return np.concatenate(images), np.concatenate(labels)
