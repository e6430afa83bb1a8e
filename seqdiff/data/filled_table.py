"""The table of `seqdiff infill --format table`, read in pieces: a line a filled letter, with the probability of each.

    Source (gzip by content) -> blocks of whole lines -> `FilledLetters`: their columns as arrays

A table of any size takes the memory of one block.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
from jaxtyping import Float64, Int64, UInt8

from seqdiff.data.source import Source, shown, text_of
from seqdiff.errors import DataError

FIRST = (b"name", b"position", b"filled")
PROBABILITY = b"p_"
ROUNDING = 1e-3
"""How far probabilities, written with six decimals, may be from a sum of 1."""
_WIDTH = len("0.123456")


@dataclass(frozen=True)
class FilledLetters:
    """Successive lines: `positions` count from 0, `letters` are symbols in ASCII, upper case.

    Those from `firsts[i]` to `firsts[i + 1]` are of the record `names[i]`, which may have begun before or go on after.
    """

    names: list[str]
    firsts: Int64[np.ndarray, "r"]
    positions: Int64[np.ndarray, "n"]
    letters: UInt8[np.ndarray, "n"]
    probabilities: Float64[np.ndarray, "n K"]


def is_filled_header(line: bytes) -> bool:
    """Whether a line is the header of such a table.

    >>> is_filled_header(b"name\\tposition\\tfilled\\tp_A\\tp_C\\tp_G\\tp_T")
    True
    """
    columns = line.split(b"\t")
    return tuple(columns[:3]) == FIRST and len(columns) > 4 and all(c.startswith(PROBABILITY) for c in columns[3:])


class FilledTable:
    """A table of filled letters that is being read, as a context manager.

    `comment` is what stands in the lines with # before the header, `symbols` the letters that have a probability.
    Raises DataError with file and line: no such table, a line of too few or too many columns, a position that is no
    number, a letter that has no probability, probabilities that are none or whose sum is not 1, truncated gzip.
    """

    def __init__(self, path: str | Path, *, progress: Callable[[int], None] | None = None):
        self._source = Source(path, progress=progress)
        self.name = self._source.name
        self.comment: list[str] = []
        self.symbols = ""

    def __enter__(self) -> "FilledTable":
        self._source.__enter__()
        try:
            self._blocks = _whole_lines(self._source.text())
            self._read_header()
        except BaseException:
            self._source.__exit__()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._source.__exit__(kind, error, trace)

    def letters(self) -> Iterator[FilledLetters]:
        """The lines in their order, about a megabyte at a time. Can be read once."""
        for block in itertools.chain([self._rest] if self._rest else [], self._blocks):
            lines = block.count(b"\n")
            named, *columns = self._parsed(block, lines)
            self._line += lines
            names, firsts, first = [], [], 0
            for name, same in itertools.groupby(named):
                names.append(text_of(name))
                firsts.append(first)
                first += sum(1 for _ in same)
            yield FilledLetters(names, np.array(firsts, np.int64), *columns)

    def _read_header(self) -> None:
        self._line = 0
        for block in self._blocks:
            while block:
                line, _, block = block.partition(b"\n")
                self._line += 1
                if line.startswith(b"#"):
                    self.comment.append(text_of(line.lstrip(b"# ")))
                    continue
                if not is_filled_header(line):
                    raise DataError(
                        f"{self.name}, line {self._line:,}: {shown(line, 60)}: the columns of a table of filled "
                        "letters are name, position, filled, p_A, ...: make one with `seqdiff infill --format table`"
                    )
                columns = line.split(b"\t")
                self.symbols = "".join(text_of(column.removeprefix(PROBABILITY)) for column in columns[3:])
                if len(self.symbols) != len(columns) - 3 or len(set(self.symbols)) != len(self.symbols):
                    raise DataError(
                        f"{self.name}, line {self._line:,}: {shown(line, 80)}: a p_ column a letter, each once"
                    )
                self._codes = np.full(256, 255, np.uint8)
                self._codes[list(self.symbols.encode())] = list(self.symbols.encode())
                self._codes[list(self.symbols.lower().encode())] = list(self.symbols.upper().encode())
                if "U" not in self.symbols and "T" in self.symbols:
                    self._codes[list(b"Uu")] = ord("T")  # RNA that was filled keeps its letters
                self._rest = block
                return
        raise DataError(f"{self.name} is empty: make a table of filled letters with `seqdiff infill --format table`")

    def _parsed(
        self, block: bytes, lines: int
    ) -> "tuple[list[bytes], Int64[np.ndarray, 'n'], UInt8[np.ndarray, 'n'], Float64[np.ndarray, 'n K']]":
        """All columns of whole lines, column by column; what is not as we write it goes line by line."""
        width = 3 + len(self.symbols)
        text = np.frombuffer(block, np.uint8)
        ends = np.flatnonzero((text == ord("\t")) | (text == ord("\n")))
        if len(ends) != lines * width or not (text[ends.reshape(-1, width)[:, -1]] == ord("\n")).all():
            return self._line_by_line(block)
        ends = ends.reshape(-1, width)
        starts = np.append(0, ends.ravel()[:-1] + 1).reshape(-1, width)
        positions, letters = _numbers(text, starts[:, 1], ends[:, 1]), self._codes[text[starts[:, 2]]]
        if (
            positions is None
            or (positions < 1).any()
            or (ends[:, 2] - starts[:, 2] != 1).any()
            or (letters == 255).any()
            or (ends[:, 3:] - starts[:, 3:] != _WIDTH).any()
        ):
            return self._line_by_line(block)
        digits = text[starts[:, 3:, None] + np.arange(_WIDTH)] - ord("0")
        whole = np.delete(digits, 1, -1)
        if (whole > 9).any() or (digits[..., 1] + ord("0") != ord(".")).any():
            return self._line_by_line(block)
        probabilities = (whole @ 10 ** np.arange(_WIDTH - 2, -1, -1)) / 1e6
        if (np.abs(probabilities.sum(-1) - 1) > ROUNDING).any():
            return self._line_by_line(block)
        names = [block[a:b] for a, b in zip(starts[:, 0].tolist(), ends[:, 0].tolist())]
        return names, positions - 1, letters, probabilities

    def _line_by_line(
        self, block: bytes
    ) -> "tuple[list[bytes], Int64[np.ndarray, 'n'], UInt8[np.ndarray, 'n'], Float64[np.ndarray, 'n K']]":
        names, positions, letters, rows = [], [], [], []
        for number, line in enumerate(block.split(b"\n")[:-1], self._line + 1):
            cells = line.split(b"\t")
            try:
                if len(cells) != 3 + len(self.symbols):
                    raise ValueError(f"has {len(cells)} columns, the header {3 + len(self.symbols)}: is it cut short?")
                name, position, letter = cells[:3]
                if not position.isdigit() or int(position) < 1 or len(position) > 18:
                    raise ValueError(f"position {shown(position)} is no whole number from 1 on")
                if len(letter) != 1 or self._codes[letter[0]] == 255:
                    raise ValueError(f"the filled letter {shown(letter)} is none of {self.symbols}")
                row = [float(cell) for cell in cells[3:]]
                if not all(0 <= p <= 1 for p in row) or abs(sum(row) - 1) > ROUNDING:
                    raise ValueError(f"probabilities are from 0 to 1 and add up to 1, these to {sum(row):g}")
            except ValueError as error:
                raise DataError(f"{self.name}, line {number:,}: {shown(line)}: {error}") from error
            names.append(name)
            positions.append(int(position) - 1)
            letters.append(self._codes[letter[0]])
            rows.append(row)
        probabilities = np.array(rows, np.float64).reshape(-1, len(self.symbols))
        return names, np.array(positions, np.int64), np.array(letters, np.uint8), probabilities


def _numbers(
    text: UInt8[np.ndarray, "b"], starts: Int64[np.ndarray, "n"], ends: Int64[np.ndarray, "n"]
) -> Int64[np.ndarray, "n"] | None:
    """Whole numbers in a text; None where there are other letters than digits, or none, or too many."""
    widths = ends - starts
    if (widths < 1).any() or (widths > 18).any():
        return None
    numbers = np.zeros(len(starts), np.int64)
    for place in range(int(widths.max(initial=0))):
        there = place < widths
        digits = text[np.minimum(starts + place, len(text) - 1)].astype(np.int64) - ord("0")
        if (there & ((digits < 0) | (digits > 9))).any():
            return None
        numbers = np.where(there, numbers * 10 + digits, numbers)
    return numbers


def _whole_lines(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Blocks that end where a line ends, each with its newline; empty ones are left out."""
    held = b""
    for block in blocks:
        whole, newline, rest = block.rpartition(b"\n")
        if not newline:
            held += block
            continue
        yield held + whole + b"\n"
        held = rest
    if held:
        yield held + b"\n"
