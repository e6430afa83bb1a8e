"""A file that grows while a run goes on, whatever its disk says."""

import logging
import os
from pathlib import Path
from typing import BinaryIO

from seqdiff.errors import DataError
from seqdiff.files import explain

logger = logging.getLogger("seqdiff")


class Appended:
    """Appends bytes. What cannot be written, as on a full disk, is said once and waits until it can be: what counts is
    that it is there before a save is, which `flush` sees to. Raises DataError where the file cannot be opened."""

    def __init__(self, path: Path):
        self._path = path
        self._waiting = b""
        try:
            self._file: BinaryIO = open(path, "ab", buffering=0)  # noqa: SIM115 - closed in close()
        except OSError as error:
            raise DataError(f"{path}: cannot be written: {explain(error)}") from error

    def write(self, content: bytes) -> None:
        """Now, or as soon as it can be."""
        said = bool(self._waiting)
        self._waiting += content
        try:
            self._write()
        except OSError as error:
            if not said:
                logger.warning("%s: cannot be written now: %s (training goes on)", self._path, explain(error))

    def flush(self) -> None:
        """See that everything is on the disk. Raises DataError where it cannot be."""
        try:
            self._write()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise DataError(f"{self._path}: cannot be written: {explain(error)}") from error

    def close(self) -> None:
        try:
            self._write()
        except OSError:
            pass  # has been said already
        finally:
            self._file.close()

    def _write(self) -> None:
        """Write what waits; of what the disk takes a part of, the rest goes on waiting."""
        while self._waiting:
            self._waiting = self._waiting[self._file.write(self._waiting) :]
