"""A table of mutants and their wild type, read together so that each is checked with the other."""

import logging
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from seqdiff.alphabet import PROTEIN
from seqdiff.data.fasta import Record, check_letters, read_records
from seqdiff.data.mutations import DOUBTS, Mutant, Protein, Reason, Residue, fitting, of_sequence, parsed
from seqdiff.data.source import name_of
from seqdiff.data.table import Table, read_table
from seqdiff.errors import DataError

log = logging.getLogger("seqdiff")

MUTATIONS, SEQUENCE = "mutant", "mutated_sequence"
"""ProteinGym's columns."""
SHOWN = 3
"""Mutants that an error shows."""

CheckRef = Literal["error", "warn", "exclude"]


@dataclass(frozen=True)
class MutantTable:
    """The rows of a table, each with the mutant that it is of, or why it is of none."""

    table: Table
    mutants: list[Mutant | Reason]
    doubt: str = ""
    """What does not fit the wild type, where that is allowed."""

    @property
    def reasons(self) -> Counter[str]:
        """How many rows are of no mutant, by reason."""
        return Counter(mutant for mutant in self.mutants if isinstance(mutant, str))


def read_protein(path: str | Path, *, record: str | None = None, first: int = 1) -> Protein:
    """The wild type: the one record of a FASTA file, or the one of this name; its first residue has the number `first`.

    Raises DataError: several records and no name, no such record, letters that are no residues, DNA.
    """
    records = list(read_records(path, duplicates="keep"))
    names = [each.name for each in records]
    if record is None and len(records) > 1:
        raise DataError(f"{name_of(path)} holds {len(records):,} records: say which with --record, of {_some(names)}")
    if record is not None and names.count(record) != 1:
        found = "no record" if record not in names else f"{names.count(record)} records"
        raise DataError(f"{name_of(path)} has {found} {record!r}; it has {_some(names)}")
    return protein_of(records[0] if record is None else records[names.index(record)], name_of(path), first=first)


def protein_of(record: Record, source: str, *, first: int = 1) -> Protein:
    """A record as a wild type. Raises DataError: letters that are no residues, none at all, DNA."""
    sequence = record.sequence.upper().removesuffix(b"*")
    check_letters(Record(record.name, record.header, sequence), PROTEIN, source)
    if not sequence:
        raise DataError(f"{source}: the record {record.name!r} has no residues")
    if len(sequence) >= 20 and set(sequence) <= set(b"ACGTN"):
        raise DataError(f"{source}: {record.name!r} is DNA by its letters; mutations are of a protein")
    return Protein(record.name, sequence.decode(), first)


def read_mutants(
    path: str | Path | Table,
    protein: Protein,
    *,
    column: str | None = None,
    check_ref: CheckRef = "error",
    likely_first: int | None = None,
) -> MutantTable:
    """The mutants of a table (or of one in a file), from its column `mutant` or the one named, or `mutated_sequence`.

    Where there are both, the sequences stand in for mutations that are not given, and otherwise must be what these
    make. `check_ref` says what is done with mutants that do not fit the wild type: an error for all of them, no score,
    or no row. `likely_first`: a numbering to propose if it would mend them.

    Raises DataError: no such column, nothing that can be read as a mutant, mutants that do not fit.
    """
    table = path if isinstance(path, Table) else read_table(path)
    if column is None and not (MUTATIONS in table or SEQUENCE in table):
        columns = ", ".join(map(repr, table.columns))
        raise DataError(
            f"{table.name} has no column {MUTATIONS!r} (like A24G:K30R) and no {SEQUENCE!r}; it has {columns}: say "
            "with --column which one holds the mutations"
        )
    cells = table[column or MUTATIONS] if column or MUTATIONS in table else [""] * len(table.rows)
    sequences = table[SEQUENCE] if SEQUENCE in table and column != SEQUENCE else [""] * len(table.rows)
    mutants: list[Mutant | Reason] = []
    named: list[list[Residue]] = []
    for cell, sequence in zip(cells, sequences, strict=True):
        mutant, residues = parsed(cell, protein) if column != SEQUENCE else (of_sequence(cell, protein), [])
        if mutant == "empty" and sequence.strip():
            mutant = of_sequence(sequence, protein)
        elif isinstance(mutant, Mutant) and _letters(sequence) not in ("", mutant.of(protein)):
            mutant = "sequence_differs"
        mutants.append(mutant)
        named.append(residues)
    if all(mutant in ("empty", "not_understood") for mutant in mutants):
        first = next((cell for cell in cells if cell.strip()), "")
        raise DataError(
            f"{table.name}: none of the {len(mutants):,} cells of {column or MUTATIONS!r} can be read as a mutant, the "
            f"first {first[:40]!r}: write A24G, A24G:K30R, p.Ala24Gly, A24_K26del, or give another --column"
        )
    _same_length(table.name, [_letters(each) for each in sequences + (cells if column == SEQUENCE else [])], protein)
    doubt = _doubt(table, cells, mutants, named, protein, likely_first)
    if doubt and check_ref == "error":
        raise DataError(f"{doubt} (--check-ref warn or exclude goes on without them)")
    if check_ref == "exclude":
        kept = [i for i, mutant in enumerate(mutants) if mutant not in DOUBTS]
        rows, lines = [table.rows[i] for i in kept], [table.lines[i] for i in kept]
        table, mutants = Table(table.name, table.columns, rows, lines), [mutants[i] for i in kept]
    return MutantTable(table, mutants, doubt)


