"""A text file, encoded once and memory-mapped from then on.

    text8 -> one pass -> text8.text8.seqdiff (1 byte a character, 2 where the alphabet has more than 253) -> np.memmap

Plain or gzip, told by content; new lines of any kind read as one. What is no character of the alphabet is unknown, and
counted.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from jaxtyping import Int64, Integer

from seqdiff.data.characters import CODE_POINTS, UNKNOWN, Bytes, Characters, counts
from seqdiff.data.encoded import digest_of, encoded
from seqdiff.data.output import Output
from seqdiff.data.source import Source, shown
from seqdiff.errors import DataError


class RunningText:
    """The tokens of a text file, any stretch of them at once.

    >>> import tempfile
    >>> from seqdiff.data.characters import TEXT8
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = Path(folder.name) / "small.txt"
    >>> _ = path.write_text("To be, or\\nnot to be")
    >>> text = RunningText.open(path, TEXT8)
    >>> len(text.tokens), text.unknown, TEXT8.decode(text.tokens[:10]).decode()
    (19, 1, 'to be� or ')
    >>> folder.cleanup()
    """

    def __init__(self, path: Path, alphabet: Characters, footer: dict[str, Any], codes: np.ndarray, words: np.ndarray):
        self.path, self.alphabet = path, alphabet
        self.checksum: str = footer["checksum"]
        """blake2b-128, hex, of all tokens and of the alphabet: compression and kinds of new lines do not matter."""
        self.unknown: int = footer["unknown"]
        """Characters that the alphabet lacks."""
        self.tokens: Integer[np.ndarray, " L"] = codes.view(alphabet.dtype)

    @classmethod
    def open(
        cls, path: str | Path, alphabet: Characters, *, progress: Callable[[int], None] | None = None
    ) -> "RunningText":
        """The text in a file; encodes it where that was not done before (`seqdiff.data.encoded`).

        Raises DataError: no such file, damage, not UTF-8 where that is asked for, no room.
        """
        return cls(Path(path), alphabet, *encoded(path, _Layout(alphabet), progress))


@dataclass(frozen=True)
class _Layout:
    """The layout of running text in its encoded file: tokens, no words."""

    alphabet: Characters
    content = "text"

    @property
    def suffix(self) -> str:
        return f".{self.alphabet.name}.seqdiff"

    def table(self) -> bytes:
        return repr((self.alphabet.symbols, self.alphabet.aliases)).encode()

    def encode(self, source: Source, out: Output, words: BinaryIO) -> dict[str, Any]:
        """Raises DataError for an empty file, and as `blocks` does."""
        checksum, length, unknown = digest_of(self.table()), 0, 0
        for block in blocks(source, self.alphabet):
            tokens = self.alphabet.encode(block)
            length += len(tokens)
            unknown += int((tokens == self.alphabet.mask).sum())
            checksum.update(tokens)
            out.write(tokens.tobytes())
        if not length:
            raise DataError(f"{source.name} is empty: there is no text in it")
        letters = length * self.alphabet.dtype.itemsize
        return {"letters": letters, "words": 0, "unknown": unknown, "checksum": checksum.hexdigest()}


def blocks(source: Source, alphabet: Characters) -> Iterator[bytes]:
    """The text of a source in blocks that end with a whole character, every new line made "\\n".

    Bytes as symbols are taken as they come. Raises DataError, with the line, for characters that are not UTF-8.
    """
    held, line = b"", 1
    whole_bytes = isinstance(alphabet, Bytes)
    for block in source.blocks() if whole_bytes else source.text():
        block = held + block
        end = len(block) - (_begun(block, UNKNOWN.encode()) if whole_bytes else _cut_short(block))
        held, block = block[end:], block[:end]
        if (wrong := alphabet.first_invalid(block)) is not None:
            raise DataError(not_utf8(source.name, line + block[:wrong].count(b"\n"), block[wrong : wrong + 1]))
        line += block.count(b"\n")
        yield block
    if held and not whole_bytes:
        raise DataError(not_utf8(source.name, line, held[:1]))
    yield held


def _begun(block: bytes, mark: bytes) -> int:
    """How many bytes at the end of a block may be the beginning of the mark."""
    return next(size for size in range(len(mark) - 1, -1, -1) if block.endswith(mark[:size]))


def _cut_short(block: bytes) -> int:
    """How many bytes at the end of a block begin a character of UTF-8 that goes on after it."""
    for size in range(1, min(4, len(block) + 1)):
        lead = block[-size]
        if lead >= 0xC0:
            return size if size < (2 if lead < 0xE0 else 3 if lead < 0xF0 else 4) else 0
        if lead < 0x80:
            return 0
    return 0


def not_utf8(name: str, line: int, byte: bytes) -> str:
    """The message for text of another coding."""
    return (
        f"{name}, line {line:,}: the byte {shown(byte)} is not UTF-8: convert the file, as in "
        f"`iconv -f WINDOWS-1252 -t UTF-8 {name}`, or take its bytes for symbols (data.coding: bytes)"
    )


def counted(path: str | Path, progress: Callable[[int], None] | None = None) -> Int64[np.ndarray, " points"]:
    """How often each code point stands in a file, read in blocks. Raises DataError as `RunningText.open` does."""
    found = np.zeros(CODE_POINTS, np.int64)
    with Source(path, progress=progress) as source:
        for block in blocks(source, Characters.of("")):
            found += counts(block)
    return found
