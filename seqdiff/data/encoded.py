"""The file that holds encoded sequences or images, made in one pass over their source and memory-mapped from then on.

    codes, 1 byte a letter | padding to 8 | words, int64 | footer, JSON | digest of both | length of footer | magic

Codes come first, so that letter p of all sequences is byte p of the file. What the words are is the affair of a
`Layout`: a genome has the edges of its unknown stretches there, proteins a table with a row a record. The footer
(schema 2) says what was encoded, from which state of the source, with which alphabet.

    FASTA -> `encoded` -> the file beside it, or in a cache folder -> np.memmap
"""

import contextlib
import errno
import fcntl
import glob
import hashlib
import json
import logging
import os
import struct
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int64, UInt8

from seqdiff.alphabet import Alphabet
from seqdiff.data.output import Output
from seqdiff.data.source import Source, name_of
from seqdiff.errors import DataError
from seqdiff.files import explain
from seqdiff.resources import cache_folder, is_installed

log = logging.getLogger("seqdiff")

SCHEMA = 2
_MAGIC = b"seqdiff1"
_TAIL = struct.Struct("<16sQ8s")


class NotEncoded(Exception):
    """A file that does not hold what was asked for; the message says why. Never reaches a user."""


class Encoded(NamedTuple):
    """What the file holds, memory-mapped but for the footer."""

    footer: dict[str, Any]
    codes: UInt8[np.ndarray, " letters"]
    words: Int64[np.ndarray, " words"]


@runtime_checkable
class Layout(Protocol):
    """What is encoded, and how its words are laid out."""

    content: str
    """What the footer calls it: genome, proteins."""
    suffix: str
    """What is added to the name of the FASTA file."""
    alphabet: Alphabet

    def encode(self, source: Any, out: Output, words: BinaryIO) -> dict[str, Any]:
        """Writes codes to `out` and words to `words`; the footer, with the `checksum` and the number of `letters` and
        `words`. Raises DataError for what is no FASTA of this alphabet."""

    def table(self) -> bytes:
        """What it makes of every byte: another table is another encoding."""


@dataclass(frozen=True)
class Origin:
    """What is encoded, where that is no single text file."""

    state: Callable[[], dict[str, int]]
    """What tells one state of it from another."""
    open: Callable[[], contextlib.AbstractContextManager[Any]]
    """What the layout's `encode` reads."""


def encoded(
    path: str | Path, layout: Layout, progress: Callable[[int], None] | None = None, *, origin: Origin | None = None
) -> Encoded:
    """A FASTA file's sequences, plain, gzip or bgzip; encodes them where that was not done before. With an `origin`,
    what stands at `path` is read by that.

    `progress` is called while encoding with the bytes of the file read so far (`source.size_of`: the total). Of
    several processes that ask at once, one encodes and the others wait.

    Raises DataError: no such file, damage, whatever the layout refuses, no room.
    """
    path = Path(path)
    if origin is None and not os.path.isfile(path):
        if str(path) == "-" or (os.path.exists(path) and not os.path.isdir(path)):
            raise DataError(f"{name_of(path)} is no regular file: save the {layout.content} to a file first")
        with Source(path):  # says what is wrong with the path
            pass
    origin = origin or _file(path, progress)
    status = origin.state()
    complaint = None
    for target in places(path, layout.suffix):
        try:
            return read(target, layout, status)
        except NotEncoded as error:
            complaint = complaint or (f"{target} {error}" if target.exists() else None)
    if complaint:
        log.warning("%s; encoding %s again", complaint, path)
    return _encode(path, layout, origin)


def _file(path: Path, progress: Callable[[int], None] | None = None) -> Origin:
    return Origin(lambda: state(os.stat(path)), lambda: Source(path, progress=progress))


def _encode(path: Path, layout: Layout, origin: Origin) -> Encoded:
    target, locked = _first_writable(path, layout)
    with locked as alone:
        with contextlib.suppress(NotEncoded):  # another process may have been faster
            return read(target, layout, origin.state())
        log.info("encoding %s (once) into %s", path, target)
        if alone:  # what a process left that was killed while encoding
            for left in target.parent.glob(f".{glob.escape(target.name)}.*.partial"):
                left.unlink(missing_ok=True)
        write(path, target, layout, origin=origin)
    try:
        return read(target, layout, origin.state())
    except NotEncoded as error:
        raise DataError(f"{target} {error} right after it was made: did {path} change?") from error


def write(
    source_path: Path,
    target: Path,
    layout: Layout,
    progress: Callable[[int], None] | None = None,
    *,
    origin: Origin | None = None,
) -> None:
    """Encodes a FASTA into `target`, which appears whole or not at all. Memory does not grow with the file.

    Raises DataError: whatever `fasta.pieces` and the layout raise, a source that changes meanwhile, a full disk.
    """
    origin = origin or _file(source_path, progress)
    begun = origin.state()
    with origin.open() as source, Output(target) as out:
        try:
            with tempfile.TemporaryFile(dir=target.parent) as words:
                footer = {"schema": SCHEMA, "content": layout.content, "alphabet": signature(layout)}
                footer |= layout.encode(source, out, words)
                out.write(bytes(-footer["letters"] % 8))
                digest = digest_of()
                words.seek(0)
                while block := words.read(1 << 20):
                    digest.update(block)
                    out.write(block)
        except OSError as error:
            raise DataError(f"cannot write {target}: {explain(error)}") from error
        footer["source"] = begun
        if origin.state() != begun:
            raise DataError(f"{source_path} changed while it was read; try again when it is complete")
        text = json.dumps(footer).encode()
        digest.update(text)
        out.write(text + _TAIL.pack(digest.digest(), len(text), _MAGIC))


