"""What the FASTA that was filled says: the letters beside the gaps, and those that `--bed` or `--region` hid."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64, UInt8

from seqdiff.data.fasta import read_records
from seqdiff.data.source import name_of
from seqdiff.errors import DataError
from seqdiff.report.filled.chosen import Shown
from seqdiff.report.filled.samples import numbered

NEAR = 50
"""Known letters on either side of a gap whose composition is compared with that of the filled ones."""
BINS = 10
"""Of the probability of the filled letter, in which it is counted how often it was right."""
FEWEST = 20
"""Hidden letters, all of them filled right, from which on the FASTA is taken for the filled one."""


class Truth:
    """Sums over filled letters whose record is at hand, in the order of the FASTA."""

    def __init__(self, path: str | Path, symbols: str, *, progress: Callable[[int], None] | None = None):
        self._path, self._name = path, name_of(path)
        self._records = read_records(path, duplicates="first", progress=progress)
        self._codes = np.full(256, 255, np.uint8)
        for letter in (symbols, symbols.lower()):
            self._codes[list(letter.encode())] = list(symbols.encode())
        if "T" in symbols and "U" not in symbols:
            self._codes[list(b"Uu")] = ord("T")
        self._record, self._sequence = "", np.zeros(0, np.uint8)
        self.hidden = np.zeros(BINS, np.int64)
        """Filled letters that the FASTA knows, by the probability of the filled one."""
        self.right = np.zeros(BINS, np.int64)
        self.said = np.zeros(BINS)
        """The sum of those probabilities."""
        self.near = np.zeros(256, np.int64)
        """Known letters near gaps."""

    def add(
        self,
        name: str,
        positions: Int64[np.ndarray, "n"],
        letters: UInt8[np.ndarray, "n"],
        confidence: Float64[np.ndarray, "n"],
    ) -> None:
        """Letters of one record. Raises DataError where the FASTA has no such record, or a shorter one."""
        sequence = self._of(name)
        if positions[-1] >= len(sequence):
            raise DataError(
                f"{self._name}: {self._record} has {len(sequence):,} letters, but one was filled at "
                f"{positions[-1] + 1:,}: give the FASTA that was filled (with --insert: the filled one)"
            )
        there = sequence[positions]
        known = there != 255
        place = np.minimum((confidence[known] * BINS).astype(np.int64), BINS - 1)
        self.hidden += np.bincount(place, minlength=BINS)
        self.said += np.bincount(place, confidence[known], BINS)
        self.right += np.bincount(place, there[known] == letters[known], BINS).astype(np.int64)
        self.near += np.bincount(self._beside(positions, sequence), minlength=256)[:256]

    def finish(self) -> None:
        """Raises DataError where the FASTA looks like the filled one, with which every letter agrees."""
        hidden, right, said = (int(self.hidden.sum()), int(self.right.sum()), float(self.said.sum()))
        if hidden >= FEWEST and right == hidden and said < 0.95 * hidden:
            raise DataError(
                f"{self._name} has every one of {hidden:,} filled letters as it was filled, of which {said:,.0f} were "
                "to be right: is it the filled FASTA? Give the one that was filled, or none"
            )

    def around(self, gaps: list[Shown], flank: int) -> dict[int, tuple[str, str, str]]:
        """Of each gap, by its id: the known letters before and after it, and what the FASTA has in its place."""
        wanted: dict[str, list[Shown]] = {}
        for gap in gaps:
            wanted.setdefault(gap.name, []).append(gap)
            if gap.base != gap.name:
                wanted.setdefault(gap.base, []).append(gap)
        found = {}
        for record in read_records(self._path, duplicates="first"):
            for gap in wanted.get(record.name, ()):
                sequence, end = record.sequence.upper(), gap.start + gap.length
                last = len(sequence) if gap.after < 0 else gap.after
                left = self._known(sequence[max(gap.before, gap.start - flank) : gap.start][::-1])[::-1]
                right = self._known(sequence[end : min(last, end + flank)])
                inside = sequence[gap.start : gap.start + len(gap.letters)].decode("ascii", "replace")
                found.setdefault(id(gap), (left, right, inside))
        return found

    def _known(self, letters: bytes) -> str:
        """As far as letters are known."""
        unknown = np.flatnonzero(self._codes[np.frombuffer(letters, np.uint8)] == 255)
        return letters[: int(unknown[0]) if len(unknown) else None].decode()

    def _of(self, name: str) -> UInt8[np.ndarray, "L"]:
        if self._record not in (name, numbered(name)[0]) or not self._record:
            for record in self._records:
                if record.name in (name, numbered(name)[0]):
                    break
            else:
                raise DataError(
                    f"{self._name} has no record {name!r}, or not in the order of the table: give the FASTA that was "
                    "filled"
                )
            self._record = record.name
            self._sequence = self._codes[np.frombuffer(record.sequence, np.uint8)]
        return self._sequence

    def _beside(self, positions: Int64[np.ndarray, "n"], sequence: UInt8[np.ndarray, "L"]) -> UInt8[np.ndarray, "m"]:
        """Known letters near the gaps of these positions, twice where they are near two of them."""
        starts = positions[np.append(True, np.diff(positions) != 1)]
        ends = positions[np.append(np.diff(positions) != 1, True)] + 1
        steps = np.arange(NEAR)
        before = np.append(0, ends[:-1])[:, None]
        after = np.append(starts[1:], len(sequence))[:, None]
        left, right = starts[:, None] - 1 - steps, ends[:, None] + steps
        letters = np.concatenate([sequence[left[left >= before]], sequence[right[right < after]]])
        return letters[letters != 255]
