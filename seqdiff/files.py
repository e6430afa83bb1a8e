"""Files that appear whole under their name, or not at all, so that nothing is ever half there; and their checksum."""

import errno
import fcntl
import hashlib
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from seqdiff.errors import DataError


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary file beside `path` to write; on leaving it is flushed to disk and takes the name.

    If the block fails, the temporary file goes and what stood at `path` stays as it was. A link is followed, the
    mode of an existing file is kept, and a device or a pipe is written into, never replaced. Raises DataError when
    the folder cannot be written or the disk is full.

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with replacing(Path(folder) / "a.txt") as temporary:
    ...         _ = temporary.write_text("whole")
    ...     [p.name for p in Path(folder).iterdir()]
    ['a.txt']
    """
    target = Path(os.path.realpath(path))
    temporary = None
    try:
        mode = target.stat().st_mode if target.exists() else None
        special = mode is not None and not stat.S_ISREG(mode)
        if stat.S_ISDIR(mode or 0):
            raise IsADirectoryError(errno.EISDIR, "is a folder")
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            dir=None if special else target.parent, prefix=f".{target.name[:40]}.", suffix=".partial"
        )
        os.close(handle)
        temporary = Path(name)
        yield temporary
        if special:
            with open(temporary, "rb") as written, open(target, "wb") as device:
                shutil.copyfileobj(written, device)
            _discard(temporary)
            return
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        os.chmod(temporary, stat.S_IMODE(mode) if mode is not None else 0o666 & ~_umask())
        os.replace(temporary, target)
        _sync_folder(target.parent)
    except BrokenPipeError:
        _discard(temporary)
        raise
    except OSError as error:
        _discard(temporary)
        raise DataError(f"{path}: cannot be written: {explain(error)}") from error
    except BaseException:
        _discard(temporary)
        raise


@contextmanager
def appearing(path: str | Path) -> Iterator[Path]:
    """A temporary folder beside `path` to fill; on leaving it takes the name, so that it appears whole or not at all.

    If the block fails, the temporary folder goes; what a killed process left of one is cleared away. Raises DataError
    as `require_vacant` does, when another process is making the same folder, when the parent of `path` cannot be
    written, or when the disk is full.

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with appearing(Path(folder) / "run") as temporary:
    ...         _ = (temporary / "a.txt").write_text("whole")
    ...     [str(p.relative_to(folder)) for p in Path(folder).rglob("*")]
    ['run', 'run/a.txt']
    """
    target = Path(os.path.realpath(path))
    temporary, handle = None, -1
    try:
        require_vacant(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        _clear_left(path, target)
        temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name[:40]}.", suffix=".partial"))
        handle = os.open(temporary, os.O_RDONLY)
        _lock(handle)
        yield temporary
        os.chmod(temporary, 0o777 & ~_umask())
        os.replace(temporary, target)
        _sync_folder(target.parent)
    except OSError as error:
        _discard_folder(temporary)
        raise DataError(f"{path}: cannot be written: {explain(error)}") from error
    except BaseException:
        _discard_folder(temporary)
        raise
    finally:
        if handle >= 0:
            os.close(handle)


def require_vacant(path: str | Path) -> None:
    """DataError when a folder cannot appear at `path`: something other than an empty folder is there, or it would lie
    in what is no folder."""
    target = Path(os.path.realpath(path))
    try:
        taken = target.exists() and (not target.is_dir() or any(target.iterdir()))
        nearest = _nearest(target.parent)
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {explain(error)}") from error
    if taken:
        raise DataError(f"{path} exists already and is not overwritten: choose another name, or remove it")
    if not nearest.is_dir():
        raise DataError(f"{path}: cannot be made: {nearest} is not a folder; choose another name")


def checksum(path: str | Path) -> str:
    """Of a file's bytes (BLAKE2b, 16 bytes, hexadecimal), which are never all in memory. Raises OSError.

    >>> checksum(os.devnull)
    'cae66941d9efbd404e4d88758ea67670'
    """
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def sha256(path: str | Path) -> str:
    """Of a file's bytes, as `sha256sum` gives it, for people to compare. Raises OSError.

    >>> sha256(os.devnull)[:16]
    'e3b0c44298fc1c14'
    """
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def explain(error: OSError) -> str:
    """What an OSError means for a person, with the cure where there is one."""
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return "the disk is full (or the quota used up); free some space and run again"
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return "no permission to write there"
        case errno.EISDIR:
            return "this is a folder"
        case errno.EEXIST | errno.ENOTDIR if error.filename:
            return f"{_nearest(Path(error.filename))} is not a folder"
        case _:
            return error.strerror or str(error)


def _nearest(path: Path) -> Path:
    """The path, or what exists of it."""
    return next(part for part in (path, *path.parents) if part.exists())


def _clear_left(path: str | Path, target: Path) -> None:
    """Remove what killed processes left of the folder `target`. DataError where one is at work on it."""
    pattern = re.compile(rf"\.{re.escape(target.name[:40])}\.[a-z0-9_]{{8}}\.partial")
    for left in [entry for entry in target.parent.iterdir() if pattern.fullmatch(entry.name) and entry.is_dir()]:
        try:
            handle = os.open(left, os.O_RDONLY)
        except FileNotFoundError:  # just finished
            continue
        try:
            alone = _lock(handle)
            if alone is False:
                raise DataError(f"{path}: another process is making it just now; wait for it, or choose another name")
            if alone:
                shutil.rmtree(left, ignore_errors=True)
        finally:
            os.close(handle)


def _lock(handle: int) -> bool | None:
    """Hold a folder until it is closed, or this process ends; False where another process does, None where the file
    system has no locks."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _discard(temporary: Path | None) -> None:
    if temporary is not None:
        temporary.unlink(missing_ok=True)


def _discard_folder(temporary: Path | None) -> None:
    if temporary is not None:
        shutil.rmtree(temporary, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable; some file systems do not offer this, and then there is nothing to do."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        pass
    finally:
        os.close(handle)
