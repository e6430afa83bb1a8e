"""Tables with a header, as people have them: comma, tab or semicolon, quoted or not, plain or gzip, from a spreadsheet.

Cells are text and stay as they are, so that a table can be written back with columns added.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

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


def read_table(path: str | Path) -> Table:
    """The table in a file (`-`: stdin). The separator is that of which the header holds most.

    Lines before the header that are empty or begin with # are left out, empty lines between rows as well. Raises
    DataError, with the line: no header, no rows, a column that comes twice, a row of other length than the header, a
    quotation mark that is never closed.
    """
    with Source(path, byte_order_mark=True) as source:
        text = text_of(b"".join(source.text()))
    skipped, body = 0, io.StringIO(text, newline="")
    while (line := body.readline()) and (not line.strip() or line.startswith("#")):
        skipped += 1
    where = name_of(path)
    if not line:
        raise DataError(f"{where} is empty: give a table with a header, like mutant,DMS_score")
    separator = max(SEPARATORS, key=line.count)
    body.seek(body.tell() - len(line))
    csv.field_size_limit(LONGEST_CELL)
    reader = csv.reader(body, delimiter=separator, strict=True)
    try:
        columns = [cell.strip() for cell in next(reader)]
        rows, lines = [], []
        for row in reader:
            if not any(cell.strip() for cell in row):
                continue
            if len(row) != len(columns):
                raise DataError(
                    f"{where}, line {skipped + reader.line_num:,}: {_cells(len(row))}, but the header has "
                    f"{_cells(len(columns))}; is a cell that holds the separator {separator!r} not in quotes?"
                )
            rows.append(row)
            lines.append(skipped + reader.line_num)
    except csv.Error as error:
        line = f"{where}, line {skipped + reader.line_num:,}"
        raise DataError(f"{line}: {error}: are its quotation marks right?") from error
    if twice := sorted({column for column in columns if columns.count(column) > 1}):
        raise DataError(f"{where}: the column {twice[0]!r} comes twice; rename one")
    if not rows:
        raise DataError(f"{where} has a header ({', '.join(columns)}), but no rows")
    return Table(where, columns, rows, lines)


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
