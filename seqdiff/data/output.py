"""Writing: an `Output` appears whole or not at all.

    data -> (bgzip blocks if the name ends in .gz) -> hidden file beside the target -> fsync -> rename

A full disk, an error or Ctrl-C leaves the previous file as it was, and nothing beside it.
"""

import contextlib
import os
import secrets
import stat
import struct
import sys
import zlib
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from seqdiff.data.source import BGZF_END
from seqdiff.errors import DataError

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
        self._target: Path | None = None
        self._temporary: Path | None = None
        self._file: BinaryIO | None = None
        self._pending = bytearray()

    def __enter__(self) -> "Output":
        try:
            self._file = self._open()
        except (OSError, ValueError) as error:
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
            self._discard()

    def _open(self) -> BinaryIO:
        if self.path is None:
            if sys.stdout is None:
                raise DataError("standard output is closed: give -o FILE")
            return sys.stdout.buffer
        status = self.path.stat() if self.path.exists() else None
        special = status is not None and not stat.S_ISREG(status.st_mode)
        if special or self.path.is_relative_to("/dev") or self.path.is_relative_to("/proc"):
            return open(self.path, "wb", buffering=_BUFFER)
        self._target = Path(os.path.realpath(self.path))
        if not self._target.parent.is_dir():
            raise DataError(
                f"cannot write {self.path}: there is no folder {self._target.parent}; make it with mkdir -p"
            )
        temporary = self._target.with_name(f".{self._target.name[:40]}.{secrets.token_hex(6)}.part")
        number = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        self._temporary = temporary
        if status is not None:
            with contextlib.suppress(OSError):
                os.fchmod(number, stat.S_IMODE(status.st_mode))
        return open(number, "wb", buffering=_BUFFER)

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
            if self._temporary is not None:
                os.fsync(self._file.fileno())
                self._file.close()
                os.replace(self._temporary, self._target)
                self._temporary = None
                _sync_folder(self._target.parent)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise self._failure(error) from error

    def _discard(self) -> None:
        """Closes the file; removes what was not finished."""
        if self.path is not None and self._file is not None:
            with contextlib.suppress(OSError):  # flushing what cannot be written fails again
                self._file.close()
        if self._temporary is not None:
            with contextlib.suppress(OSError):
                self._temporary.unlink()
            self._temporary = None

    def _failure(self, error: Exception) -> DataError:
        reason = getattr(error, "strerror", None) or str(error)
        kept = "; the file that was there is unchanged" if self._target and self._target.exists() else ""
        return DataError(f"cannot write {self.name}: {reason}{kept}")


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


def _sync_folder(folder: Path) -> None:
    """Makes a rename survive a power cut, where the file system can."""
    with contextlib.suppress(OSError):
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)