def read(path: Path, layout: Layout, source: dict[str, int]) -> Encoded:
    """What the file holds, memory-mapped. Raises NotEncoded where that is not to be had."""
    try:
        data = np.memmap(path, np.uint8, "r").view(np.ndarray)
    except (OSError, ValueError) as error:
        raise NotEncoded("is empty or cannot be read") from error
    if data.size < _TAIL.size:
        raise NotEncoded("is cut short")
    digest, length, magic = _TAIL.unpack(data[-_TAIL.size :].tobytes())
    end = data.size - _TAIL.size
    if magic != _MAGIC or length > end:
        raise NotEncoded("is cut short or damaged")
    text = data[end - length : end].tobytes()
    try:
        footer = json.loads(text)
        schema = footer["schema"]
        if schema != SCHEMA:
            raise NotEncoded(f"has schema {schema}, this version reads {SCHEMA}")
        letters, words = footer["letters"], footer["words"]
        begin = letters + -letters % 8
    except (ValueError, KeyError, TypeError) as error:
        raise NotEncoded("is damaged") from error
    if begin + 8 * words + length != end:
        raise NotEncoded("is cut short or damaged")
    table = data[begin : begin + 8 * words]
    whole = digest_of()
    for first in range(0, table.size, 1 << 24):
        whole.update(table[first : first + (1 << 24)])
    whole.update(text)
    if whole.digest() != digest:
        raise NotEncoded("is damaged")
    if [footer["content"], footer["alphabet"]] != [layout.content, signature(layout)]:
        raise NotEncoded(f"holds another alphabet than {layout.alphabet.name}")
    if footer["source"] != source:
        raise NotEncoded("is older than the file it was made from")
    return Encoded(footer, data[:letters], table.view(np.int64))


def state(status: os.stat_result) -> dict[str, int]:
    """What tells one state of a file from another."""
    return {"size": status.st_size, "mtime_ns": status.st_mtime_ns}


def signature(layout: Layout) -> list[str]:
    """An alphabet's name and what the layout makes of every byte."""
    return [layout.alphabet.name, digest_of(layout.table()).hexdigest()]


def digest_of(data: bytes = b"") -> "hashlib.blake2b":
    """BLAKE2b, 16 bytes."""
    return hashlib.blake2b(data, digest_size=16)


def places(path: Path, suffix: str) -> list[Path]:
    """Where the encoded file may lie: beside the FASTA, or in the cache folder, first where it came with the package.
    A user without a home or `SEQDIFF_CACHE` has no cache."""
    whole = path.absolute()
    key = hashlib.blake2b(os.fsencode(whole), digest_size=6).hexdigest()
    beside, cached = whole.with_name(whole.name + suffix), []
    with contextlib.suppress(DataError):
        cached.append(cache_folder() / f"{whole.stem}-{key}{suffix}")
    return [*cached, beside] if is_installed(path) else [beside, *cached]


def _first_writable(path: Path, layout: Layout) -> tuple[Path, contextlib.AbstractContextManager[bool]]:
    """The first place that can be written, locked. Raises DataError: none of them, or another failure of one."""
    found = places(path, layout.suffix)
    beside = path.absolute().parent
    for target in found:
        try:
            if target.parent != beside:
                target.parent.mkdir(parents=True, exist_ok=True)
            return target, _lock(target)
        except OSError as error:
            last = error
            if target.parent == beside and error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise DataError(f"cannot write {target}: {explain(error)}") from error
        if target is not found[-1]:
            log.info("%s cannot be written; using %s", target.parent, found[-1].parent)
    folders = " and ".join(str(target.parent) for target in found)
    raise DataError(
        f"no place for the encoded {path}: {folders} cannot be written ({explain(last)}); set SEQDIFF_CACHE to a "
        "folder that can"
    )


def _lock(target: Path) -> contextlib.AbstractContextManager[bool]:
    """One process at a time: whether that holds. Without locks on a file system all encode, which is harmless.

    Raises OSError where the folder cannot be written.
    """
    path = target.with_name(target.name + ".lock")
    number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)

    @contextlib.contextmanager
    def held() -> Iterator[bool]:
        alone = False
        try:
            with contextlib.suppress(OSError):
                try:
                    fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    log.info("another process is encoding %s: waiting for it", target)
                    fcntl.flock(number, fcntl.LOCK_EX)
                # A lock file that was removed meanwhile keeps nobody out.
                alone = os.path.samestat(os.fstat(number), os.stat(path))
            yield alone
        finally:
            # Removed while held: whoever waits for it looks for the encoded file first.
            with contextlib.suppress(OSError):
                path.unlink()
            os.close(number)

    return held()
