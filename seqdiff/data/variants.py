"""Variants: what an allele changes in the genome, and whether its REF is what the genome has.

    REF and ALT of a line -> letters that both have trimmed off -> `Change`: these bases become those

A `Change` does not depend on how its VCF writes it: padding bases are gone, and an insertion or deletion within a
repeat stands at its leftmost place, together with how far it could be moved.
"""

from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from seqdiff.data.genome import Genome
from seqdiff.data.intervals import Interval, unknown_contig
from seqdiff.data.vcf import VcfRecord
from seqdiff.errors import DataError

Reason = Literal[
    "no_alternate",
    "symbolic",
    "breakend",
    "overlapping_deletion",
    "unknown_letter",
    "unknown_reference",
    "ref_mismatch",
    "same_as_reference",
    "too_long",
    "other_method",
    "overlapping_alleles",
]
"""Why there is no score. `other_method`: the method asked for is not for this class of variant."""


class Variant(NamedTuple):
    """An allele as a VCF writes it; `start` counts from 0."""

    contig: str
    start: int
    ref: str
    alt: str

    def __str__(self) -> str:
        """As in a VCF: 1-based.

        >>> print(Variant("chr1", 99, "A", "T"))
        chr1:100:A>T
        """
        return f"{self.contig}:{self.start + 1}:{self.ref}>{self.alt}"


class Change(NamedTuple):
    """The bases `ref` from `start` on become `alt`: nothing that both have at an end, either may be empty.

    `slack` is how many bases an insertion or deletion can be moved to the right without changing what results.
    """

    contig: str
    start: int
    ref: bytes
    alt: bytes
    slack: int = 0

    @property
    def end(self) -> int:
        return self.start + len(self.ref)

    @property
    def same_length(self) -> bool:
        """Whether what follows stays where it is."""
        return len(self.ref) == len(self.alt)


def change(variant: Variant, genome: Genome, longest: int) -> Change | Reason:
    """What a variant changes, or why that cannot be scored. Nothing is moved further than `longest` bases.

    Raises DataError for a place that the genome does not have.
    """
    if reason := _not_letters(variant.alt):
        return reason
    alphabet = genome.alphabet
    ref, alt = (alphabet.codes[list(allele.encode())] for allele in (variant.ref, variant.alt))
    there = genome.tokens(Interval(variant.contig, variant.start, variant.start + len(ref)))
    if max((*ref, *alt), default=0) >= alphabet.size:
        return "unknown_letter"
    if (there >= alphabet.size).any():
        return "unknown_reference"
    if (there != ref).any():
        return "ref_mismatch"
    if len(ref) == len(alt) and (ref == alt).all():
        return "same_as_reference"
    trimmed = _trimmed(variant.contig, variant.start, alphabet.decode(ref), alphabet.decode(alt))
    return trimmed if trimmed.ref and trimmed.alt else _leftmost(trimmed, genome, longest)


def _not_letters(alt: str) -> Reason | None:
    if alt.isalpha() or not alt:
        return None
    if alt == ".":
        return "no_alternate"
    if alt == "*":
        return "overlapping_deletion"
    return "symbolic" if alt.startswith("<") else "breakend"


def _trimmed(contig: str, start: int, ref: bytes, alt: bytes) -> Change:
    last = 0
    while last < min(len(ref), len(alt)) and ref[-1 - last] == alt[-1 - last]:
        last += 1
    ref, alt = ref[: len(ref) - last], alt[: len(alt) - last]
    first = 0
    while first < min(len(ref), len(alt)) and ref[first] == alt[first]:
        first += 1
    return Change(contig, start + first, ref[first:], alt[first:])


