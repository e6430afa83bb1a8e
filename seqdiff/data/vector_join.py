"""Files of embeddings (`vectors`) joined in order: rows pass by, only names and numbers of one file are in memory."""

import json
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seqdiff.data.vectors import writing
from seqdiff.errors import DataError

AT_ONCE = 1 << 24
"""Bytes of vectors read together."""
_OF_RECORDS = ("embeddings", "names", "lengths", "offsets", "metadata")


def join_vectors(paths: Sequence[str], output: str | Path, progress: Callable[[int], None] | None = None) -> None:
    """The .npz files of `seqdiff embed` as one, of the name's format: what it would have made of the whole.

    Raises DataError for a file that is none or was made by another model or otherwise; UsageError and DataError as
    `vectors.writing`.
    """
    stored = [_Stored(path) for path in paths]
    first = stored[0]
    for other in stored[1:]:
        if (other.metadata, other.width) != (first.metadata, first.width):
            raise DataError(f"{other.path} was made otherwise than {first.path}: {_difference(first, other)}")
    done = 0
    with writing(
        output, rows=sum(each.rows for each in stored), records=sum(each.records for each in stored),
        width=first.width, longest_name=max(each.longest for each in stored), metadata=first.metadata,
    ) as out:  # fmt: skip
        for each in stored:
            each.copy(out)
            done += Path(each.path).stat().st_size
            if progress:
                progress(done)


class _Stored:
    """What a file holds, but for its vectors."""

    def __init__(self, path: str):
        self.path = path
        try:
            with np.load(path, allow_pickle=False) as arrays, zipfile.ZipFile(path) as archive:
                self.metadata: dict[str, Any] = json.loads(str(arrays["metadata"]))
                offsets = arrays["offsets"]
                self.records, self.rows = len(offsets) - 1, int(offsets[-1])
                self.longest = arrays["names"].dtype.itemsize // 4 if self.records else 1
                with archive.open("embeddings.npy") as member:
                    (found, self.width), self._dtype = _header(member)
            if found != self.rows:
                raise ValueError(f"{found} rows")
        except (zipfile.BadZipFile, ValueError, KeyError, OSError, EOFError) as error:
            raise DataError(f"{path} is no file of embeddings as seqdiff embed writes it, or is damaged") from error

    def copy(self, out: Any) -> None:
        """All records into a `VectorFile`."""
        at_once = max(1, AT_ONCE // (self.width * self._dtype.itemsize))
        try:
            with np.load(self.path, allow_pickle=False) as arrays, zipfile.ZipFile(self.path) as archive:
                if not self.records:
                    return
                names, lengths, offsets = (arrays[name] for name in ("names", "lengths", "offsets"))
                columns = {name: arrays[name] for name in arrays.files if name not in _OF_RECORDS}
                with archive.open("embeddings.npy") as member:
                    _header(member)
                    for number in range(self.records):
                        out.record(str(names[number]), int(lengths[number]))
                        for begin in range(int(offsets[number]), int(offsets[number + 1]), at_once):
                            end = min(begin + at_once, int(offsets[number + 1]))
                            data = member.read((end - begin) * self.width * self._dtype.itemsize)
                            vectors = np.frombuffer(data, self._dtype).reshape(end - begin, self.width)
                            out.rows(vectors, **{name: values[begin:end] for name, values in columns.items()})
        except (zipfile.BadZipFile, ValueError, KeyError, EOFError) as error:
            raise DataError(f"{self.path} is damaged: {error}") from error


def _header(member: Any) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and type of an array in an archive, whose data come next."""
    np.lib.format.read_magic(member)
    shape, _, dtype = np.lib.format.read_array_header_1_0(member)
    return shape, dtype


def _difference(one: _Stored, other: _Stored) -> str:
    keys = [key for key in one.metadata | other.metadata if one.metadata.get(key) != other.metadata.get(key)]
    if not keys:
        return f"{other.width} numbers a vector, not {one.width}"
    return f"{keys[0]} is {other.metadata.get(keys[0])!r}, not {one.metadata.get(keys[0])!r}"
