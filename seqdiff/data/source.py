"""Reading: a `Source` is the text of a file or of stdin, decompressed by content, in blocks.

    file or stdin -> raw chunks -> gzip members inflated -> binary refused -> newlines made "\\n"

Whatever is wrong with the bytes becomes a `DataError` that names the file. Nothing is decoded here, so
no text can fail to decode; `text_of` and `bytes_of` turn names into `str` and back byte for byte.
"""

import difflib
import io
import logging
import os
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from seqdiff.errors import DataError
from seqdiff.resources import folder

log = logging.getLogger("seqdiff")

BLANKS = b" \t\n\r\v\f"
BGZF_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
"""The empty block that ends a whole bgzip file (SAM specification 4.1.2)."""

_BLOCK = 1 << 20
_GZIP_BLOCK = 1 << 16
_GZIP = b"\x1f\x8b"
_MARK = b"\xef\xbb\xbf"
_FOREIGN = {
    b"BZh": "bzip2-compressed: decompress it first, as in `bzip2 -dc FILE | seqdiff ... -`",
    b"\xfd7zXZ": "xz-compressed: decompress it first, as in `xz -dc FILE | seqdiff ... -`",
    b"\x28\xb5\x2f\xfd": "zstd-compressed: decompress it first, as in `zstd -dc FILE | seqdiff ... -`",
    b"PK\x03\x04": "a zip archive: unpack it first",
    b"BCF\2": "BCF, binary VCF: convert it first, as in `bcftools view FILE | seqdiff variants --vcf - ...`",
    b"\xff\xfe": "UTF-16 text: convert it first, as in `iconv -f UTF-16 -t UTF-8 FILE`",
    b"\xfe\xff": "UTF-16 text: convert it first, as in `iconv -f UTF-16 -t UTF-8 FILE`",
    _MARK: "text that begins with a byte-order mark: remove it, as in `tail -c +4 FILE`",
}


class Source:
    """The bytes of a text file (`-`: stdin), gzip and bgzip decompressed by content.

    `name` is for messages. `position` counts the bytes read from the file so far, compressed as they are;
    `size` is what it will be at the end, None where that cannot be known (stdin, pipes). `byte_order_mark`: the text
    may begin with that of UTF-8, as spreadsheets write it, which is then left out; else it is refused.

    >>> import gzip, tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     _ = file.write(gzip.compress(b"one\\r\\ntwo")); file.flush()
    ...     with Source(file.name) as source:
    ...         print(list(source.lines()), source.position == source.size)
    [b'one', b'two'] True

    Raises DataError: missing, a folder, not readable, truncated or damaged gzip, binary.
    """

    def __init__(
        self, path: str | Path, *, progress: Callable[[int], None] | None = None, byte_order_mark: bool = False
    ):
        self.name = name_of(path)
        self.position = 0
        self._may_be_marked = byte_order_mark
        self._progress = progress
        self._file = _open(path)
        self.status = None if self._file is None else os.fstat(self._file.fileno())
        regular = self.status is not None and os.path.isfile(path)
        self.size = self.status.st_size if regular else None
        if self._file is None and sys.stdin is None:
            raise DataError("standard input is closed: give a file")

    def __enter__(self) -> "Source":
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def blocks(self) -> Iterator[bytes]:
        """The text in blocks of about a megabyte, newlines as they are. Can be read once."""
        head = b""
        while len(head) < len(BGZF_END) and (more := self._read(_GZIP_BLOCK)):
            head += more
        self._refuse_foreign(head)
        compressed = head.startswith(_GZIP)
        for i, block in enumerate(self._inflate(head) if compressed else self._plain(head)):
            if i == 0 and compressed:
                self._refuse_foreign(block)
            if i == 0 and self._may_be_marked:
                block = block.removeprefix(_MARK)
            if b"\0" in block:
                raise DataError(
                    f"{self.name} is no text file (it holds NUL bytes): give FASTA, FASTQ, BED or VCF, "
                    "plain or gzip-compressed"
                )
            yield block

    def text(self) -> Iterator[bytes]:
        """The text in blocks, every newline (CRLF, CR) made "\\n"."""
        held = b""
        for block in self.blocks():
            if held or b"\r" in block:
                block = held + block
                held = b"\r" if block.endswith(b"\r") else b""
                block = block[: len(block) - len(held)].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
            if block:
                yield block
        if held:
            yield b"\n"

    def lines(self) -> Iterator[bytes]:
        """The lines without their newlines."""
        return split_lines(self.text())

    def _read(self, size: int) -> bytes:
        file = sys.stdin.buffer if self._file is None else self._file
        try:
            data = file.read1(size) if isinstance(file, io.BufferedIOBase) else file.read(size)
        except (OSError, ValueError) as error:
            raise DataError(f"cannot read {self.name}: {_reason(error)}") from error
        self.position += len(data)
        if self._progress is not None:
            self._progress(self.position)
        return data

    def _plain(self, head: bytes) -> Iterator[bytes]:
        if head:
            yield head
        while block := self._read(_BLOCK):
            yield block

    def _inflate(self, head: bytes) -> Iterator[bytes]:
        """The text of all gzip members, one after another; bgzip is many small ones."""
        member, started, members, end, consumed = zlib.decompressobj(31), False, 0, b"", 0
        chunk = head
        while chunk:
            end = (end + chunk)[-len(BGZF_END) :]
            consumed += len(chunk)
            while chunk:
                if members and not started:
                    chunk = chunk.lstrip(b"\0")  # padding after a member, as gzip itself allows
                    if not chunk:
                        break
                started = True
                where = consumed - len(chunk)
                try:
                    text = member.decompress(chunk)
                except zlib.error as error:
                    raise DataError(self._damaged(error, where, members)) from error
                if text:
                    yield text
                chunk = member.unused_data
                if member.eof:
                    member, started, members = zlib.decompressobj(31), False, members + 1
            chunk = self._read(_GZIP_BLOCK)
        if started:
            raise DataError(
                f"{self.name} is truncated: its gzip stream breaks off after {consumed:,} bytes; "
                "fetch or compress it again"
            )
        if _is_bgzf(head) and end != BGZF_END:
            log.warning("%s has no bgzip end-of-file block: it may have been cut short", self.name)

    def _damaged(self, error: zlib.error, where: int, members: int) -> str:
        if members and "header" in str(error):
            return (
                f"{self.name} has something else than gzip after byte {where:,}: "
                "was text appended to it? Compress it again"
            )
        return (
            f"{self.name} is damaged: its gzip stream is broken within {_GZIP_BLOCK:,} bytes after "
            f"byte {where:,} ({error}); fetch or compress it again"
        )

    def _refuse_foreign(self, head: bytes) -> None:
        for magic, what in _FOREIGN.items():
            if head.startswith(magic) and not (magic == _MARK and self._may_be_marked):
                raise DataError(f"{self.name} is {what.replace('FILE', self.name)}")


