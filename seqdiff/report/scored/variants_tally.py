"""The sums over scored variants of a genome, in one pass and in constant memory."""

from collections import Counter

import numpy as np

from seqdiff.data.scored_variants import ScoredAlleles
from seqdiff.report.scored.along import Along
from seqdiff.report.scored.classes import CLASSES, SUBSTITUTED, class_of
from seqdiff.report.scored.exchange import Exchange
from seqdiff.report.scored.extremes import Extremes
from seqdiff.report.scored.sites import Sites
from seqdiff.report.scored.spread import Spread

BASES = "ACGT"
GROUPS = {
    "single substitutions": (("transition", "transversion"), 50),
    "substitutions of several bases": (("MNV",), 20),
    "insertions": (("insertion",), 20),
    "deletions": (("deletion",), 20),
}
"""Classes whose extremes are listed together, and how many: every base that is added costs about 1.3 nats, so changes
of length are not ranked beside substitutions."""


class VariantsTally:
    """What a page says of scored variants."""

    def __init__(self) -> None:
        self.alleles = 0
        self.seen = np.zeros(len(CLASSES), np.int64)
        """Alleles of each class, scored or not."""
        self.reasons: Counter[str] = Counter()
        self.methods: Counter[str] = Counter()
        self.contexts = [0, 0]
        """The smallest and the largest context, 0: not known."""
        self.uncertain = 0
        """Scores that have a standard error, and the sum of those."""
        self.errors = 0.0
        self.spread = Spread(len(CLASSES))
        self.exchange = Exchange(BASES)
        self.sites = Sites(BASES)
        self.substituted, self.others = Along(), Along()
        """Along the genome: bases for as many, and all else."""
        self.extremes = {group: Extremes(number) for group, (_, number) in GROUPS.items()}
        self._code = np.full(256, -1, np.int64)
        for letters in (b"ACGT", b"acgt", b"ACGU", b"acgu"):
            self._code[list(letters)] = range(4)

    def add(self, alleles: ScoredAlleles) -> None:
        """Alleles that follow those that came before."""
        classes = np.array(list(map(class_of, alleles.refs, alleles.alts)), np.int64)
        scored = np.isfinite(alleles.llr)
        self.alleles += len(alleles)
        self.seen += np.bincount(classes, minlength=len(CLASSES))
        self.reasons.update(reason for reason in alleles.reasons if reason)
        self.methods.update(method for method, has in zip(alleles.methods, scored.tolist()) if has)
        known = alleles.contexts[alleles.contexts > 0]
        if len(known):
            low, high = int(known.min()), int(known.max())
            self.contexts = [min(self.contexts[0] or low, low), max(self.contexts[1], high)]
        doubtful = alleles.se[scored & (alleles.se > 0)]
        self.uncertain += len(doubtful)
        self.errors += float(doubtful.sum())
        self.spread.add(classes[scored], alleles.llr[scored])
        self._along(alleles, classes, scored)
        self._single(alleles, scored)
        columns = (
            alleles.contigs, alleles.positions, alleles.names, alleles.refs, alleles.alts, alleles.llr, alleles.se,
            alleles.methods, alleles.contexts,
        )  # fmt: skip
        for group, (names, _) in GROUPS.items():
            of_group = scored & np.isin(classes, [CLASSES.index(name) for name in names])
            if of_group.any():
                self.extremes[group].add(alleles.llr, of_group, columns)

    def _along(self, alleles: ScoredAlleles, classes: np.ndarray, scored: np.ndarray) -> None:
        same = np.isin(classes, [CLASSES.index(name) for name in SUBSTITUTED])
        for along, chosen in ((self.substituted, scored & same), (self.others, scored & ~same)):
            places = np.flatnonzero(chosen)
            if len(places):
                contigs = [alleles.contigs[i] for i in places.tolist()]
                along.add(contigs, alleles.positions[places], alleles.llr[places], classes[places])

    def _single(self, alleles: ScoredAlleles, scored: np.ndarray) -> None:
        """Single bases for single bases, as they are written."""
        single = [i for i, pair in enumerate(zip(alleles.refs, alleles.alts)) if len(pair[0]) == len(pair[1]) == 1]
        if not single:
            return
        refs, alts = (
            self._code[np.frombuffer("".join(column[i] for i in single).encode("latin-1", "replace"), np.uint8)]
            for column in (alleles.refs, alleles.alts)
        )
        places = np.array(single)
        letters = (refs >= 0) & (alts >= 0) & (refs != alts)
        both = letters & scored[places]
        self.exchange.add(refs[both], alts[both], alleles.llr[places[both]])
        if self.sites.more:
            self.sites.substitutions += int(letters.sum())
            return
        for i, ref, alt in zip(places[letters].tolist(), refs[letters].tolist(), alts[letters].tolist()):
            position = int(alleles.positions[i]) - 1
            self.sites.add(alleles.contigs[i], position, BASES[ref], BASES[alt], float(alleles.llr[i]))
