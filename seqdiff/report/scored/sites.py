"""Positions at which every substitution is scored: what a heat map is drawn of."""

import itertools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

CELLS = 8000
"""Positions times letters that are kept, from the first position on: of DNA 2,000 positions, of a protein 400."""


@dataclass(frozen=True)
class Stretch:
    """Successive positions: `start` from 0, the reference, and the score of each symbol, 0 of the reference itself."""

    contig: str
    start: int
    reference: str
    llr: Float64[np.ndarray, "L K"]


class Sites:
    """Scores of single substitutions by position, of the first `most` positions."""

    def __init__(self, symbols: str):
        self.symbols, self.most = symbols, CELLS // len(symbols)
        self.substitutions = 0
        """All that came, also those of positions that are not kept."""
        self.more = False
        """Whether there were more positions than are kept."""
        self._known: dict[tuple[str, int], tuple[str, np.ndarray]] = {}

    def add(self, contig: str, position: int, ref: str, alt: str, llr: float) -> None:
        """One substitution, position from 0; NaN where it has no score. Other letters than symbols are left out."""
        if ref not in self.symbols or alt not in self.symbols or not ref or not alt:
            return
        self.substitutions += 1
        found = self._known.get((contig, position))
        if found is None:
            if len(self._known) == self.most:
                self.more = True
                return
            row = np.full(len(self.symbols), np.nan)
            row[self.symbols.index(ref)] = 0.0
            found = self._known[contig, position] = (ref, row)
        if found[0] == ref:
            found[1][self.symbols.index(alt)] = llr

    def saturated(self, share: float = 0.5) -> bool:
        """Whether most kept positions have at least this share of all substitutions."""
        full = [np.isfinite(row).sum() - 1 >= share * (len(self.symbols) - 1) for _, row in self._known.values()]
        return len(full) > 1 and sum(full) > 0.5 * len(full)

    def stretches(self, apart: int = 1) -> list[Stretch]:
        """The kept positions in their order; a stretch goes on where the next position is at most so far away."""
        order = {contig: number for number, contig in enumerate(dict.fromkeys(contig for contig, _ in self._known))}
        places = sorted(self._known, key=lambda place: (order[place[0]], place[1]))
        breaks = [
            i
            for i in range(1, len(places))
            if places[i][0] != places[i - 1][0] or places[i][1] - places[i - 1][1] > apart
        ]
        stretches = []
        breaks = [0, *breaks, len(places)]
        for first, last in itertools.pairwise(breaks):
            if first == last:
                continue
            contig, start = places[first]
            length = places[last - 1][1] - start + 1
            llr = np.full((length, len(self.symbols)), np.nan)
            reference = ["?"] * length
            for place in places[first:last]:
                ref, row = self._known[place]
                reference[place[1] - start], llr[place[1] - start] = ref, row
            stretches.append(Stretch(contig, start, "".join(reference), llr))
        return stretches
