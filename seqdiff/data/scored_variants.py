"""Variants with the scores that `seqdiff variants` gave them, read in pieces: a VCF, or one of its tables.

    VCF with SEQDIFF_ fields | contig pos [id] ref alt llr [se method context reason] -> `ScoredAlleles`: columns

A file of any size takes the memory of one piece.
"""

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64

from seqdiff.data.source import Source, shown, text_of
from seqdiff.data.vcf import Vcf, VcfRecord
from seqdiff.errors import DataError

TABLE = (b"contig", b"pos", b"id", b"ref", b"alt", b"llr", b"se", b"method", b"context", b"reason")
SATURATED = (b"contig", b"pos", b"ref", b"alt", b"llr")
AT_ONCE = 1 << 15
"""Alleles in a piece."""
NOT_SCORED = "not_scored"
"""The reason of alleles in lines without SEQDIFF_LLR, which some other program put between the scored ones."""
_FIELD = re.compile(rb"(?:^|;)SEQDIFF_([A-Z]+)=([^;]*)")


@dataclass(frozen=True)
class ScoredAlleles:
    """Alleles column by column: positions count from 1, `llr` and `se` are nats and NaN where there are none."""

    contigs: list[str]
    positions: Int64[np.ndarray, "n"]
    names: list[str]
    refs: list[str]
    alts: list[str]
    llr: Float64[np.ndarray, "n"]
    se: Float64[np.ndarray, "n"]
    methods: list[str]
    contexts: Int64[np.ndarray, "n"]
    """Bases that were looked at, 0 where that is not known."""
    reasons: list[str]
    """Why there is no score; empty where there is one."""

    def __len__(self) -> int:
        return len(self.contigs)


Row = tuple[str, int, str, str, str, float, float, str, int, str]


def is_scored_header(line: bytes) -> bool:
    """Whether a line is the header of a table of scored variants.

    >>> is_scored_header(b"contig\\tpos\\tref\\talt\\tllr")
    True
    """
    return tuple(line.split(b"\t")) in (TABLE, SATURATED)


def scored_vcf(
    path: str | Path, *, progress: Callable[[int], None] | None = None
) -> "tuple[str, Iterator[ScoredAlleles]]":
    """By what a VCF was scored, and its alleles. Raises DataError at once where it has no scores, and as `Vcf` does."""
    with Vcf(path) as vcf:
        by = _declared(vcf)
    return by, _pieces(_of_vcf(path, progress))


def scored_table(
    path: str | Path, *, progress: Callable[[int], None] | None = None
) -> "tuple[str, Iterator[ScoredAlleles]]":
    """By what a table of variants was scored, and its alleles.

    Raises DataError with file and line: a line of too few or too many columns, a number that is none.
    """
    comment = ""
    with Source(path) as source:
        for line in source.lines():
            if not line.startswith(b"#"):
                break
            comment = comment or text_of(line.lstrip(b"# "))
    return comment, _pieces(_of_table(path, progress))


def _declared(vcf: Vcf) -> str:
    """What the header says of SEQDIFF_LLR."""
    for line in vcf.meta:
        if line.startswith(b"##INFO=<ID=SEQDIFF_LLR,"):
            found = re.search(r'Description="(.*)"', text_of(line))
            return found[1] if found else ""
    raise DataError(
        f"{vcf.name} has no scores (no SEQDIFF_LLR in its header): `seqdiff variants --vcf {vcf.name} --fasta "
        "REFERENCE -o scored.vcf.gz` makes them"
    )


def _of_vcf(path: str | Path, progress: Callable[[int], None] | None) -> Iterator[Row]:
    with Vcf(path, progress=progress) as vcf:
        for record in vcf.records():
            yield from _alleles(record, vcf.name)


def _alleles(record: VcfRecord, source: str) -> Iterator[Row]:
    contig, _, name, ref, alt = map(_legible, record.columns[:5])
    alternates = alt.split(",")
    fields = dict(_FIELD.findall(record.columns[7]))
    position = record.start + 1
    if b"LLR" not in fields:
        for allele in alternates:
            yield contig, position, name, ref, allele, math.nan, math.nan, "", 0, NOT_SCORED
        return
    columns = []
    for field in (b"LLR", b"SE", b"METHOD", b"CONTEXT", b"REASON"):
        values = text_of(fields[field]).split(",") if field in fields else ["."] * len(alternates)
        if len(values) != len(alternates):
            raise DataError(
                f"{source}, line {record.number:,}: SEQDIFF_{field.decode()} has {len(values)} values for "
                f"{len(alternates)} alternate alleles: was the line split without its INFO? Score the file again"
            )
        columns.append(values)
    where = f"{source}, line {record.number:,}"
    for allele, llr, se, method, context, reason in zip(alternates, *columns, strict=True):
        numbers = _number(llr, where), _number(se, where), "" if method == "." else method, _whole(context, where)
        yield contig, position, name, ref, allele, *numbers, _reason(reason, numbers[0])


def _of_table(path: str | Path, progress: Callable[[int], None] | None) -> Iterator[Row]:
    with Source(path, progress=progress) as source:
        columns: tuple[bytes, ...] = ()
        for number, line in enumerate(source.lines(), 1):
            if not columns:
                if line and not line.startswith(b"#"):
                    columns = tuple(line.split(b"\t"))
                continue
            cells = _legible(line).split("\t")
            where = f"{source.name}, line {number:,}"
            if len(cells) != len(columns):
                raise DataError(
                    f"{where}: {shown(line)} has {len(cells)} columns, the header {len(columns)}: is it cut short?"
                )
            if columns == SATURATED:
                contig, position, ref, alt, llr = cells
                name, se, method, context, reason = ".", "0", "marginal", ".", "."
            else:
                contig, position, name, ref, alt, llr, se, method, context, reason = cells
            if not position.isdigit() or len(position) > 18:
                raise DataError(f"{where}: pos {position[:40]!r} is no whole number")
            score, method = _number(llr, where), "" if method == "." else method
            yield (
                contig, int(position), name, ref, alt, score, _number(se, where), method, _whole(context, where),
                _reason(reason, score),
            )  # fmt: skip


def _pieces(rows: Iterator[Row]) -> Iterator[ScoredAlleles]:
    held: list[Row] = []
    for row in rows:
        held.append(row)
        if len(held) == AT_ONCE:
            yield _piece(held)
            held = []
    if held:
        yield _piece(held)


def _piece(rows: list[Row]) -> ScoredAlleles:
    contigs, positions, names, refs, alts, llr, se, methods, contexts, reasons = map(list, zip(*rows, strict=True))
    return ScoredAlleles(
        contigs, np.array(positions, np.int64), names, refs, alts, np.array(llr, np.float64), np.array(se, np.float64),
        methods, np.array(contexts, np.int64), reasons,
    )  # fmt: skip


def _legible(data: bytes) -> str:
    """Text to be shown, with a mark where it is not UTF-8."""
    return data.decode("utf-8", "replace")


def _number(text: str, where: str) -> float:
    if text == ".":
        return math.nan
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"{where}: the score {text[:40]!r} is no number: score the file again")
    return value


def _whole(text: str, where: str) -> int:
    if text == ".":
        return 0
    if not text.isdigit() or len(text) > 18:
        raise DataError(f"{where}: the context {text[:40]!r} is no whole number: score the file again")
    return int(text)


def _reason(text: str, llr: float) -> str:
    """Why there is no score; where a line does not say, that it was not scored."""
    if not math.isnan(llr):
        return ""
    return NOT_SCORED if text == "." else text
