"""What an evaluation hands back: numbers for machines, a table for people, and no opinion about printing."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

Progress = Callable[[float], None]
"""Called now and then with the share that is done, 0 to 1."""


class Table(NamedTuple):
    """Text cells: `columns` are the heads, every row has one cell a column."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Answer:
    """The answer to one question about a model; `summary` holds only what JSON can."""

    question: str
    summary: dict[str, Any]
    _table: Table

    def table(self) -> Table:
        """The same numbers as text."""
        return self._table


def silent(share: float) -> None:
    """The progress of nobody."""
