"""The classes of rows, as training tells them to a network: not always, so that it learns to do without."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int, Int64, Integer
from torch import Tensor

from seqdiff.data import headers
from seqdiff.data.proteome import key_of
from seqdiff.data.source import Source, shown
from seqdiff.errors import DataError
from seqdiff.streams import uniforms

DROPOUT = 0.1
"""Share of the rows whose class training does not tell (Ho and Salimans 2022, arXiv:2207.12598)."""


def told(
    classes: Integer[np.ndarray, "B"],
    number: int,
    dropout: float,
    seed: int,
    positions: Integer[np.ndarray, "B"],
) -> Int[Tensor, "B"]:
    """The classes of rows, and `number`, "not told", in place of a share of them.

    Which ones depends on (seed, position in the endless stream of training) alone.

    >>> told(np.zeros(8, np.int64), number=2, dropout=0.5, seed=0, positions=np.arange(8)).tolist()
    [2, 0, 2, 2, 0, 2, 2, 2]
    """
    untold = uniforms(seed, "label dropout", positions) < dropout
    return torch.from_numpy(np.where(untold, number, classes).astype(np.int64))


@dataclass(frozen=True)
class Classes:
    """The class of each record of a collection, and how often training does not tell it."""

    names: tuple[str, ...]
    of: Int64[np.ndarray, "N"]
    """By record, the place of its class in `names`; their number where it has none."""
    dropout: float = DROPOUT

    def labels(self, records: Integer[np.ndarray, "B"]) -> Int[Tensor, "B"]:
        """Of some records, for evaluation."""
        return torch.from_numpy(self.of[records])

    def told(
        self, records: Integer[np.ndarray, "B"], seed: int, positions: Integer[np.ndarray, "B"]
    ) -> Int[Tensor, "B"]:
        """Of some records, for training; see `told`."""
        return told(self.of[records], len(self.names), self.dropout, seed, positions)


def common(names: Iterable[str], least: int) -> tuple[str, ...]:
    """The names that come `least` times or more, the most common first; an empty name is none.

    >>> common(["yeast", "human", "human", "", ""], least=1)
    ('human', 'yeast')
    """
    counts = Counter(name for name in names if name)
    return tuple(sorted((name for name in counts if counts[name] >= least), key=lambda name: (-counts[name], name)))


def read_table(path: str | Path) -> dict[int, str]:
    """A table of two columns with a tab between them, name and class, plain or gzip: the class by `key_of` the name.

    Raises DataError: no such file, a line without two columns, a name of two classes, nothing in it.
    """
    found: dict[int, str] = {}
    with Source(path) as source:
        for number, line in enumerate(source.lines(), 1):
            if not line.strip():
                continue
            columns = [column.strip() for column in line.split(b"\t")]
            if len(columns) != 2 or not all(columns):
                raise DataError(
                    f"{source.name}, line {number:,}: {shown(line)} is not two columns with a tab between them, the "
                    "name of a sequence and its class"
                )
            name, label = key_of(headers.identifier(columns[0])), columns[1].decode("utf-8", "surrogateescape")
            if found.setdefault(name, label) != label:
                raise DataError(
                    f"{source.name}, line {number:,}: {shown(columns[0])} is of {label} here and of {found[name]} "
                    "before: a sequence has one class"
                )
    if not found:
        raise DataError(f"{source.name} is empty: there is no class in it")
    return found