def _leftmost(change: Change, genome: Genome, longest: int) -> Change:
    """An insertion or deletion at the leftmost of its places, with its slack."""
    unit = change.ref or change.alt
    low = max(0, change.start - longest)
    before = genome.alphabet.decode(genome.tokens(Interval(change.contig, low, change.start)))
    high = min(genome.contigs[change.contig], change.end + longest)
    after = genome.alphabet.decode(genome.tokens(Interval(change.contig, change.end, high)))
    left = 0
    while left < len(before) and before[-1 - left] == unit[-1 - left % len(unit)]:
        left += 1
    right = 0
    while right < len(after) and after[right] == unit[right % len(unit)]:
        right += 1
    turn = -left % len(unit)
    unit = unit[turn:] + unit[:turn]
    ref, alt = (unit, b"") if change.ref else (b"", unit)
    return Change(change.contig, change.start - left, ref, alt, left + right)


def placed(record: VcfRecord, genome: Genome, source: str) -> None:
    """DataError for a record on a contig that the genome lacks, or past its end."""
    where = f"{source}, line {record.number:,}"
    if record.contig not in genome.contigs:
        raise DataError(f"{where}: {genome.path} lacks its contig: {unknown_contig(record.contig, genome.contigs)}")
    length = genome.contigs[record.contig]
    if record.start >= 0 and record.start + len(record.ref) <= length:
        return
    if all(_not_letters(alt) in ("symbolic", "breakend") for alt in record.alternates):
        if record.start <= length:  # POS 0 and one past the end are the telomeres
            return
    elif record.start < 0:
        raise DataError(f"{where}: POS 0: positions count from 1")
    raise DataError(
        f"{where}: {record.contig}:{record.start + 1:,} with REF {_short(record.ref)} runs past the end of "
        f"{record.contig} ({length:,}) in {genome.path}: is this the assembly that the VCF was made on?"
    )


def mismatch(record: VcfRecord, genome: Genome) -> str | None:
    """How REF and the genome differ where both have known letters, with a guess at the cause; None where they agree."""
    alphabet = genome.alphabet
    ref = alphabet.codes[list(record.ref.encode())]
    start, end = record.start, record.start + len(ref)
    length = genome.contigs[record.contig]
    if start < 0 or end > length:
        return None  # a telomere
    there = genome.tokens(Interval(record.contig, start, end))
    wrong = (ref != there) & (ref < alphabet.size) & (there < alphabet.size)
    if not wrong.any():
        return None

    def matches(begin: int) -> bool:
        if begin < 0 or begin + len(ref) > length:
            return False
        return bool((genome.tokens(Interval(record.contig, begin, begin + len(ref))) == ref).all())

    found = alphabet.decode(there)
    if found.decode() in (alt.upper() for alt in record.alternates):
        hint = "ALT is what it has: are REF and ALT swapped?"
    elif matches(start - 1) or matches(start + 1):
        side = "before" if matches(start - 1) else "after"
        hint = f"REF is right one base {side}: are positions off by one, or is this another assembly?"
    else:
        hint = "is this the assembly that the VCF was made on?"
    return f"REF is {_short(record.ref)}, but {genome.path} has {_short(found.decode())}; {hint}"


def _short(letters: str) -> str:
    return repr(letters if len(letters) <= 40 else letters[:40] + "...")


class Screen:
    """Lets through records whose REF is the genome's and whose place it has; counts the others.

    `mismatches`: how many records have another REF. With `error` the first is a DataError; with `warn` they pass, and
    their alleles have no score; with `exclude` they are left out. `first` describes the first.
    """

    def __init__(self, genome: Genome, source: str, check_ref: Literal["error", "warn", "exclude"] = "error"):
        self.genome, self.source, self.check_ref = genome, source, check_ref
        self.mismatches = 0
        self.first = ""

    def __call__(self, records: Iterable[VcfRecord]) -> Iterator[VcfRecord]:
        for record in records:
            placed(record, self.genome, self.source)
            if (what := mismatch(record, self.genome)) is None:
                yield record
                continue
            message = f"{self.source}, line {record.number:,}: {record.contig}:{record.start + 1:,}: {what}"
            if self.check_ref == "error":
                raise DataError(f"{message} (--check-ref warn or exclude goes on without such records)")
            self.mismatches += 1
            self.first = self.first or message
            if self.check_ref == "warn":
                yield record
