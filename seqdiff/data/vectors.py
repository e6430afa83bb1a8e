"""Files of embeddings, written as they come: memory does not grow with the number of rows.

`.npz` holds one array a column, `embeddings` (rows, D) float32 first, and is read by `numpy.load` as any other.
`.parquet` holds one row a vector, in row groups, `embedding` a list of D floats; it needs pyarrow. Both carry
`metadata`, JSON.
"""

import json
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
from jaxtyping import Float32

from seqdiff.data.source import bytes_of
from seqdiff.errors import DataError, UsageError
from seqdiff.files import replacing

SUFFIXES = (".npz", ".parquet")
GROUP_BYTES = 1 << 24
"""Of vectors in a row group."""
_DATE = (1980, 1, 1, 0, 0, 0)
"""Of what is in the archive, so that the same vectors are the same file."""


class VectorFile(Protocol):
    """A file of embeddings that is being written, record after record."""

    def record(self, name: str, length: int) -> None:
        """The record that the next rows belong to."""

    def rows(self, vectors: Float32[np.ndarray, "n D"], **columns: np.ndarray) -> None:
        """Vectors and what else is known of each; the same columns every time."""


@contextmanager
def writing(
    path: str | Path, *, rows: int, records: int, width: int, longest_name: int, metadata: Mapping[str, Any]
) -> Iterator[VectorFile]:
    """A file of `rows` vectors of `records` records that appears whole or not at all; its name says its format.

    Raises UsageError for another name or without pyarrow; DataError where it cannot be written, or other rows came than
    were promised.
    """
    require_format(path)
    text = json.dumps(dict(metadata))
    with replacing(path) as hidden:
        kind = (
            _Npz(hidden, rows, records, width, longest_name)
            if _suffix(path) == ".npz"
            else _Parquet(hidden, width, text)
        )
        with kind:
            yield kind
            if (kind.count, kind.records) != (rows, records):
                raise DataError(
                    f"{path}: {kind.records:,} records came, where there were {records:,} before: "
                    "did the input change meanwhile?"
                )
            kind.finish(text)


def require_format(path: str | Path) -> None:
    """UsageError for a name that ends in neither of the formats, and for Parquet without pyarrow."""
    if _suffix(path) not in SUFFIXES:
        raise UsageError(f"-o {path}: embeddings are written to a file that ends in .npz or .parquet")
    if _suffix(path) == ".parquet":
        try:
            import pyarrow.parquet  # noqa: F401
        except ImportError as error:
            raise UsageError(
                f"-o {path}: Parquet is written by pyarrow, which is not installed: pip install 'seqdiff[parquet]', "
                "or write .npz"
            ) from error


def _suffix(path: str | Path) -> str:
    return Path(path).suffix.lower()


class _Npz:
    """The largest array goes to the archive at once, the others wait in temporary files."""

    def __init__(self, file: Path, rows: int, records: int, width: int, longest_name: int):
        self._stack = ExitStack()
        self._archive = self._stack.enter_context(zipfile.ZipFile(file, "w", zipfile.ZIP_STORED))
        self._large = self._archive.open(zipfile.ZipInfo("embeddings.npy", _DATE), "w", force_zip64=True)
        _header(self._large, np.dtype("<f4"), (rows, width))
        self._columns: dict[str, tuple[BinaryIO, np.dtype]] = {}
        self._name = np.dtype(f"<U{max(1, longest_name)}")
        self.count = self.records = 0

    def __enter__(self) -> "_Npz":
        return self

    def __exit__(self, *error: Any) -> None:
        if not self._large.closed:
            self._large.close()
        self._stack.__exit__(*error)

    def record(self, name: str, length: int) -> None:
        self._append("names", np.array([bytes_of(name).decode("utf-8", "replace")], self._name))
        self._append("lengths", np.array([length], np.int64))
        self._append("offsets", np.array([self.count], np.int64))
        self.records += 1

    def rows(self, vectors: Float32[np.ndarray, "n D"], **columns: np.ndarray) -> None:
        self._large.write(np.ascontiguousarray(vectors, "<f4").tobytes())
        for name, values in columns.items():
            self._append(name, values)
        self.count += len(vectors)

    def finish(self, metadata: str) -> None:
        self._large.close()
        self._append("offsets", np.array([self.count], np.int64))
        self._append("metadata", np.array(metadata))
        for name, (file, dtype) in self._columns.items():
            size = file.tell() // dtype.itemsize
            file.seek(0)
            with self._archive.open(zipfile.ZipInfo(f"{name}.npy", _DATE), "w", force_zip64=True) as member:
                _header(member, dtype, () if name == "metadata" else (size,))
                while block := file.read(1 << 20):
                    member.write(block)

    def _append(self, name: str, values: np.ndarray) -> None:
        if name not in self._columns:
            file = self._stack.enter_context(tempfile.TemporaryFile(prefix="seqdiff-"))  # noqa: SIM115
            self._columns[name] = file, values.dtype
        file, dtype = self._columns[name]
        file.write(np.ascontiguousarray(values, dtype).tobytes())


def _header(file: Any, dtype: np.dtype, shape: tuple[int, ...]) -> None:
    description = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, description)


class _Parquet:
    """Rows wait until they make a row group."""

    def __init__(self, file: Path, width: int, metadata: str):
        self._path, self._width, self._metadata = file, width, metadata
        self._stack = ExitStack()
        self._writer: Any = None
        self._waiting: list[tuple[str, np.ndarray, dict[str, np.ndarray]]] = []
        self._held = 0
        self.count = self.records = 0

    def __enter__(self) -> "_Parquet":
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def record(self, name: str, length: int) -> None:
        self._name, self._length = bytes_of(name).decode("utf-8", "replace"), length
        self.records += 1

    def rows(self, vectors: Float32[np.ndarray, "n D"], **columns: np.ndarray) -> None:
        at_once = max(1, GROUP_BYTES // (4 * self._width))
        columns = {"length": np.full(len(vectors), self._length), **columns}
        for first in range(0, len(vectors), at_once):
            part = slice(first, first + at_once)
            chosen = {name: values[part] for name, values in columns.items()}
            self._waiting.append((self._name, np.ascontiguousarray(vectors[part]), chosen))
            self._held += len(self._waiting[-1][1])
            if self._held >= at_once:
                self._flush()
        self.count += len(vectors)

    def finish(self, metadata: str) -> None:
        if self._waiting or self._writer is None:
            self._flush()
        self._stack.close()

    def _flush(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        names = [name for name, vectors, _ in self._waiting for _ in range(len(vectors))]
        table = {"name": pa.array(names, pa.string())}
        for column in self._waiting[0][2] if self._waiting else ():
            values = np.concatenate([each[column] for *_, each in self._waiting])
            table[column] = pa.array(values.astype(str).tolist() if values.dtype.kind in "SU" else values)
        flat = np.concatenate([vectors.reshape(-1) for _, vectors, _ in self._waiting] or [np.empty(0, np.float32)])
        table["embedding"] = pa.FixedSizeListArray.from_arrays(pa.array(flat, pa.float32()), self._width)
        group = pa.table(table).replace_schema_metadata({"seqdiff": self._metadata})
        if self._writer is None:
            self._writer = self._stack.enter_context(pq.ParquetWriter(self._path, group.schema))
        self._writer.write_table(group)
        self._waiting, self._held = [], 0
