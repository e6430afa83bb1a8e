"""Score variants in the order in which they come, a few thousand at a time, whatever their number.

variants -> changes of the genome -> network calls shared between them -> `Effect`s, in the order of the variants
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from seqdiff.data.genome import Genome
from seqdiff.data.intervals import Interval
from seqdiff.data.variants import Reason, Variant, change
from seqdiff.data.vcf import VcfRecord
from seqdiff.inference.changes import ChangeScorer, Method

AT_ONCE = 4096
"""Variants that share batches of the network."""
BYTES_AT_ONCE = 1 << 25
"""Text of records held in memory; a single longer line is held alone."""


class Effect(NamedTuple):
    """log p(alternate) - log p(reference) of one allele, in nats, with its standard error, or why there is none.

    `context` is the number of letters of the genome that were looked at, the reference allele among them.
    """

    variant: Variant
    llr: float | None
    se: float | None
    method: Method | None
    context: int | None
    reason: Reason | None


def effects(
    variants: Iterable[Variant], scorer: ChangeScorer, *, progress: Callable[[int], None] | None = None
) -> Iterator[Effect]:
    """Effects in the order of the variants; `progress` gets the number of variants that are new.

    Raises DataError for a place that the genome does not have.
    """
    variants = iter(variants)
    while some := list(islice(variants, AT_ONCE)):
        changes = [change(variant, scorer.genome, scorer.longest) for variant in some]
        scored = [(each,) for each in changes if not isinstance(each, str)]
        if progress and len(scored) < len(some):
            progress(len(some) - len(scored))
        outcomes = iter(scorer(scored, progress))
        for variant, each in zip(some, changes, strict=True):
            if isinstance(each, str):
                yield Effect(variant, None, None, None, None, each)
            else:
                yield Effect(variant, *next(outcomes))


def annotate(
    records: Iterable[VcfRecord], scorer: ChangeScorer, *, progress: Callable[[int], None] | None = None
) -> Iterator[tuple[VcfRecord, list[Effect]]]:
    """Records in their order with the effects of their alleles, in the order of ALT (`.` counts as one)."""
    for group in _groups(records):
        found = effects((variant for record in group for variant in alleles(record)), scorer, progress=progress)
        for record in group:
            yield record, list(islice(found, len(record.alternates)))


def substitutions(spans: Iterable[Interval], genome: Genome) -> Iterator[Variant]:
    """Every other base at every position of the spans, in order; all bases in place of an unknown one.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = open(f"{folder}/a.fa", "w").write(">a\\nAN\\n")
    ...     genome = Genome.open(f"{folder}/a.fa")
    ...     [str(variant) for variant in substitutions([Interval("a", 0, 2)], genome)]
    ['a:1:A>C', 'a:1:A>G', 'a:1:A>T', 'a:2:N>A', 'a:2:N>C', 'a:2:N>G', 'a:2:N>T']
    """
    for span in spans:
        for first in range(span.start, span.end, AT_ONCE):
            part = Interval(span.contig, first, min(first + AT_ONCE, span.end))
            for position, ref in enumerate(genome.alphabet.decode(genome.tokens(part)).decode(), first):
                for alt in genome.alphabet.symbols.replace(ref, ""):
                    yield Variant(span.contig, position, ref, alt)


def alleles(record: VcfRecord) -> list[Variant]:
    """A record allele by allele."""
    return [Variant(record.contig, record.start, record.ref, alternate) for alternate in record.alternates]


def _groups(records: Iterable[VcfRecord]) -> Iterator[list[VcfRecord]]:
    """Records a few at a time: long lines, of many samples, do not fill the memory."""
    group, variants, size = [], 0, 0
    for record in records:
        here = record.columns[4].count(b",") + 1
        if group and (variants + here > AT_ONCE or size >= BYTES_AT_ONCE):
            yield group
            group, variants, size = [], 0, 0
        group.append(record)
        variants += here
        size += sum(map(len, record.columns))
    if group:
        yield group
