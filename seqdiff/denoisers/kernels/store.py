"""Where compiled kernels are kept between processes.

    $SEQDIFF_CACHE/kernels-UID/DIGEST/scan.forward

The digest is that of everything that decides the code: the sources of this package, the versions of numba, llvmlite
and Python, and the CPU; so machines of different kinds can share one home, and edited kernels never meet old code.
A file appears whole or not at all and holds the checksum of its content; a damaged one counts as absent. Only what
this user owns and nobody else can write is loaded. Where that folder cannot be used, a private one among the temporary
files serves; where no file can be kept at all, every process compiles for itself.
"""

import contextlib
import errno
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
from typing import NamedTuple

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

_ROOM = 100_000
"""Bytes that have to fit where kernels are to be kept: more than the largest one."""


class Place(NamedTuple):
    """A folder that may keep kernels, and how a person knows it: "SEQDIFF_CACHE=/data/cache"."""

    name: str
    folder: Path


_used: Place | None = None
_complaints: dict[str, str] = {}
"""Why a place, by its name, cannot be written in this process."""


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
    """The code of a kernel, or None. What lies in a later place counts only while no earlier one can be written."""
    for place in _places():
        folder = place.folder
        with contextlib.suppress(OSError):
            if _private(folder.parent) and _private(folder) and (code := _content(folder / kernel, kernel)) is not None:
                _use(place)
                return code
        if _promising(place):
            return None
    return None


def write(kernel: str, code: bytes) -> None:
    """Keep the code of a kernel, if there is a place and the sources are still those that were imported."""
    if _digest() != DIGEST:
        logger.debug("the sources of the kernels have changed: %s is not kept", kernel)
        return
    for place in _places():
        if place.name in _complaints:
            continue
        try:
            _make(place.folder)
            with _temporary(place.folder, kernel, _head(kernel, code) + code) as temporary:
                os.replace(temporary, place.folder / kernel)
        except OSError as error:
            _complain(place.name, explain(error))
            continue
        _use(place)
        _prune(place.folder.parent)
        return
    logger.debug("compiled kernels cannot be kept: %s", obstacles())


@contextlib.contextmanager
def alone(kernel: str) -> Iterator[bool]:
    """One process at a time compiles; whether there is a place to keep the result.

    Whoever waits goes on as soon as the kernel is there, or after PATIENCE seconds, or where the file system has no
    locks: two processes may then compile the same, which costs time and harms nothing.
    """
    lock = None
    try:
        for place in _places():
            if place.name in _complaints:
                continue
            try:
                _make(place.folder)
                # A full disk is found out now: what was kept in the next place is then read, not compiled again.
                with _temporary(place.folder, "room", os.urandom(_ROOM)):
                    pass
                lock = os.open(place.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
                break
            except OSError as error:
                _complain(place.name, explain(error))
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
    """Where kernels are kept and why not in the place before, or why they are not kept."""
    if _used:
        others = {name: why for name, why in _complaints.items() if name != _used.name}
        return f"{_used.folder} ({_listed(others)})" if others else str(_used.folder)
    return f"nowhere, every process compiles them ({obstacles()})"


def obstacles() -> str:
    """Why there is no place to keep kernels."""
    if DIGEST is None:
        return "the sources of the kernels are not installed"
    return _listed(_complaints) or "the sources have changed"


def _listed(complaints: dict[str, str]) -> str:
    return "; ".join(f"{name} cannot be used: {why}" for name, why in complaints.items())


def _places() -> list[Place]:
    """Where kernels may be kept, the best place first."""
    if DIGEST is None:
        return []
    places = []
    chosen = os.environ.get("SEQDIFF_CACHE")
    try:
        cache = resources.cache_folder()
    except DataError as error:
        _complain(f"SEQDIFF_CACHE={chosen}" if chosen else "the user's cache", str(error))
    else:
        name = f"SEQDIFF_CACHE={chosen}" if chosen else str(cache)
        places.append(Place(name, cache / f"kernels-{os.geteuid()}" / DIGEST))
    with contextlib.suppress(OSError):
        root = Path(tempfile.gettempdir()) / f"seqdiff-kernels-{os.geteuid()}"
        places.append(Place(str(root), root / DIGEST))
    return places


def _promising(place: Place) -> bool:
    """Whether kernels could be kept in a place, as far as that can be told before writing."""
    if place.name in _complaints:
        return False
    try:
        for part in (place.folder.parent, place.folder):
            with contextlib.suppress(FileNotFoundError):
                _claim(part)
        nearest = next(path for path in (place.folder, *place.folder.parents) if path.exists())
        if not nearest.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, f"{nearest} is not a folder")
        if not os.access(nearest, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, "Permission denied")
    except OSError as error:
        _complain(place.name, explain(error))
        return False
    return True


def _make(folder: Path) -> None:
    """Raises OSError where the folder cannot be made, or is not this user's alone."""
    folder.parent.parent.mkdir(parents=True, exist_ok=True)
    for part in (folder.parent, folder):
        with contextlib.suppress(FileExistsError):
            part.mkdir(mode=0o700)
        _claim(part)


def _claim(part: Path) -> None:
    """Raises OSError where a folder is not this user's alone."""
    if not _private(part):
        raise PermissionError(None, f"{part} is not yours, or others can write there")


@contextlib.contextmanager
def _temporary(folder: Path, name: str, content: bytes) -> Iterator[str]:
    """The path of a file that is on the disk, and is gone afterwards if it has no other name by then."""
    number, temporary = tempfile.mkstemp(dir=folder, prefix=f".{name}.", suffix=".partial")
    try:
        with open(number, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(number)
        yield temporary
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)


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


def _use(place: Place) -> None:
    """Remember the place, and in its time that it was used; a day is exact enough."""
    global _used
    if _used == place:
        return
    _used = place
    with contextlib.suppress(OSError):
        if time.time() - place.folder.stat().st_mtime > 24 * 3600:
            os.utime(place.folder)


def _complain(name: str, why: str) -> None:
    """Remember why a place cannot be used; of one that was chosen on purpose it is said, once in a process."""
    if name not in _complaints and name.startswith("SEQDIFF_CACHE="):
        logger.warning("%s cannot be used for compiled kernels: %s", name, why)
    _complaints[name] = why


def _prune(root: Path) -> None:
    with contextlib.suppress(OSError):
        folders = [path for path in root.iterdir() if _DIGEST.fullmatch(path.name) and path.name != DIGEST]
        folders.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        for path in folders[KEPT - 1 :]:
            shutil.rmtree(path, ignore_errors=True)
