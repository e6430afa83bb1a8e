"""Tables with a header, as people have them: comma, tab or semicolon, quoted or not, plain or gzip, from a spreadsheet.

Cells are text and stay as they are, so that a table can be written back with columns added.
"""

import csv
import io
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from seqdiff.data.source import Source, bytes_of, name_of, text_of
from seqdiff.errors import DataError

SEPARATORS = (",", "\t", ";")
LONGEST_CELL = 1 << 24
"""Letters; a quotation mark that is never closed would otherwise swallow the file."""


@dataclass(frozen=True)
class Table:
    """The rows of a file under its header.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     _ = file.write(b"mutant;score\\r\\nA24G:K30R;0.5\\r\\n"); file.flush()
    ...     table = read_table(file.name)
    >>> table.columns, table.rows, table["score"]
    (['mutant', 'score'], [['A24G:K30R', '0.5']], ['0.5'])
    """

    name: str
    """Of the file, for messages."""
    columns: list[str]
    rows: list[list[str]]
    lines: list[int]
    """The line of the file on which each row ends."""

    def __contains__(self, column: str) -> bool:
        return column in self.columns

    def __getitem__(self, column: str) -> list[str]:
        """The cells of a column. Raises DataError, with what columns there are."""
        if column not in self.columns:
            raise DataError(f"{self.name} has no column {column!r}; it has {', '.join(map(repr, self.columns))}")
        place = self.columns.index(column)
        return [row[place] for row in self.rows]


class TableRows:
    """The rows of a table, one after another, as a context manager; `read_table` says what a table is.

    `columns` are those of the header, `comments` the lines with # before it. Iterating gives (line on which the row
    ends, its cells), once; nothing is held.
    """

    def __init__(self, path: str | Path, *, progress: Callable[[int], None] | None = None):
        self._source = Source(path, byte_order_mark=True, progress=progress)
        self.name = name_of(path)
        self.comments: list[str] = []
        self.columns: list[str] = []

    def __enter__(self) -> "TableRows":
        self._source.__enter__()
        try:
            self._read_header()
        except BaseException:
            self._source.__exit__()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._source.__exit__(kind, error, trace)

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        try:
            for row in self._reader:
                if not any(cell.strip() for cell in row):
                    continue
                line = self._skipped + self._reader.line_num
                if len(row) != len(self.columns):
                    raise DataError(
                        f"{self.name}, line {line:,}: {_cells(len(row))}, but the header has "
                        f"{_cells(len(self.columns))}; is a cell that holds the separator {self.separator!r} not in "
                        "quotes?"
                    )
                yield line, row
        except csv.Error as error:
            raise self._broken(error) from error

    def _read_header(self) -> None:
        lines = (text_of(line) + "\n" for line in self._source.lines())
        self._skipped, header = 0, ""
        for header in lines:
            if header.strip() and not header.startswith("#"):
                break
            if header.startswith("#"):
                self.comments.append(header.lstrip("# ").rstrip())
            self._skipped += 1
        else:
            raise DataError(f"{self.name} is empty: give a table with a header, like mutant,DMS_score")
        self.separator = max(SEPARATORS, key=header.count)
        csv.field_size_limit(LONGEST_CELL)
        self._reader = csv.reader(itertools.chain([header], lines), delimiter=self.separator, strict=True)
        try:
            self.columns = [cell.strip() for cell in next(self._reader)]
        except csv.Error as error:
            raise self._broken(error) from error
        if twice := sorted({column for column in self.columns if self.columns.count(column) > 1}):
            raise DataError(f"{self.name}: the column {twice[0]!r} comes twice; rename one")

    def _broken(self, error: csv.Error) -> DataError:
        line = f"{self.name}, line {self._skipped + self._reader.line_num:,}"
        return DataError(f"{line}: {error}: are its quotation marks right?")


def read_table(path: str | Path) -> Table:
    """The table in a file (`-`: stdin). The separator is that of which the header holds most.

    Lines before the header that are empty or begin with # are left out, empty lines between rows as well. Raises
    DataError, with the line: no header, no rows, a column that comes twice, a row of other length than the header, a
    quotation mark that is never closed.
    """
    with TableRows(path) as found:
        rows, lines = [], []
        for line, row in found:
            rows.append(row)
            lines.append(line)
    if not rows:
        raise DataError(f"{found.name} has a header ({', '.join(found.columns)}), but no rows")
    return Table(found.name, found.columns, rows, lines)


def line_of(cells: Sequence[str], separator: str = "\t") -> bytes:
    """A row as it is written: cells that hold the separator, a quotation mark or a newline are quoted.

    >>> line_of(["A24G", "so, so", "x"], ",")
    b'A24G,"so, so",x\\n'
    """
    line = io.StringIO(newline="")
    csv.writer(line, delimiter=separator, lineterminator="\n").writerow(cells)
    return bytes_of(line.getvalue())


def _cells(number: int) -> str:
    return f"{number:,} cell{'' if number == 1 else 's'}"
