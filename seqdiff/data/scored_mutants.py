"""A table of mutants with the scores that `seqdiff variants --mutations` or `--saturate` gave them, read in pieces.

TableRows -> columns llr, se, method, llr_per_residue, reason, with one prefix -> `ScoredMutants`
"""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
from jaxtyping import Float64

from seqdiff.data.mutant_tables import MUTATIONS, SEQUENCE
from seqdiff.data.mutations import substitutions
from seqdiff.data.table import TableRows
from seqdiff.errors import DataError

ADDED = ("llr", "se", "method", "llr_per_residue", "reason")
MEASURED = "DMS_score"
"""ProteinGym's column of measurements."""
AT_ONCE = 1 << 14
"""Rows in a piece."""
LOOKED_AT = 100
"""First rows in which a column of mutations is looked for."""


@dataclass(frozen=True)
class ScoredMutants:
    """Rows column by column; numbers are NaN where there are none."""

    mutants: list[str]
    llr: Float64[np.ndarray, "n"]
    se: Float64[np.ndarray, "n"]
    per_residue: Float64[np.ndarray, "n"]
    measured: Float64[np.ndarray, "n"]
    methods: list[str]
    reasons: list[str]

    def __len__(self) -> int:
        return len(self.mutants)


def prefixes(columns: Sequence[str]) -> list[str]:
    """What stands before the names of the added columns, once for every scoring of the table.

    >>> prefixes(["mutant", "m_llr", "m_se", "m_method", "m_llr_per_residue", "m_reason"])
    ['m_']
    """
    there = set(columns)
    ends = [column.removesuffix(ADDED[0]) for column in columns if column.endswith(ADDED[0])]
    return [prefix for prefix in ends if all(prefix + name in there for name in ADDED)]


class MutantScores:
    """A table of scored mutants that is being read, as a context manager.

    `measured`: the column with the measurement; None: DMS_score, if there is one. Raises DataError with file and line:
    no such columns, a score or a measurement that is no number.
    """

    def __init__(self, path: str | Path, *, measured: str | None = None, progress: Callable[[int], None] | None = None):
        self._rows = TableRows(path, progress=progress)
        self._asked = measured
        self.prefix = ""
        self.others: list[str] = []
        """Prefixes of other scorings, which are not read."""
        self.column = ""
        """Which has the mutations; empty where none is understood."""
        self.measured: str | None = None

    def __enter__(self) -> "MutantScores":
        self._rows.__enter__()
        try:
            self._choose()
        except BaseException:
            self._rows.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._rows.__exit__(kind, error, trace)

    def pieces(self) -> Iterator[ScoredMutants]:
        """The rows in their order. Can be read once."""
        columns = self._rows.columns
        places = [columns.index(self.prefix + name) for name in ADDED]
        shown = columns.index(self.column) if self.column else 0
        measured = None if self.measured is None else columns.index(self.measured)
        held: list[tuple] = []
        for line, row in itertools.chain(self._first, self._rest):
            llr, se, method, per_residue, reason = (row[place] for place in places)
            numbers = [self._number(text, line, name) for text, name in zip((llr, se, per_residue), (0, 1, 3))]
            value = math.nan if measured is None else self._number(row[measured], line, None)
            held.append((row[shown], *numbers, value, method, reason or ("" if llr else "not_scored")))
            if len(held) == AT_ONCE:
                yield _piece(held)
                held = []
        if held:
            yield _piece(held)

    def _choose(self) -> None:
        name, columns = self._rows.name, self._rows.columns
        found = prefixes(columns)
        if not found:
            raise DataError(
                f"{name} has no scores (no columns {', '.join(ADDED)}); it has {', '.join(map(repr, columns[:12]))}: "
                f"`seqdiff variants --mutations {name} --fasta WILDTYPE -o scored.tsv` makes them"
            )
        self.prefix, *self.others = found
        if self._asked is not None and self._asked not in columns:
            raise DataError(f"{name} has no column {self._asked!r}; it has {', '.join(map(repr, columns))}")
        self.measured = self._asked or (MEASURED if MEASURED in columns else None)
        self._rest = iter(self._rows)
        self._first = list(itertools.islice(self._rest, LOOKED_AT))
        if not self._first:
            raise DataError(f"{name} has a header ({', '.join(columns)}), but no rows")
        added = {prefix + each for prefix in found for each in ADDED}
        given = [column for column in columns if column not in added and column != self.measured]
        best = {column: self._understood(columns.index(column)) for column in given}
        named = [column for column in (MUTATIONS, *given) if best.get(column)]
        self.column = named[0] if named else next((c for c in (MUTATIONS, SEQUENCE, *given) if c in given), "")

    def _understood(self, place: int) -> int:
        """How many of the first cells name substitutions."""
        return sum(bool(substitutions(row[place])) for _, row in self._first)

    def _number(self, text: str, line: int, added: int | None) -> float:
        column = self.measured if added is None else self.prefix + ADDED[added]
        text = text.strip()
        if text.lower() in ("", ".", "nan", "na"):
            return math.nan
        try:
            value = float(text)
        except ValueError:
            value = math.inf
        if not math.isfinite(value):
            raise DataError(f"{self._rows.name}, line {line:,}: {column} {text[:40]!r} is no number")
        return value


def _piece(rows: list[tuple]) -> ScoredMutants:
    mutants, llr, se, per_residue, measured, methods, reasons = map(list, zip(*rows, strict=True))
    numbers = (np.array(column, np.float64) for column in (llr, se, per_residue, measured))
    return ScoredMutants(mutants, *numbers, methods, reasons)
