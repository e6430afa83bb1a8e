"""Documents: the lines of a text file, or the cells of a column of a table, encoded once.

    reviews.csv -> one pass -> reviews.csv.characters.documents.seqdiff (1 or 2 bytes a character, 32 a document)

A table is told by the column that is asked for; its header says what separates its cells.
"""

import csv
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from jaxtyping import Int64

from seqdiff.data.characters import CODE_POINTS, Characters, counts
from seqdiff.data.collection import Collection
from seqdiff.data.encoded import digest_of, encoded
from seqdiff.data.output import Output
from seqdiff.data.source import Source, bytes_of, shown, split_lines, text_of
from seqdiff.data.table import LONGEST_CELL, SEPARATORS
from seqdiff.data.text import not_utf8
from seqdiff.errors import DataError

_ROW = struct.Struct("<qq16s")
_BLOCK = 1 << 20


class Documents(Collection):
    """The documents of a file as tokens, any of them at once; all arrays have one value a document.

    >>> import tempfile
    >>> from seqdiff.data.characters import TEXT8
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = Path(folder.name) / "small.csv"
    >>> _ = path.write_text('points,description\\n87,"Ripe, dry"\\n90,Oak\\n')
    >>> documents = Documents.open(path, TEXT8, "description")
    >>> documents.lengths.tolist(), documents.known.tolist(), TEXT8.decode(documents.tokens(1))
    ([9, 3], [8, 3], b'oak')
    >>> folder.cleanup()
    """

    @classmethod
    def open(
        cls,
        path: str | Path,
        alphabet: Characters,
        column: str | None = None,
        *,
        progress: Callable[[int], None] | None = None,
    ) -> "Documents":
        """The documents in a file; encodes it where that was not done before (`seqdiff.data.encoded`).

        Raises DataError: no such file, damage, not UTF-8 where that is asked for, whatever `read` raises, no room.
        """
        footer, codes, words = encoded(path, _Layout(alphabet, column), progress)
        return cls(Path(path), alphabet, footer["checksum"], codes.view(alphabet.dtype), words)


@dataclass(frozen=True)
class _Layout:
    """The layout of documents in their encoded file: tokens, and a row of `Collection.columns` a document."""

    alphabet: Characters
    column: str | None
    content = "documents"

    @property
    def suffix(self) -> str:
        return f".{self.alphabet.name}.documents.seqdiff"

    def table(self) -> bytes:
        return repr((self.alphabet.symbols, self.alphabet.aliases, self.column)).encode()

    def encode(self, source: Source, out: Output, words: BinaryIO) -> dict[str, Any]:
        """Raises DataError as `read` does."""
        checksum = digest_of(repr((self.alphabet.symbols, self.alphabet.aliases)).encode())
        codes, rows, letters, documents = bytearray(), bytearray(), 0, 0
        for document in read(source, self.alphabet, self.column):
            tokens = self.alphabet.encode(document)
            digest = digest_of(tokens.tobytes()).digest()
            checksum.update(digest)
            letters += len(tokens)
            rows += _ROW.pack(letters, int((tokens < self.alphabet.size).sum()), digest)
            codes += tokens.tobytes()
            documents += 1
            if len(codes) >= _BLOCK or len(rows) >= _BLOCK:
                _flush(codes, out)
                words.write(rows)
                rows.clear()
        _flush(codes, out)
        words.write(rows)
        return {
            "letters": letters * self.alphabet.dtype.itemsize,
            "words": documents * len(Collection.columns),
            "checksum": checksum.hexdigest(),
        }


def read(source: Source, alphabet: Characters, column: str | None) -> Iterator[bytes]:
    """The documents of a source: the cells of a column of a table, or without one the lines.

    Raises DataError, with the line: not UTF-8 where that is asked for, no header, no such column, a row of other length
    than the header, a quotation mark that is never closed, nothing at all.
    """
    found = False
    for line, document in enumerate(source.lines(), 1) if column is None else _cells(source, column):
        found = True
        if (wrong := alphabet.first_invalid(document)) is not None:
            raise DataError(not_utf8(source.name, line, document[wrong : wrong + 1]))
        yield document
    if not found:
        raise DataError(f"{source.name} is empty: there are no documents in it")


def _cells(source: Source, column: str) -> Iterator[tuple[int, bytes]]:
    """Line and content of each cell of a column, row by row."""
    lines = (text_of(line) + "\n" for line in split_lines(source.text()))
    header = next(lines, "")
    separator = max(SEPARATORS, key=header.count)
    csv.field_size_limit(LONGEST_CELL)
    columns = [cell.strip() for cell in next(csv.reader([header], delimiter=separator))] if header.strip() else []
    if column not in columns:
        has = f"it has {', '.join(map(repr, columns))}" if columns else "its first line is no header"
        raise DataError(f"{source.name} has no column {column!r}; {has}")
    place = columns.index(column)
    reader = csv.reader(lines, delimiter=separator, strict=True)
    try:
        for row in reader:
            if len(row) == len(columns):
                yield reader.line_num + 1, bytes_of(row[place])
            elif row:
                raise DataError(
                    f"{source.name}, line {reader.line_num + 1:,}: a row of {len(row):,} cells, but the header has "
                    f"{len(columns):,}; is a cell that holds the separator {shown(separator.encode())} not in quotes?"
                )
    except csv.Error as error:
        where = f"{source.name}, line {reader.line_num + 1:,}"
        raise DataError(f"{where}: {error}: are its quotation marks right?") from error


def counted(
    path: str | Path, column: str | None, progress: Callable[[int], None] | None = None
) -> Int64[np.ndarray, " points"]:
    """How often each code point stands in the documents of a file. Raises DataError as `Documents.open` does."""
    found = np.zeros(CODE_POINTS, np.int64)
    waiting, size = [], 0
    with Source(path, progress=progress) as source:
        for document in read(source, Characters.of(""), column):
            waiting.append(document)
            size += len(document)
            if size >= _BLOCK:
                found += counts(b"".join(waiting))
                waiting, size = [], 0
    return found + counts(b"".join(waiting))


def _flush(codes: bytearray, out: Output) -> None:
    out.write(bytes(codes))
    codes.clear()
