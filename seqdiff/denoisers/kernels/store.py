"""Where compiled kernels are kept between processes.

    $SEQDIFF_CACHE/kernels-UID/DIGEST/scan.forward

The digest is that of everything that decides the code: the sources of this package, the versions of numba, llvmlite
and Python, and the CPU; so machines of different kinds can share one home, and edited kernels never meet old code.
A file appears whole or not at all and holds the checksum of its content; a damaged one counts as absent. Only what
this user owns and nobody else can write is loaded. Where no file can be kept, every process compiles for itself.
"""

import contextlib
import fcntl
import hashlib
import logging
import os
import platform
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from seqdiff import resources
from seqdiff.denoisers.kernels import machine
from seqdiff.errors import DataError
from seqdiff.files import explain

logger = logging.getLogger("seqdiff")

PATIENCE = 60
"""Seconds to wait for another process that compiles; a kernel takes one or two."""
KEPT = 16
"""Digests that are kept, the last used ones: about 100 KB each."""
_DIGEST = re.compile(r"[0-9a-f]{32}")
_SETTINGS = ("NUMBA_OPT", "NUMBA_LOOP_VECTORIZE", "NUMBA_SLP_VECTORIZE")

_used: Path | None = None
_complaints: dict[Path, str] = {}


def _digest() -> str | None:
    """None where there are no sources to tell old code from new."""
    sources = sorted(Path(__file__).parent.glob("*.py"))
    if not sources:
        return None
    parts = [platform.python_implementation(), platform.python_version(), version("numba"), version("llvmlite")]
    parts += [machine.described(), *(os.environ.get(name, "") for name in _SETTINGS)]
    digest = hashlib.sha256("\n".join(parts).encode())
    for path in sources:
        content = path.read_bytes()
        digest.update(f"\n{path.name} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:32]


DIGEST = _digest()
"""As of now, before any kernel is imported: sources that change later are not those of this process."""


def read(kernel: str) -> bytes | None:
    """The code of a kernel, or None."""
    for folder in _folders():
        with contextlib.suppress(OSError):
            if _private(folder.parent) and _private(folder) and (code := _content(folder / kernel, kernel)) is not None:
                _use(folder)
                return code
    return None


def write(kernel: str, code: bytes) -> None:
    """Keep the code of a kernel, if there is a place and the sources are still those that were imported."""
    if _digest() != DIGEST:
        logger.debug("the sources of the kernels have changed: %s is not kept", kernel)
        return
    for folder in _folders():
        try:
            _make(folder)
            number, temporary = tempfile.mkstemp(dir=folder, prefix=f".{kernel}.", suffix=".partial")
            try:
                with open(number, "wb") as file:
                    file.write(_head(kernel, code) + code)
                    file.flush()
                    os.fsync(number)
                os.replace(temporary, folder / kernel)
            except BaseException:
                os.unlink(temporary)
                raise
        except OSError as error:
            _complain(folder, error)
            continue
        _use(folder)
        _prune(folder.parent)
        return
    logger.debug("compiled kernels cannot be kept: %s", status())


@contextlib.contextmanager
def alone(kernel: str) -> Iterator[bool]:
    """One process at a time compiles; whether there is a place to keep the result.

    Whoever waits goes on as soon as the kernel is there, or after PATIENCE seconds, or where the file system has no
    locks: two processes may then compile the same, which costs time and harms nothing.
    """
    lock = None
    try:
        for folder in _folders():
            try:
                _make(folder)
                lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
                break
            except OSError as error:
                _complain(folder, error)
        end = time.monotonic() + PATIENCE
        while lock is not None and time.monotonic() < end and read(kernel) is None:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(0.05)
            except OSError:
                break
        yield lock is not None
    finally:
        if lock is not None:
            os.close(lock)


def status() -> str:
    """Where kernels are kept, or why they are not."""
    if _used:
        return str(_used)
    if DIGEST is None:
        return "nowhere: the sources of the kernels are not installed"
    reasons = "; ".join(f"{place}: {why}" for place, why in _complaints.items())
    return f"nowhere, every process compiles them ({reasons or 'the sources have changed'})"


def _folders() -> list[Path]:
    """Where kernels may be kept, the best place first."""
    if DIGEST is None:
        return []
    roots = []
    with contextlib.suppress(DataError):
        roots.append(resources.cache_folder() / f"kernels-{os.geteuid()}")
    with contextlib.suppress(OSError):
        roots.append(Path(tempfile.gettempdir()) / f"seqdiff-kernels-{os.geteuid()}")
    return [root / DIGEST for root in roots]


def _make(folder: Path) -> None:
    """Raises OSError where the folder cannot be made, or is not this user's alone."""
    folder.parent.parent.mkdir(parents=True, exist_ok=True)
    for part in (folder.parent, folder):
        with contextlib.suppress(FileExistsError):
            part.mkdir(mode=0o700)
        if not _private(part):
            raise PermissionError(None, f"{part} is not yours, or others can write there")


def _private(path: Path) -> bool:
    found = path.lstat()
    return stat.S_ISDIR(found.st_mode) and _own(found)


def _own(found: os.stat_result) -> bool:
    return found.st_uid == os.geteuid() and not found.st_mode & 0o022


def _content(path: Path, kernel: str) -> bytes | None:
    """What a file holds after its head, if it is whole and ours."""
    with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode) or not _own(found):
            return None
        whole = file.read()
    size = len(_head(kernel, b""))
    code = whole[size:]
    return code if code and whole[:size] == _head(kernel, code) else None


def _head(kernel: str, code: bytes) -> bytes:
    return f"seqdiff {DIGEST} {kernel} {hashlib.sha256(code).hexdigest()}\n".encode()


def _use(folder: Path) -> None:
    """Remember the folder, and in its time that it was used; a day is exact enough."""
    global _used
    if _used == folder:
        return
    _used = folder
    with contextlib.suppress(OSError):
        if time.time() - folder.stat().st_mtime > 24 * 3600:
            os.utime(folder)


def _complain(folder: Path, error: OSError) -> None:
    _complaints[folder.parent] = explain(error)


def _prune(root: Path) -> None:
    with contextlib.suppress(OSError):
        folders = [path for path in root.iterdir() if _DIGEST.fullmatch(path.name) and path.name != DIGEST]
        folders.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        for path in folders[KEPT - 1 :]:
            shutil.rmtree(path, ignore_errors=True)
