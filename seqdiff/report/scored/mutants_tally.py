"""The sums over scored mutants of a protein, in one pass: two numbers a mutant are kept, for the rank correlation."""

from array import array
from collections import Counter

import numpy as np
from jaxtyping import Bool, Float64

from seqdiff.alphabet import PROTEIN
from seqdiff.data.mutations import Substitution, substitutions
from seqdiff.data.scored_mutants import ScoredMutants
from seqdiff.report.scored.exchange import Exchange
from seqdiff.report.scored.extremes import Extremes
from seqdiff.report.scored.sites import Sites
from seqdiff.report.scored.spread import Spread

CLASSES = ("1 substitution", "2 substitutions", "3 or more substitutions", "other lengths, other words", "wild type")
"""The fourth: insertions, deletions and whatever names no substitutions."""
LISTED = 50
"""Mutants of the highest and of the lowest scores."""


class MutantsTally:
    """What a page says of scored mutants. `protein`: the name of the sites' contig, for the axis of the heat map."""

    def __init__(self, protein: str = "the protein"):
        self.protein = protein
        self.mutants = 0
        self.seen = np.zeros(len(CLASSES), np.int64)
        self.reasons: Counter[str] = Counter()
        self.methods: Counter[str] = Counter()
        self.uncertain = 0
        """Scores that have a standard error, and the sum of those."""
        self.errors = 0.0
        self.spread = Spread(len(CLASSES))
        self.exchange = Exchange(PROTEIN.symbols)
        self.sites = Sites(PROTEIN.symbols)
        self.extremes = Extremes(LISTED)
        self._llr, self._per_residue, self._measured = array("d"), array("d"), array("d")
        self._class = array("b")

    def add(self, piece: ScoredMutants) -> None:
        """Mutants that follow those that came before."""
        named = [substitutions(mutant) for mutant in piece.mutants]
        classes = np.array([_class(each) for each in named], np.int64)
        scored = np.isfinite(piece.llr)
        self.mutants += len(piece)
        self.seen += np.bincount(classes, minlength=len(CLASSES))
        self.reasons.update(reason for reason, has in zip(piece.reasons, scored.tolist()) if not has)
        self.methods.update(method for method, has in zip(piece.methods, scored.tolist()) if has)
        doubtful = piece.se[scored & (piece.se > 0)]
        self.uncertain += len(doubtful)
        self.errors += float(doubtful.sum())
        self.spread.add(classes[scored], piece.llr[scored])
        mutated = scored & (classes != CLASSES.index("wild type"))
        columns = (piece.mutants, piece.llr, piece.se, piece.methods, piece.measured)
        self.extremes.add(piece.llr, mutated, columns)
        self._single([(each[0], i) for i, each in enumerate(named) if each and len(each) == 1], piece, scored)
        both = scored & np.isfinite(piece.measured)
        self._llr.extend(piece.llr[both])
        self._per_residue.extend(piece.per_residue[both])
        self._measured.extend(piece.measured[both])
        self._class.extend(classes[both].tolist())

    def _single(
        self, single: list[tuple[Substitution, int]], piece: ScoredMutants, scored: Bool[np.ndarray, "n"]
    ) -> None:
        symbols = PROTEIN.symbols
        known = [(each, i) for each, i in single if each.before in symbols and each.after in symbols]
        for each, i in known:
            self.sites.add(self.protein, each.number - 1, each.before, each.after, float(piece.llr[i]))
        cells = [(symbols.index(each.before), symbols.index(each.after), i) for each, i in known if scored[i]]
        if cells:
            before, after, rows = np.array(cells).T
            self.exchange.add(before, after, piece.llr[rows])

    @property
    def pairs(self) -> tuple[Float64[np.ndarray, "m"], Float64[np.ndarray, "m"], np.ndarray, bool]:
        """Score, measurement and class of the mutants that have both, and whether scores are by residue.

        They are where some mutants are longer or shorter than the wild type, as in `seqdiff evaluate`.
        """
        columns = (np.array(column, np.float64) for column in (self._per_residue, self._llr, self._measured))
        per_residue, llr, measured = columns
        classes = np.array(self._class, np.int8)
        by_residue = bool((classes == CLASSES.index("other lengths, other words")).any())
        by_residue = by_residue and bool(np.isfinite(per_residue).all())
        return per_residue if by_residue else llr, measured, classes, by_residue


def _class(named: tuple[Substitution, ...] | None) -> int:
    if named is None:
        return CLASSES.index("other lengths, other words")
    return CLASSES.index("wild type") if not named else min(len(named), 3) - 1
