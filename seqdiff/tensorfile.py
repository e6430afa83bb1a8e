"""Tensors in one safetensors file that appears whole or not at all, and that says when it has been damaged since.

Of itself, safetensors notices a file that was cut short, and no flipped bit. So the header keeps a CRC-32 of the
tensors, of their names and of the rest of the header: 3.8 GB/s on one core, where a disk writes a tenth of that.
"""

import json
import os
import re
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from seqdiff.errors import DataError
from seqdiff.files import explain, replacing

CHECKSUM = "crc32"
"""Its key in the header; a file without it is taken as it is."""


class Damaged(DataError):
    """A file that is there and does not hold what was written."""


def write(
    path: Path,
    tensors: Mapping[str, Tensor],
    header: Mapping[str, str],
    before_naming: Callable[[], None] = lambda: None,
) -> None:
    """Write the file and its header. DataError where it cannot be written; what stood at `path` is whole then.

    `before_naming` is called when the new file is whole on the disk and has not taken its name yet.
    """
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with replacing(path) as file:
        try:
            save_file(whole, file, {**header, CHECKSUM: checksum(whole, header)})
        except SafetensorError as error:  # it hides the OSError in its text: "... (os error 28)"
            number = re.search(r"os error (\d+)", str(error))
            reason = explain(OSError(int(number[1]), str(error))) if number else str(error)
            raise DataError(f"{path}: cannot be written: {reason}") from error
        with open(file, "rb") as written:
            os.fsync(written.fileno())
        before_naming()


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and the header. DataError where there is no such file, Damaged where it is not what was written."""
    if not path.is_file():
        raise DataError(f"{path}: no such file; has this run saved yet?")
    try:
        with open(path, "rb", buffering=0) as file:
            while file.read(1 << 20):  # a disk that fails raises here; in the map of safetensors it would kill us
                pass
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            header = dict(file.metadata() or {})
    except PermissionError as error:
        raise DataError(f"{path}: no permission to read it") from error
    except (SafetensorError, OSError) as error:
        raise Damaged(f"{path}: damaged or cut short: {error}") from error
    written = header.pop(CHECKSUM, None)
    if written is not None and written != checksum(tensors, header):
        raise Damaged(f"{path}: damaged: its checksum is not what it was when it was written")
    return tensors, header


def checksum(tensors: Mapping[str, Tensor], header: Mapping[str, str]) -> str:
    """CRC-32 of what a file holds, in whatever order it is held.

    >>> a, b = torch.zeros(2), torch.ones(1)
    >>> checksum({"a": a, "b": b}, {}) == checksum({"b": b, "a": a}, {})
    True
    """
    found = zlib.crc32(json.dumps(dict(header), sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        found = zlib.crc32(f"{name} {tensor.dtype} {list(tensor.shape)}".encode(), found)
        found = zlib.crc32(memoryview(tensor.reshape(-1).view(torch.uint8).numpy()), found)
    return f"{found:08x}"
