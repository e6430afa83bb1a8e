"""Where the records of a sequence file begin, and how much work each is: what its division into shards needs."""

from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from seqdiff.data.fasta import Record, begin, fastq, first_word, stretches
from seqdiff.data.intervals import bed_lines, unknown_contig
from seqdiff.data.source import BLANKS, Source, bytes_of, name_of, text_of
from seqdiff.errors import DataError, UsageError

FILL = 100
"""Letters that are read in the time in which one is filled, roughly: a network call fills few of those it looks at."""
_BASES = b"ACGTUacgtu"
_PROTEIN_ALONE = b"EFILPQXZJOefilpqxzjo"
"""Letters that are no code of a base."""
_KNOWN_RESIDUES = b"ACDEFGHIKLMNPQRSTVWYUOacdefghiklmnpqrstvwyuo"


class Spans:
    """A BED file by record: `lines` as they came, and how many `letters` they span."""

    def __init__(self, path: str | Path):
        """Raises DataError as `intervals.read_bed`, UsageError for a file without a span."""
        self.lines: dict[str, bytes] = {}
        self.letters: dict[str, int] = {}
        self._first: dict[str, str] = {}
        collected: dict[str, list[bytes]] = {}
        with Source(path) as source:
            for where, line, interval in bed_lines(source):
                self._first.setdefault(interval.contig, where)
                collected.setdefault(interval.contig, []).append(line + b"\n")
                self.letters[interval.contig] = self.letters.get(interval.contig, 0) + interval.length
        if not collected:
            raise UsageError(f"{name_of(path)}: holds no span")
        self.lines = {contig: b"".join(lines) for contig, lines in collected.items()}

    def require(self, names: Sequence[str]) -> None:
        """DataError for the first contig that is none of the records."""
        there = dict.fromkeys(names, 0)
        for contig, where in self._first.items():
            if contig not in there:
                raise DataError(f"{where}: {unknown_contig(contig, there)}")


class Piece(NamedTuple):
    """The lines from `first` on belong to the shard `owner` (from 0), to none where it is None."""

    first: int
    owner: int | None
    header: bytes | None = None
    """What stands in place of the line, where the record has another name."""


class Extents:
    """The `work` of each record, as `keep` is told of them."""

    def __init__(self, by: str, spans: Spans | None = None):
        self._by, self._spans = by, spans
        self.work = array("q")
        self.names: list[str] = []
        """Only where there are spans."""
        self.ending = "fa"
        self._lines, self._all_lines = array("q"), array("q")
        self._renamed: dict[int, bytes] = {}
        self._header, self._name, self._work = b"", "", 0

    def read(self, source: Source) -> Iterator[tuple[int, Record]]:
        """Records with their lines, without their letters, which are counted. Raises DataError as `read_records`."""
        first, line, text = begin(source)
        if first == b"@":
            self.ending = "fq"
            for began, record in fastq(source, line, text):
                letters = _Letters()
                letters.add(record.sequence)
                yield began, self._record(began, bytes_of(record.header), letters)
            return
        header, began, letters = None, line, _Letters()
        for new, text_piece, at in stretches(source, line, text) if first == b">" else ():
            if new is None:
                letters.add(text_piece)
                continue
            if header is not None:
                yield began, self._record(began, header, letters)
            header, began, letters = new, at, _Letters()
        if header is not None:
            yield began, self._record(began, header, letters)

    def keep(self, line: int, record: Record) -> None:
        """The record that was read last stays, by the name it has now."""
        self._lines.append(line)
        self.work.append(self._work)
        if self._spans:
            self.names.append(record.name)
        if record.name != self._name:
            self._renamed[line] = self._header[:1] + bytes_of(record.header) + b"\n"

    def pieces(self, cuts: Sequence[int]) -> list[Piece]:
        """Which lines go where, if shard i has the kept records from `cuts[i]` to `cuts[i + 1]`."""
        owners = [shard for shard, (first, last) in enumerate(pairwise(cuts)) if first < last]
        begins = [self._lines[cuts[shard]] for shard in owners]
        left_out = set(self._all_lines) - set(self._lines) if len(self._all_lines) > len(self._lines) else set()
        after = [self._all_lines[bisect_right(self._all_lines, line) :][:1] for line in left_out]
        firsts = {1, *begins[1:], *left_out, *(line for each in after for line in each)}
        firsts |= self._renamed.keys() | {line + 1 for line in self._renamed}
        return [
            Piece(
                line,
                None if line in left_out else owners[max(0, bisect_right(begins, line) - 1)],
                self._renamed.get(line),
            )
            for line in sorted(firsts)
        ]

    def _record(self, line: int, header: bytes, letters: "_Letters") -> Record:
        self._all_lines.append(line)
        self._name = first_word(header)
        self._header = (b"@" if self.ending == "fq" else b">") + header
        self._work = 1 + letters.number
        if self._spans:
            self._work += FILL * self._spans.letters.get(self._name, 0)
        elif self._by == "unknown":
            self._work += FILL * letters.unknown
        return Record(self._name, text_of(header), b"")


class _Letters:
    """How many letters a record has, and how many of them are unknown: no base, or of a protein no residue."""

    def __init__(self) -> None:
        self.number = self._no_bases = self._foreign = self._no_residues = 0

    def add(self, text: bytes) -> None:
        letters = text.translate(None, BLANKS)
        self.number += len(letters)
        if rest := letters.translate(None, _BASES):
            self._no_bases += len(rest)
            self._foreign += len(rest) - len(rest.translate(None, _PROTEIN_ALONE))
            self._no_residues += len(rest.translate(None, _KNOWN_RESIDUES))

    @property
    def unknown(self) -> int:
        return self._no_residues if self._foreign else self._no_bases
