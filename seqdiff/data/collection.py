"""Sequences of many lengths in one encoded file: proteins, documents. A row of numbers a record, no objects."""

from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int, Int64, Integer

from seqdiff.alphabet import Alphabet


class Collection:
    """The records of a file as tokens, any of them at once; all arrays have one value a record.

    `table` has a row a record: where it `end`s among all tokens, how many of its letters are `known`, two halves of a
    hash of its letters (`sequence`, `sequence_too`), and what a subclass adds.
    """

    columns: tuple[str, ...] = ("end", "known", "sequence", "sequence_too")

    def __init__(self, path: Path, alphabet: Alphabet, checksum: str, codes: np.ndarray, words: np.ndarray):
        self.path, self.alphabet = path, alphabet
        self.checksum = checksum
        """blake2b-128, hex, of all sequences in their order: names, line breaks and compression do not matter."""
        self._codes = codes
        self._table = words.reshape(-1, len(self.columns))
        self._ends = np.concatenate([[0], self._table[:, 0]])

    def __len__(self) -> int:
        return len(self._table)

    @property
    def lengths(self) -> Int64[np.ndarray, "N"]:
        """Letters of each record."""
        return np.diff(self._ends)

    def lengths_of(self, records: Int[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        """Letters of some records, without a look at the others."""
        return self._ends[np.asarray(records) + 1] - self._ends[records]

    @property
    def known(self) -> Int64[np.ndarray, "N"]:
        """Letters of each record that are one symbol."""
        return self._table[:, 1]

    def keys(self, column: str) -> Int64[np.ndarray, "N"]:
        """A column of the table."""
        return self._table[:, self.columns.index(column)]

    def repeated(self) -> Bool[np.ndarray, "N"]:
        """Which records have the letters of one before them."""
        first, second = self.keys("sequence"), self.keys("sequence_too")
        order = np.argsort(first, kind="stable")
        same = (first[order][1:] == first[order][:-1]) & (second[order][1:] == second[order][:-1])
        found = np.zeros(len(self), bool)
        found[order[1:][same]] = True
        return found

    def tokens(self, record: int) -> Integer[np.ndarray, " length"]:
        """The tokens of a record, a view of the file."""
        return self._codes[self._ends[record] : self._ends[record + 1]]

    def gather(
        self, records: Int[np.ndarray, " n"], starts: Int[np.ndarray, " n"], sizes: Int[np.ndarray, " n"], width: int
    ) -> Integer[np.ndarray, "n width"]:
        """`sizes` tokens from `starts` of each record, padded on the right to `width`."""
        rows = np.full((len(records), width), self.alphabet.pad, self._codes.dtype)
        begin = self._ends[records] + starts
        assert (begin + sizes <= self._ends[np.asarray(records) + 1]).all(), "a piece ends after its record"
        for row, at, size in zip(rows, begin.tolist(), sizes.tolist(), strict=True):
            row[:size] = self._codes[at : at + size]
        return rows
