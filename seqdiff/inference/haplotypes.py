"""Score phased variants of a window together: each haplotype that is carried, against the genome."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from seqdiff.data.haplotypes import Group, Haplotype
from seqdiff.data.variants import Change, Reason, Variant, change
from seqdiff.inference.changes import ChangeScorer, Outcome

AT_ONCE = 1024
"""Haplotypes and alleles that share batches of the network."""


@dataclass(frozen=True)
class HaplotypeEffect:
    """log p(haplotype) - log p(genome) of all its variants together, and the sum of what they score one by one.

    `start` and `end` (counted from 0, end excluded) enclose what they change. `alone` is None where one of them has
    no score of its own.
    """

    contig: str
    start: int
    end: int
    variants: tuple[Variant, ...]
    copies: int
    outcome: Outcome
    alone: float | None


def haplotype_effects(
    groups: Iterable[Group], scorer: ChangeScorer, *, progress: Callable[[int], None] | None = None
) -> Iterator[HaplotypeEffect]:
    """The haplotypes of each group, the most frequent first; `progress` gets the number of records that are new."""
    held: list[_Carried] = []
    records = 0
    for group in groups:
        held += [_Carried(group, haplotype, scorer) for haplotype in sorted(group.copies, key=_rank(group))]
        records += len(group.records)
        if sum(1 + len(carried.variants) for carried in held) >= AT_ONCE:
            yield from _scored(held, scorer)
            if progress:
                progress(records)
            held, records = [], 0
    yield from _scored(held, scorer)
    if progress:
        progress(records)


def _rank(group: Group) -> Callable[[Haplotype], tuple]:
    return lambda haplotype: (-group.copies[haplotype], haplotype)


class _Carried:
    """A haplotype on its way: what each of its variants changes, and all together, or why that has no score."""

    def __init__(self, group: Group, haplotype: Haplotype, scorer: ChangeScorer):
        self.copies = group.copies[haplotype]
        self.variants = tuple(
            Variant(record.contig, record.start, record.ref, record.alternates[allele - 1])
            for record, allele in zip(group.records, haplotype, strict=True)
            if allele
        )
        # `*` says that the base is gone by a deletion that another record describes.
        written = [variant for variant in self.variants if variant.alt != "*"]
        self.single = [change(variant, scorer.genome, scorer.longest) for variant in written]
        # Beside others a variant stays where it is: a repeat may be no repeat on this haplotype.
        unmoved = [change(variant, scorer.genome, 0) for variant in written] if len(written) > 1 else self.single
        self.changes = tuple(sorted((each for each in unmoved if isinstance(each, Change)), key=lambda each: each[1:3]))
        self.reason: Reason | None = next((each for each in unmoved if isinstance(each, str)), None)
        if not written:
            self.reason = "overlapping_deletion"
        elif self.reason is None and any(map(_overlap, self.changes, self.changes[1:])):
            self.reason = "overlapping_alleles"


def _overlap(one: Change, other: Change) -> bool:
    """Whether both change the same bases, or insert at the same place."""
    return other.start < one.end or (one.start == other.start and not one.ref and not other.ref)


def _scored(held: list[_Carried], scorer: ChangeScorer) -> Iterator[HaplotypeEffect]:
    wanted = [carried.changes for carried in held if carried.reason is None]
    wanted += [(each,) for carried in held for each in carried.single if isinstance(each, Change)]
    outcomes = dict(zip(wanted, scorer(wanted), strict=True))
    for carried in held:
        alone = [outcomes[(each,)].llr if isinstance(each, Change) else None for each in carried.single]
        yield HaplotypeEffect(
            carried.variants[0].contig,
            min(variant.start for variant in carried.variants),
            max(variant.start + len(variant.ref) for variant in carried.variants),
            carried.variants,
            carried.copies,
            outcomes[carried.changes] if carried.reason is None else Outcome(reason=carried.reason),
            None if None in alone or not alone else math.fsum(alone),
        )