def size_of(path: str | Path) -> int | None:
    """The bytes a `progress` callback counts up to: the size of the file, None for stdin and pipes."""
    return os.path.getsize(path) if str(path) != "-" and os.path.isfile(path) else None


def split_lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Lines without their newlines, from blocks cut anywhere."""
    parts: list[bytes] = []
    for block in blocks:
        first, *rest = block.split(b"\n")
        parts.append(first)
        if rest:
            yield b"".join(parts)
            yield from rest[:-1]
            parts = [rest[-1]]
    if last := b"".join(parts):
        yield last


def name_of(path: str | Path) -> str:
    """What messages call a path."""
    return "standard input" if str(path) == "-" else str(path)


def text_of(data: bytes) -> str:
    """Bytes of any encoding as text, from which `bytes_of` gives back the same bytes."""
    return data.decode("utf-8", "surrogateescape")


def bytes_of(text: str) -> bytes:
    """The bytes that `text_of` was given."""
    return text.encode("utf-8", "surrogateescape")


def shown(data: bytes, most: int = 40) -> str:
    """Bytes in quotes for a message: printable, cut at `most`.

    >>> shown(b"AC\\xe9T")
    "'AC\\\\xe9T'"
    """
    return repr(data[:most])[1:] + ("..." if len(data) > most else "")


def _open(path: str | Path) -> BinaryIO | None:
    """The raw file, None for stdin."""
    if str(path) == "-":
        return None
    try:
        return open(path, "rb", buffering=0)
    except FileNotFoundError as error:
        raise DataError(missing(Path(path))) from error
    except IsADirectoryError as error:
        raise DataError(f"{path} is a folder: give a file in it") from error
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {path}: {_reason(error)}") from error


def missing(path: Path) -> str:
    """The message for a file that is not there: which one may have been meant."""
    if path.parts[:1] == ("genomes",) and (shipped := folder("genomes").joinpath(*path.parts[1:])).is_file():
        return f"there is no file {path} in this folder; the one that ships with seqdiff is {shipped}"
    if not os.path.isdir(path.parent):
        return f"there is no file {path}: its folder {path.parent} does not exist"
    try:
        near = difflib.get_close_matches(path.name, os.listdir(path.parent), cutoff=0.6)
    except OSError:
        near = []
    hint = f"; did you mean {' or '.join(str(path.with_name(name)) for name in near)}?" if near else ""
    return f"there is no file {path}{hint}"


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _is_bgzf(head: bytes) -> bool:
    return len(head) >= 14 and head[3] & 4 == 4 and head[12:14] == b"BC"
