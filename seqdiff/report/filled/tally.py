"""The sums over a table of filled letters, in one pass and in constant memory."""

from pathlib import Path

import numpy as np

from seqdiff.data.filled_table import FilledLetters
from seqdiff.report.filled.chosen import Chosen
from seqdiff.report.filled.edges import Edges
from seqdiff.report.filled.gaps import ClosedGaps, Gaps
from seqdiff.report.filled.samples import Samples, numbered
from seqdiff.report.filled.truth import Truth

CONFIDENCES = 20
"""Bars of the histogram of the probabilities of filled letters."""
LENGTHS = 32
"""Powers of two by which lengths of gaps are counted."""
ROWS = 500
"""Gaps that are listed, from the first on."""


class Tally:
    """What a page says of all letters: exact sums, and a few gaps chosen to be shown.

    `gaps_shown`: gaps that are chosen for each reason. `fasta`: what was filled, if it is at hand.
    """

    def __init__(self, symbols: str, *, gaps_shown: int = 4, fasta: str | Path | None = None):
        self.symbols = symbols
        self.records = self.fillings = self.letters = self.gaps = 0
        """Records, fillings of them, filled letters and gaps of all fillings."""
        self.confidence = self.bits = 0.0
        """Sums of the probabilities of filled letters, so how many are expected to be right, and of entropies."""
        self.confidences = np.zeros(CONFIDENCES, np.int64)
        self.lengths = np.zeros(LENGTHS, np.int64)
        self.letters_of_length = np.zeros(LENGTHS, np.int64)
        self.longest = 0
        self.filled = np.zeros(256, np.int64)
        self.expected = np.zeros(len(symbols))
        """Sums of the probabilities of each symbol."""
        self.edges, self.samples, self.chosen = Edges(), Samples(), Chosen(gaps_shown)
        self.truth = None if fasta is None else Truth(fasta, symbols)
        self.rows: list[tuple[str, int, int, float, float, str]] = []
        """Of the first gaps: record, start from 1, length, mean probability, mean entropy, first letters."""
        self._gaps = Gaps()
        self._column = np.zeros(256, np.int64)
        self._column[list(symbols.encode())] = np.arange(len(symbols))
        self._last = ""  # the name of the last filling
        self._end = -1
        self._again: set[str] = set()

    def add(self, block: FilledLetters) -> None:
        """Letters that follow those that came before."""
        if not len(block.positions):
            return
        p = block.probabilities
        confidence = p[np.arange(len(p)), self._column[block.letters]]
        logs = np.log2(p, out=np.zeros_like(p), where=p > 0)
        bits = -(p * logs).sum(-1)
        self.letters += len(p)
        self.confidence += float(confidence.sum())
        self.bits += float(bits.sum())
        place = np.minimum((confidence * CONFIDENCES).astype(np.int64), CONFIDENCES - 1)
        self.confidences += np.bincount(place, minlength=CONFIDENCES)
        self.filled += np.bincount(block.letters, minlength=256)
        self.expected += p.sum(0)
        self._edges(block, confidence, bits)
        others = self._records(block, confidence)
        self._closed(self._gaps.add(block, confidence, bits), self._again | {name for name, _ in others})
        for name, part in others:  # now that the gaps of their records' first fillings are chosen
            base, number = numbered(name)
            for shown in self.chosen.of_record(base):
                shown.add_sample(number, block.positions[part], block.letters[part])
        self._last = block.names[-1]
        self._again = {self._last} & {name for name, _ in others}
        self._end = int(block.positions[-1]) + 1

    def finish(self) -> "Tally":
        """The table has ended."""
        closed = self._gaps.finish()
        if closed is not None:
            self._closed(closed, self._again)
        self.edges.finish()
        self.samples.finish()
        if self.truth is not None:
            self.truth.finish()
        return self

    def _edges(self, block: FilledLetters, confidence: np.ndarray, bits: np.ndarray) -> None:
        positions = block.positions
        begins = np.append(True, np.diff(positions) != 1)
        begins[block.firsts] = True
        goes_on = block.names[0] == self._last and int(positions[0]) == self._end
        self.edges.add(np.flatnonzero(begins), goes_on, confidence, bits)

    def _records(self, block: FilledLetters, confidence: np.ndarray) -> list[tuple[str, slice]]:
        """Counts records and fillings; where the letters of fillings stand that are not the first of their record."""
        others = []
        ends = [*block.firsts.tolist()[1:], len(block.positions)]
        for i, (name, first, last) in enumerate(zip(block.names, block.firsts.tolist(), ends, strict=True)):
            part = slice(first, last)
            positions, letters = block.positions[part], block.letters[part]
            new = not (i == 0 and name == self._last)
            self.fillings += new
            if self.samples.add(name, positions, letters, block.probabilities[part]):
                others.append((name, part))
            else:
                self.records += new
            if self.truth is not None:
                self.truth.add(name, positions, letters, confidence[part])
        return others

    def _closed(self, gaps: ClosedGaps, again: set[str]) -> None:
        if not len(gaps):
            return
        self.gaps += len(gaps)
        self.longest = max(self.longest, int(gaps.lengths.max()))
        power = np.frexp(gaps.lengths.astype(np.float64))[1] - 1
        self.lengths += np.bincount(power, minlength=LENGTHS)
        self.letters_of_length += np.bincount(power, gaps.lengths, LENGTHS).astype(np.int64)
        allowed = np.array([name not in again for name in gaps.names])
        self.chosen.offer(gaps, allowed, lambda name: numbered(name)[0])
        for gap in range(min(ROWS - len(self.rows), len(gaps))):
            length = int(gaps.lengths[gap])
            means = float(gaps.confidence[gap]) / length, float(gaps.bits[gap]) / length
            letters = gaps.head(gap)[0][:40].tobytes().decode() + ("..." if length > 40 else "")
            self.rows.append((gaps.names[gap], int(gaps.starts[gap]) + 1, length, *means, letters))
