"""Text as records for a model: a whole text, or a document a line, with or without blanks; and back, byte for byte.

What a model reads is the text with its new lines made "\\n", which it was trained on; what is written back is the text
as it came, with letters in place of the blanks alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from seqdiff.data.blanks import Blanks
from seqdiff.data.characters import UNKNOWN, Bytes, Characters
from seqdiff.data.fasta import Record
from seqdiff.data.intervals import Interval
from seqdiff.data.source import Source
from seqdiff.data.text import not_utf8
from seqdiff.errors import DataError
from seqdiff.inference.filled import Infilled

Mode = Literal["stream", "documents"]


def read(path: str, alphabet: Characters) -> bytes:
    """A text file (`-`: stdin), plain or gzip, whole and as it is.

    Raises DataError for what is not UTF-8, but for an alphabet of bytes.
    """
    with Source(path) as source:
        text = b"".join(source.blocks())
    if (wrong := alphabet.first_invalid(text)) is not None:
        raise DataError(not_utf8(source.name, 1 + text[:wrong].count(b"\n"), text[wrong : wrong + 1]))
    return text


def records(text: bytes, name: str, alphabet: Characters, mode: Mode) -> Iterator[Record]:
    """The text as one record, or its lines, `line1` and so on, as documents.

    >>> from seqdiff.data.characters import TEXT8
    >>> [(r.name, r.sequence) for r in records(b"to be\\r\\nor not", "a.txt", TEXT8, "documents")]
    [('line1', b'to be'), ('line2', b'or not')]
    """
    for part in marked(text, name, alphabet, mode, marks=None):
        yield part.record


def seen(text: bytes, alphabet: Characters) -> bytes:
    """The text as a model reads it."""
    return text if isinstance(alphabet, Bytes) else text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


@dataclass(frozen=True)
class Part:
    """A document or a whole text: its blanks, what a model reads of it, and where the blanks lie there."""

    blanks: Blanks
    ending: bytes
    """What comes after it in the file: a new line, which is no part of a document."""
    record: Record
    spans: list[Interval]
    alphabet: Characters

    def filled(self, result: Infilled | None) -> bytes:
        """The text with what was filled in; None where there was no blank."""
        if result is None:
            return self.blanks.pieces[0] + self.ending
        tokens = self.alphabet.encode(result.record.sequence)
        letters = [self.alphabet.decode(tokens[span.start : span.end]) for span in self.spans]
        if not isinstance(self.alphabet, Bytes) and _all_crlf(b"".join(self.blanks.pieces)):
            letters = [drawn.replace(b"\n", b"\r\n") for drawn in letters]
        return self.blanks.filled(letters) + self.ending


def marked(
    text: bytes, name: str, alphabet: Characters, mode: Mode, marks: Literal["both", "braces", "underscores"] | None
) -> list[Part]:
    """The parts of a text, whose blanks are as `marks` says (`seqdiff.data.blanks`; None: there are none).

    Raises DataError as `Blanks.of` does.

    >>> from seqdiff.data.characters import TEXT8
    >>> part, = marked(b"To be, or __t", "a.txt", TEXT8, "stream", "both")
    >>> part.record.sequence.decode(), part.spans
    ('To be, or ��t', [Interval(contig='a.txt', start=10, end=12)])
    """
    found = []
    lines = text.splitlines(keepends=True) if mode == "documents" else [text]
    for number, line in enumerate(lines, 1):
        body = line.rstrip(b"\r\n") if mode == "documents" else line
        blanks = Blanks([body], []) if marks is None else Blanks.of(body, name, marks, number)
        title = f"line{number}" if mode == "documents" else name
        read_as = [seen(piece, alphabet) for piece in blanks.pieces]
        lengths = np.array([[len(alphabet.encode(piece)) for piece in read_as], [*blanks.sizes, 0]]).T.ravel()
        ends = np.cumsum(lengths).tolist()
        spans = [Interval(title, ends[2 * i], ends[2 * i + 1]) for i in range(len(blanks.sizes))]
        whole = Blanks(read_as, blanks.sizes).filled([UNKNOWN.encode() * size for size in blanks.sizes])
        found.append(Part(blanks, line[len(body) :], Record(title, title, whole), spans, alphabet))
    return found


def _all_crlf(text: bytes) -> bool:
    pairs = text.count(b"\r\n")
    return 0 < pairs == text.count(b"\n")
