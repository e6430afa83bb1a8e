"""Proteins that spans of a record must code for: which codons may stand where.

A letter takes any of its codons in the genetic code (NCBI table, by number), X any that is no stop, B, Z and J those of
both their letters, `*` a stop. Where a table reads a codon both ways, the codons that are read in one way alone are
taken as long as there is one. A protein that begins with M begins with a codon of M; where letters that are given leave
none of those, the table's other start codons are right as well, since all of them start with methionine.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from seqdiff.alphabet import PROTEIN
from seqdiff.data.fasta import Record, read_records
from seqdiff.data.source import bytes_of, shown
from seqdiff.errors import DataError, UsageError

SETS = dict(PROTEIN.ambiguity) | {"X": PROTEIN.symbols}


@dataclass(frozen=True)
class GeneticCode:
    """An NCBI translation table."""

    number: int

    def __post_init__(self) -> None:
        from Bio.Data.CodonTable import unambiguous_dna_by_id as tables

        if self.number not in tables:
            known = ", ".join(map(str, tables))
            raise UsageError(f"--genetic-code {self.number}: there is no such NCBI table; there are {known}")

    @cached_property
    def starts(self) -> frozenset[str]:
        return frozenset(self._table.start_codons)

    @property
    def _table(self):
        from Bio.Data.CodonTable import unambiguous_dna_by_id as tables

        return tables[self.number]

    def reads(self, codon: str) -> str:
        """All that a codon may be read as: an amino acid, `*`, or both.

        >>> GeneticCode(1).reads("TGA"), GeneticCode(27).reads("TGA"), GeneticCode(2).reads("TGA")
        ('*', 'W*', 'W')
        """
        return self._table.forward_table.get(codon, "") + "*" * (codon in self._table.stop_codons)

    def codons(self, letter: str) -> frozenset[str]:
        """The codons of a letter of a protein; none for a letter that no codon makes.

        >>> sorted(GeneticCode(1).codons("M") | GeneticCode(1).codons("W"))
        ['ATG', 'TGG']
        """
        all_codons = {a + b + c for a in "ACGT" for b in "ACGT" for c in "ACGT"}
        found: set[str] = set()
        for meant in SETS.get(letter, letter) if letter not in "UO" else "":
            reading = {codon for codon in all_codons if meant in self.reads(codon)}
            found |= {codon for codon in reading if self.reads(codon) == meant} or reading
        return frozenset(found)


@dataclass(frozen=True)
class Coding:
    """A span of 3 len(letters) bases that codes for a protein, `start` being its leftmost base, from 0."""

    letters: str
    start: int
    reverse: bool
    code: GeneticCode

    @property
    def end(self) -> int:
        return self.start + 3 * len(self.letters)

    def __str__(self) -> str:
        strand = ", minus strand" if self.reverse else ""
        return f"the protein {self.letters[:10]}{'...' * (len(self.letters) > 10)} at {self.start + 1:,}{strand}"

    @cached_property
    def first(self) -> int:
        """The leftmost base of the codon that is translated first."""
        return self.end - 3 if self.reverse else self.start

    def number(self, place: int) -> int:
        """Which letter, from 1, the codon with its leftmost base at `place` stands for."""
        return (self.end - place if self.reverse else place - self.start + 3) // 3

    def letter(self, place: int) -> str:
        return self.letters[self.number(place) - 1]

    def triplets(self, place: int, possible: list[str]) -> frozenset[str]:
        """What may stand at a codon's three places from left to right, out of `possible` letters at each."""
        from seqdiff.inference.design.motifs import COMPLEMENT

        letter = self.letter(place)
        choices = [self.code.codons(letter)]
        if letter == "M" and place == self.first:
            choices.append(self.code.starts)
        for codons in choices:
            turned = {codon.translate(COMPLEMENT)[::-1] for codon in codons} if self.reverse else codons
            left = {codon for codon in turned if all(base in some for base, some in zip(codon, possible, strict=True))}
            if left:
                return frozenset(left)
        return frozenset()

    def says(self, text: str) -> bool:
        """Whether the upper-case letters of a whole record do code for the protein."""
        from seqdiff.inference.design.motifs import COMPLEMENT

        span = text[self.start : self.end]
        span = span.translate(COMPLEMENT)[::-1] if self.reverse else span
        for number, letter in enumerate(self.letters):
            codon = span[3 * number : 3 * number + 3]
            initial = number == 0 and letter == "M" and codon in self.code.starts
            if not initial and not set(SETS.get(letter, letter)) & set(self.code.reads(codon)):
                return False
        return True


def read_codings(path: str | Path, code: GeneticCode) -> Mapping[str, tuple[Coding, ...]]:
    """Proteins of a FASTA file by the name of the record that codes for them: several of one name are several spans.

    `start=N` in a header is the leftmost base of the span, from 1 (default 1), `strand=-` turns it round.

    Raises DataError: a letter that no codon makes, a start or strand that is none, an empty protein.
    """
    codings: dict[str, tuple[Coding, ...]] = {}
    for record in read_records(path, duplicates="keep"):
        codings[record.name] = (*codings.get(record.name, ()), _coding(record, code, path))
    return codings


def _coding(record: Record, code: GeneticCode, path: str | Path) -> Coding:
    where = f"{path}: protein {shown(bytes_of(record.name))}"
    words = dict(word.partition("=")[::2] for word in record.header.split()[1:] if "=" in word)
    start, strand = words.get("start", "1"), words.get("strand", "+")
    if not (start.isascii() and start.isdigit() and 1 <= int(start) <= 10**12):
        raise DataError(f"{where} has start={start}: write the first base of its span, counted from 1")
    if strand not in ("+", "-"):
        raise DataError(f"{where} has strand={strand}: write strand=+ or strand=-")
    letters = record.sequence.decode("ascii", "replace").upper()
    if not letters:
        raise DataError(f"{where} has no letters: leave it out, or write its sequence")
    for position, letter in enumerate(letters, 1):
        if not code.codons(letter):
            raise DataError(
                f"{where} has {letter!r} at position {position:,}, which no codon of genetic code {code.number} makes"
            )
    return Coding(letters, int(start) - 1, strand == "-", code)
