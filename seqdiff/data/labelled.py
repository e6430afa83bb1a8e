"""Sequences with labels, a row each: what a classifier or a regression learns from and is judged on."""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float64, Int

from seqdiff.alphabet import PROTEIN, Alphabet
from seqdiff.data.fasta import Record
from seqdiff.data.source import bytes_of
from seqdiff.data.table import read_table
from seqdiff.errors import DataError

log = logging.getLogger("seqdiff")

Task = Literal["classification", "regression"]
MOST_CLASSES = 20
"""Whole numbers of more kinds than these are taken for a quantity."""


@dataclass(frozen=True)
class Labelled:
    """The rows of a table that have a sequence and a label; `lines` say where in the file they are."""

    name: str
    """Of the file, for messages."""
    sequences: list[bytes]
    labels: list[str]
    lines: list[int]

    def __len__(self) -> int:
        return len(self.sequences)

    def records(self) -> list[Record]:
        """The rows as records, named by their line."""
        return [
            Record(f"line{line}", f"line{line}", text) for line, text in zip(self.lines, self.sequences, strict=True)
        ]

    def select(self, rows: Sequence[int] | np.ndarray) -> "Labelled":
        """Some of the rows."""
        lists = (self.sequences, self.labels, self.lines)
        return Labelled(self.name, *([each[row] for row in rows] for each in lists))

    def classes(self) -> tuple[str, ...]:
        """The labels there are, numbers by size. Raises DataError where there is one alone."""
        found = set(self.labels)
        if len(found) < 2:
            raise DataError(f"{self.name}: every label is {self.labels[0]!r}: give rows of two classes at least")
        numeric = all(_number(label) is not None for label in found)
        return tuple(sorted(found, key=float if numeric else str))

    def indices(self, classes: Sequence[str]) -> Int[np.ndarray, "N"]:
        """The place of each row's label among the classes. Raises DataError, with the line, for another label."""
        places = {label: i for i, label in enumerate(classes)}
        for label, line in zip(self.labels, self.lines, strict=True):
            if label not in places:
                raise DataError(
                    f"{self.name}, line {line:,}: the label {label!r} is none of those in the training rows "
                    f"({_listed(classes)})"
                )
        return np.array([places[label] for label in self.labels], np.int64)

    def numbers(self) -> Float64[np.ndarray, "N"]:
        """The labels as numbers. Raises DataError, with the line, for one that is none, and where all are the same."""
        values = [_number(label) for label in self.labels]
        for value, label, line in zip(values, self.labels, self.lines, strict=True):
            if value is None:
                raise DataError(f"{self.name}, line {line:,}: the label {label!r} is no number, as a regression needs")
        return np.array(values, np.float64)

    def task(self) -> Task:
        """Classification of words and of few whole numbers; regression of other numbers.

        >>> rows = Labelled("x.csv", [b"A"] * 3, ["0", "1", "0"], [2, 3, 4])
        >>> rows.task()
        'classification'
        """
        try:
            values = [float(label) for label in set(self.labels)]
        except ValueError:
            return "classification"
        return "classification" if len(values) <= MOST_CLASSES and all(map(_whole, values)) else "regression"


def read_labelled(
    path: str | Path, alphabet: Alphabet, *, sequence: str = "sequence", label: str = "label"
) -> Labelled:
    """The rows of a table with a column of sequences and one of labels; letters are checked, blanks around are not.

    Labels that are whole numbers are the same however written (1, 1.0). Raises DataError, with the line: no such
    column, an empty cell, a letter that the alphabet does not have.
    """
    table = read_table(path)
    texts, labels = table[sequence], table[label]
    sequences = []
    for text, name, line in zip(texts, labels, table.lines, strict=True):
        for column, cell in ((sequence, text), (label, name)):
            if not cell.strip():
                raise DataError(f"{table.name}, line {line:,}: no {column}: fill the cell or leave the row out")
        sequences.append(letters_of(text, alphabet, f"{table.name}, line {line:,}, column {sequence!r}"))
    if alphabet.name == PROTEIN.name:
        bases = sum(len(text) - len(text.translate(None, b"ACGTUNacgtun")) for text in sequences)
        if bases > 0.95 * sum(map(len, sequences)):
            log.warning(
                "%s: nearly all letters are A, C, G, T or N: is this DNA? This is a model of proteins", table.name
            )
    return Labelled(table.name, sequences, [plain(name.strip()) for name in labels], table.lines)


def letters_of(cell: str, alphabet: Alphabet, where: str) -> bytes:
    """A cell as a sequence, the `*` at the end of a protein left out. Raises DataError for a foreign letter."""
    text = bytes_of(cell.strip())
    if alphabet.name == PROTEIN.name:
        text = text.removesuffix(b"*")
    if (place := alphabet.first_invalid(text)) is not None:
        letter = text[place : place + 1].decode("ascii", "replace")
        raise DataError(
            f"{where}: {letter!r} at position {place + 1:,} is no letter of {alphabet.name}: is this a sequence of it?"
        )
    return text


def identity(sequence: bytes, alphabet: Alphabet) -> bytes:
    """What two rows share that are the same sequence: case is nothing, nor, for DNA, the strand.

    >>> from seqdiff.alphabet import DNA
    >>> identity(b"acctt", DNA) == identity(b"AAGGT", DNA)
    True
    """
    tokens = alphabet.encode(sequence)
    both = [alphabet.decode(tokens)]
    if alphabet.complementary:
        both.append(alphabet.decode(alphabet.reverse_complement(tokens)))
    return min(both)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _whole(value: float) -> bool:
    return math.isfinite(value) and value.is_integer()


def plain(label: str) -> str:
    """A label as it is compared: 1 for 1.0."""
    value = _number(label)
    return str(int(value)) if value is not None and _whole(value) and abs(value) < 2**53 else label


def _listed(classes: Sequence[str], most: int = 10) -> str:
    return ", ".join(map(repr, classes[:most])) + (", ..." if len(classes) > most else "")
