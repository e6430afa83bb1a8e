"""Scores as pandas frames, with the columns of the tables that the command line writes; what is not known is missing.

Alleles and mutants as Python programs hold them are read here as well.
"""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqdiff.data.source import bytes_of, text_of
from seqdiff.data.table import Table, read_table
from seqdiff.data.variants import Variant
from seqdiff.data.vcf import Vcf, VcfRecord, check_columns
from seqdiff.errors import DataError
from seqdiff.inference.mutations import MutationEffect
from seqdiff.inference.score import RecordScore
from seqdiff.inference.variants import Effect

if TYPE_CHECKING:
    import pandas as pd

ADDED = {"llr": "llr", "se": "se", "method": "method", "llr_per_residue": "per_residue", "reason": "reason"}
"""Columns that a table of mutants gets, and what of an effect is in them."""
NAMES = {
    "contig": ("contig", "chrom", "#chrom", "chromosome", "chr"),
    "pos": ("pos", "position"),
    "ref": ("ref", "reference"),
    "alt": ("alt", "alternate", "alternative"),
}
"""What the columns of a frame of variants may be called, in any case."""


def scores(results: Iterable[RecordScore], kind: str, unit: str, regions: bool) -> "pd.DataFrame":
    """A row a record or region: the columns of `seqdiff score`, of which a chain rule and a pseudo-likelihood have
    their own."""
    import pandas as pd

    rows = []
    for each in results:
        place = {"length": each.length}
        if regions:
            assert each.span is not None, "a region"
            place = {"start": each.span.start + 1, "end": each.span.end}
        low, high = each.interval or (None, None)
        per_letter = None if each.nats is None else each.nats / each.scored
        if kind == "pseudo":
            found = {"pseudo_nats": each.nats, f"pseudo_nats_per_{unit}": per_letter}
        else:
            found = {"nats": each.nats, "se": each.se, "low95": low, "high95": high}
            found |= {f"bits_per_{unit}": each.bits_per_symbol, "perplexity": each.perplexity}
        if kind == "chain":
            found |= {"sd_orders": each.sd_orders, "multi_order_nats": each.multi_order}
        rows.append({"name": each.name, **place, "scored": each.scored, **_numbers(found)})
    return pd.DataFrame(rows, columns=list(rows[0]) if rows else _empty(kind, unit, regions))


def _empty(kind: str, unit: str, regions: bool) -> list[str]:
    from seqdiff.data.intervals import Interval

    one = RecordScore("", 0, 0, None, None, span=Interval("", 0, 0) if regions else None)
    return list(scores([one], kind, unit, regions).columns)


def variants(found: Iterable[tuple[VcfRecord, Sequence[Effect]]]) -> "pd.DataFrame":
    """A row an allele: the columns of `seqdiff variants -o x.tsv`."""
    import pandas as pd

    names = ["contig", "pos", "id", "ref", "alt", "llr", "se", "method", "context", "reason"]
    rows = []
    for record, effects in found:
        label = text_of(record.columns[2])
        for effect in effects:
            contig, start, ref, alt = effect.variant
            rows.append((contig, start + 1, None if label == "." else label, ref, alt, *effect[1:]))
    frame = pd.DataFrame(rows, columns=names)
    return frame.astype({"llr": "float64", "se": "float64", "context": "Int64"})


@contextlib.contextmanager
def alleles(given: Any) -> Iterator[tuple[str, Iterator[VcfRecord]]]:
    """The records of a VCF (a path), a frame with columns contig, pos, ref and alt, or (contig, pos, ref, alt) one
    after another, pos counted from 1; and what to call their source in messages."""
    if isinstance(given, str | Path):
        with Vcf(given) as file:
            yield file.name, file.records()
        return
    if hasattr(given, "columns"):
        given = _rows(given)
    yield "variants", (_record(number, each) for number, each in enumerate(given, 1))


def _rows(frame: "pd.DataFrame") -> Iterator[tuple[Any, ...]]:
    by_name = {str(column).lower(): column for column in frame.columns}
    chosen = []
    for wanted, names in NAMES.items():
        column = next((by_name[name] for name in names if name in by_name), None)
        if column is None:
            raise DataError(f"the variants have no column {wanted!r}; they have {', '.join(map(str, frame.columns))}")
        chosen.append(frame[column])
    ids = frame[by_name["id"]] if "id" in by_name else ["."] * len(frame)
    return zip(*chosen, ids, strict=True)


def _record(number: int, given: Any) -> VcfRecord:
    where = f"variants, line {number:,}"
    if isinstance(given, Variant):
        given = (given.contig, given.start + 1, given.ref, given.alt)
    if isinstance(given, str) or not isinstance(given, Sequence) or not 4 <= len(given) <= 5:
        raise DataError(f"{where}: {given!r} is no variant: write (contig, pos, ref, alt), pos counted from 1")
    contig, pos, ref, alt, *name = given
    alt = "." if alt is None or alt != alt else alt
    pos = int(pos) if isinstance(pos, float) and pos.is_integer() else pos  # of a column that misses some
    id_ = name[0] if name and isinstance(name[0], str) and name[0] else "."
    record = VcfRecord(number, [*(bytes_of(str(each)) for each in (contig, pos, id_, ref, alt)), b".", b".", b"."])
    check_columns(record.columns, where)
    return record


def mutants(given: Any, column: str | None) -> "tuple[Table, pd.DataFrame | None]":
    """A table of mutants from a path, a frame, or mutants one after another; the frame, where it was one."""
    if isinstance(given, str | Path):
        return read_table(given), None
    if hasattr(given, "columns"):
        cells = [["" if cell is None or cell != cell else str(cell) for cell in row] for row in given.to_numpy()]
        return Table("mutants", list(map(str, given.columns)), cells, list(range(1, len(cells) + 1))), given
    each = list(given)
    if wrong := next((cell for cell in each if not isinstance(cell, str)), None):
        raise TypeError(f"a mutant is a text like 'A24G:K30R', not {wrong!r}")
    return Table("mutants", [column or "mutant"], [[cell] for cell in each], list(range(1, len(each) + 1))), None


def mutations(
    table: Table, given: "pd.DataFrame | None", effects: Iterable[MutationEffect], prefix: str
) -> "pd.DataFrame":
    """The table as it came with the columns that `seqdiff variants --mutations` adds; numbers of a file are numbers."""
    import pandas as pd

    if given is not None:
        frame = given.iloc[[line - 1 for line in table.lines]].copy()
    else:
        frame = pd.DataFrame(table.rows, columns=table.columns)
        for name in frame:
            with contextlib.suppress(ValueError):
                frame[name] = pd.to_numeric(frame[name])
    found = list(effects)
    for name, of in ADDED.items():
        values = [getattr(effect, of) for effect in found]
        numeric = name in ("llr", "se", "llr_per_residue")
        frame[prefix + name] = pd.Series(values, index=frame.index, dtype="float64" if numeric else "object")
    return frame


def _numbers(values: dict[str, float | None]) -> dict[str, float]:
    return {name: float("nan") if value is None else float(value) for name, value in values.items()}
