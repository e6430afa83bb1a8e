"""Phased genotypes: which haplotypes the samples of a VCF carry in a window.

records in order -> groups that fit a window -> the alleles of every phased sample -> distinct haplotypes, counted
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from seqdiff.data.source import shown
from seqdiff.data.vcf import VcfRecord
from seqdiff.errors import DataError

_CALL = re.compile(rb"(?:\d+|\.)(?:[/|](?:\d+|\.))*")

Haplotype = tuple[int, ...]
"""The allele at each record of a group: 0 is REF, 1 the first of ALT."""


@dataclass
class Group:
    """Records of a window, and how many haplotypes of samples carry which alleles there; REF everywhere is left out.

    Samples that cannot be read as haplotypes are counted, and the first of each kind is named.
    """

    records: list[VcfRecord]
    copies: dict[Haplotype, int] = field(default_factory=dict)
    unphased: int = 0
    """Samples of which it is not known which alleles lie on one chromosome."""
    missing: int = 0
    """Samples with an unknown allele, or a number of chromosomes that changes within the group."""
    first_unphased: str = ""


def groups(records: Iterable[VcfRecord], reach: int, samples: Sequence[str], source: str) -> Iterator[Group]:
    """Groups of records, from the left: as many as lie, with their REF, within `reach` bases.

    Raises DataError: records out of order, no genotypes, genotypes that cannot be read.
    """
    if not samples:
        raise DataError(f"{source} has no samples: haplotypes are read from phased genotypes (0|1) of its samples")
    held: list[VcfRecord] = []
    seen: set[bytes] = set()
    for record in records:
        contig, before = record.columns[0], held[-1] if held else None
        if before is None or before.columns[0] != contig:
            if contig in seen:
                raise DataError(_disorder(source, record))
            seen.add(contig)
        elif record.start < before.start:
            raise DataError(_disorder(source, record))
        if before and (before.columns[0] != contig or record.start + len(record.ref) - held[0].start > reach):
            yield _counted(held, samples, source)
            held = []
        held.append(record)
    if held:
        yield _counted(held, samples, source)


def _disorder(source: str, record: VcfRecord) -> str:
    return (
        f"{source}, line {record.number:,}: {record.contig}:{record.start + 1:,} lies before the line above it, or its "
        "contig came before: haplotypes need a sorted VCF, as `bcftools sort` makes it"
    )


def _counted(records: list[VcfRecord], samples: Sequence[str], source: str) -> Group:
    group = Group(records)
    calls = [_calls(record, source) for record in records]
    kinds: dict[tuple[bytes, ...], list[int]] = {}
    for sample, call in enumerate(zip(*calls, strict=True)):
        kinds.setdefault(call, []).append(sample)  # most samples of a group are alike: each kind is read once
    for call, members in kinds.items():
        read = _read(call)
        if isinstance(read, str):
            setattr(group, read, getattr(group, read) + len(members))
            if read == "unphased":
                group.first_unphased = group.first_unphased or samples[members[0]]
            continue
        for haplotype in read:
            if any(haplotype):
                group.copies[haplotype] = group.copies.get(haplotype, 0) + len(members)
    _check_alleles(group, source)
    return group


def _calls(record: VcfRecord, source: str) -> list[bytes]:
    """Genotype, and phase set where there is one, of every sample."""
    where = f"{source}, line {record.number:,}"
    form, *columns = record.columns[8].split(b"\t")
    keys = form.split(b":")
    if keys[0] != b"GT":
        raise DataError(f"{where}: FORMAT does not begin with GT: haplotypes are read from genotypes")
    phase = keys.index(b"PS") if b"PS" in keys else None
    calls = {}
    for column in set(columns):
        values = column.split(b":")
        if not _CALL.fullmatch(values[0]):
            raise DataError(f"{where}: {shown(values[0])} is no genotype like 0|1")
        known = phase is not None and phase < len(values) and values[phase] != b"."
        calls[column] = values[0] + (b" " + values[phase] if known else b"")
    return [calls[column] for column in columns]


def _read(calls: Sequence[bytes]) -> list[Haplotype] | str:
    """The haplotypes of a sample from its genotype at each record, or why they are not known."""
    alleles, sets, mixed = [], set(), 0
    phased = True
    for call in calls:
        genotype, _, phase = call.partition(b" ")
        numbers = re.split(rb"[/|]", genotype)
        if b"." in numbers:
            return "missing"
        here = tuple(map(int, numbers))
        if len(set(here)) > 1:
            mixed += 1
            phased &= b"/" not in genotype
            sets.add(phase)
        alleles.append(here)
    if len({len(here) for here in alleles}) > 1:
        return "missing"
    if mixed > 1 and (not phased or len(sets) > 1):
        return "unphased"
    return list(zip(*alleles, strict=True))


def _check_alleles(group: Group, source: str) -> None:
    for i, record in enumerate(group.records):
        most = max((haplotype[i] for haplotype in group.copies), default=0)
        there = 0 if record.columns[4] == b"." else len(record.alternates)
        if most > there:
            raise DataError(f"{source}, line {record.number:,}: a genotype names allele {most}, but ALT has {there}")