def _same_length(name: str, sequences: Sequence[str], protein: Protein) -> None:
    """A warning where whole sequences have one length, which is not the wild type's: its ends may be others."""
    lengths = {len(each) for each in sequences if each}
    if len(lengths) == 1 and lengths != {len(protein.sequence)} and sum(map(bool, sequences)) > 1:
        log.warning(
            "%s: all whole sequences have %s residues, and %s has %s: is it what was mutated, from end to end?",
            name, f"{lengths.pop():,}", protein.name, f"{len(protein.sequence):,}",
        )  # fmt: skip


def _doubt(
    table: Table,
    cells: Sequence[str],
    mutants: Sequence[Mutant | Reason],
    named: Sequence[Sequence[Residue]],
    protein: Protein,
    likely_first: int | None,
) -> str:
    """How many mutants do not fit the wild type, the first of them, and the numbering with which they would."""
    wrong = [i for i, mutant in enumerate(mutants) if mutant in DOUBTS]
    if not wrong:
        return ""
    shown = "; ".join(_why(cells[i], mutants[i], named[i], protein, table.lines[i]) for i in wrong[:SHOWN])
    more = f"; and {len(wrong) - SHOWN:,} more" if len(wrong) > SHOWN else ""
    numbered = [each for each in named if each]
    span = re.search(r"/(\d+)-(\d+)$", protein.name)
    of_name = int(span[1]) if span and int(span[2]) - int(span[1]) + 1 == len(protein.sequence) else None
    best = fitting(numbered, protein.sequence, of_name if likely_first is None else likely_first)
    if best is None or best[0] == protein.first:
        last = protein.first + len(protein.sequence) - 1
        hint = f"are they mutants of {protein.name}, whose residues are numbered {protein.first} to {last}?"
    else:
        first, right = best
        by = ", as in the query of the family," if first == likely_first else ""
        comma = "," if right < len(numbered) and not by else ""
        hint = f"with --first-residue {first}{by}{comma} {'all' if right == len(numbered) else f'{right:,} of'} "
        hint += f"{len(numbered):,} fit"
    return f"{table.name}: {len(wrong):,} of {len(mutants):,} mutants do not fit the wild type: {shown}{more}; {hint}"


def _why(cell: str, reason: Reason, named: Sequence[Residue], protein: Protein, line: int) -> str:
    if reason == "sequence_differs":
        return f"line {line:,}: {cell!r} does not make its {SEQUENCE}"
    for letter, number in named:
        place = protein.index(number)
        if not 0 <= place < len(protein.sequence):
            end = protein.first + len(protein.sequence) - 1
            return f"line {line:,}: {cell!r}, but the residues are numbered {protein.first} to {end:,}"
        if protein.sequence[place] != letter:
            return f"line {line:,}: {cell!r}, but residue {number:,} is {protein.sequence[place]}"
    raise AssertionError("a mutant that fits")


def _letters(sequence: str) -> str:
    return sequence.strip().upper().removesuffix("*")


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
