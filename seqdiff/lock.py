"""A folder held by one process: a lock that the system takes back when the process ends, however it ends.

The lock is on the file `.lock` in the folder, whose text says who holds it. Where the file system has no locks (some
network file systems), that text is all there is: it stops a second process of the same machine, and for one that was
left behind by another machine there is a warning.
"""

import errno
import fcntl
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from seqdiff.errors import DataError, TrainingError
from seqdiff.files import explain

logger = logging.getLogger("seqdiff")

NAME = ".lock"


class Lock:
    """The lock of a folder, while it is held."""

    def __init__(self, folder: Path, handle: int):
        self._folder, self._handle = folder, handle

    def check(self) -> None:
        """DataError where the folder has gone since, or another one stands in its place."""
        with suppress(OSError):
            if os.path.samestat(os.stat(self._folder / NAME), os.fstat(self._handle)):
                return
        raise DataError(
            f"{self._folder}: this folder was moved or removed while it was being written to; stopped. Put it back, "
            "if it has been moved, and run again"
        )


@contextmanager
def held(folder: Path) -> Iterator[Lock]:
    """Hold a folder, which is made if it is missing, for the length of the block.

    Raises TrainingError where another process holds it, DataError where it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / NAME, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise DataError(f"{folder}: cannot be written: {explain(error)}") from error
    try:
        _take(folder, handle)
        try:
            _sign(
                handle, f"process {os.getpid()} on {socket.gethostname()} since {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
            )
        except OSError as error:
            raise DataError(f"{folder}: cannot be written: {explain(error)}") from error
        try:
            yield Lock(folder, handle)
        finally:
            with suppress(OSError):
                _sign(handle, "")
    finally:
        os.close(handle)


def _take(folder: Path, handle: int) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return
    except BlockingIOError:
        raise _refusal(folder, _signed(handle) or "another process") from None
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL):
            raise DataError(f"{folder / NAME}: cannot be locked: {explain(error)}") from error
    owner = _signed(handle)
    if not owner:
        return
    _, number, _, host, *_ = f"{owner}     ".split(" ")
    if host != socket.gethostname():
        logger.warning(
            "%s is on a file system without locks, and by its .lock %s was the last to write: make sure that nothing "
            "writes to it there any more", folder, owner,
        )  # fmt: skip
    elif number.isdigit() and int(number) != os.getpid() and _lives(int(number)):
        raise _refusal(folder, owner)


def _refusal(folder: Path, owner: str) -> TrainingError:
    return TrainingError(f"{folder}: {owner} is training into this folder; wait for it, or choose another --out")


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _signed(handle: int) -> str:
    return os.pread(handle, 200, 0).decode("utf-8", "replace").strip()


def _sign(handle: int, text: str) -> None:
    os.ftruncate(handle, 0)
    if text:
        os.pwrite(handle, f"{text}\n".encode(), 0)
