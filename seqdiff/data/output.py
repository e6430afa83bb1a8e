"""Writing: an `Output` appears whole or not at all.

    data -> (bgzip blocks if the name ends in .gz) -> hidden file beside the target -> fsync -> rename

A full disk, an error or Ctrl-C leaves the previous file as it was, and nothing beside it.
"""

import contextlib
import os
import stat
import struct
import sys
import zlib
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from seqdiff.data.source import BGZF_END
from seqdiff.errors import DataError
from seqdiff.files import explain, replacing

_BUFFER = 1 << 20


class Output:
    """A file being written, as a context manager; `-` or None is stdout.

    A name that ends in `.gz` or `.bgz` is written as bgzip, which every gzip reader reads and which
    `samtools faidx` can index. Devices, pipes and `/dev/stdout` are written to directly. The output may
    be the file that is being read.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with Output(f"{folder}/a.fa") as out:
    ...         out.write(b">a\\nACGT\\n")
    ...     Path(f"{folder}/a.fa").read_bytes()
    b'>a\\nACGT\\n'

    Raises DataError where it cannot be written. A closed pipe stays a BrokenPipeError: the command line
    ends quietly on it.
    """

    def __init__(self, path: str | Path | None):
        self.path = None if path is None or str(path) in ("-", "/dev/stdout") else Path(path)
        self.name = "standard output" if self.path is None else str(self.path)
        self._compress = self.path is not None and self.path.suffix in (".gz", ".bgz")
        self._replacing: contextlib.AbstractContextManager[Path] | None = None
        self._hidden: Path | None = None
        self._file: BinaryIO | None = None
        self._pending = bytearray()

    def __enter__(self) -> "Output":
        try:
            self._open()
        except OSError as error:
            self._abandon()
            raise self._failure(error) from error
        return self

    def write(self, data: bytes) -> None:
        """Appends bytes."""
        assert self._file is not None, "an Output is written inside `with`"
        if not self._compress:
            return self._put(data)
        self._pending += data
        whole = len(self._pending) - len(self._pending) % _BGZF_TEXT
        for at in range(0, whole, _BGZF_TEXT):
            self._put(bgzf_block(bytes(self._pending[at : at + _BGZF_TEXT])))
        del self._pending[:whole]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self._abandon()

    def _open(self) -> None:
        if self.path is None:
            if sys.stdout is None:
                raise DataError("standard output is closed: give -o FILE")
            self._file = sys.stdout.buffer
            return
        status = self.path.stat() if self.path.exists() else None
        special = status is not None and not stat.S_ISREG(status.st_mode)
        if special or self.path.is_relative_to("/dev") or self.path.is_relative_to("/proc"):
            self._file = open(self.path, "wb", buffering=_BUFFER)  # noqa: SIM115
            return
        self._replacing = replacing(os.path.realpath(self.path))
        self._hidden = self._replacing.__enter__()
        self._file = open(self._hidden, "wb", buffering=_BUFFER)  # noqa: SIM115

    def _whole(self, hidden: Path) -> None:
        """What is done with the file when all is written and it has not yet taken its name."""

    def _put(self, data: bytes) -> None:
        try:
            self._file.write(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise self._failure(error) from error

    def _finish(self) -> None:
        if self._compress:
            if self._pending:
                self._put(bgzf_block(bytes(self._pending)))
            self._put(BGZF_END)
        try:
            self._file.flush()
            if self.path is not None:
                self._file.close()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise self._failure(error) from error
        if self._replacing is not None:
            self._whole(self._hidden)
            finishing, self._replacing = self._replacing, None
            finishing.__exit__(None, None, None)

    def _abandon(self) -> None:
        """Closes the file and removes what was not finished."""
        if self.path is not None and self._file is not None:
            with contextlib.suppress(OSError):  # what could not be flushed before fails again
                self._file.close()
        if self._replacing is not None:
            stopped = GeneratorExit()
            self._replacing.__exit__(GeneratorExit, stopped, None)
            self._replacing = None

    def _failure(self, error: OSError) -> DataError:
        return DataError(f"cannot write {self.name}: {explain(error)}")


_BGZF_TEXT = 0xFF00
"""Bytes of text in a bgzip block; even stored uncompressed they fit its 64 KiB."""


def bgzf_block(text: bytes, level: int = 6) -> bytes:
    """One bgzip block: a gzip member whose extra field holds its own size (SAM specification 4.1).

    >>> zlib.decompress(bgzf_block(b"ACGT"), 31)
    b'ACGT'
    """
    assert len(text) <= _BGZF_TEXT
    for strength in (level, 0):
        deflate = zlib.compressobj(strength, zlib.DEFLATED, -15)
        body = deflate.compress(text) + deflate.flush()
        if len(body) + 26 <= 1 << 16:
            break
    head = struct.pack("<4BI2BH2BHH", 31, 139, 8, 4, 0, 0, 255, 6, 66, 67, 2, len(body) + 25)
    return head + body + struct.pack("<II", zlib.crc32(text), len(text))
