"""Sequences as Python programs hold them, and records: there and back.

A sequence is a `str`, `bytes`, a Biopython `Seq` or `SeqRecord`, or a `Record`; many of them are a list, an array, a
pandas Series, a mapping from names, a FASTA file as a `pathlib.Path`, or anything that gives one after another.

>>> [record.name for record in records_of(["ACGT", "NNN"])], [record.name for record in records_of({"a": "ACGT"})]
(['sequence1', 'sequence2'], ['a'])
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from seqdiff.alphabet import Alphabet
from seqdiff.data.fasta import Record, read_records
from seqdiff.data.intervals import Interval, parse_region
from seqdiff.errors import DataError, UsageError
from seqdiff.inference.filled import Infilled, qualities

if TYPE_CHECKING:
    import pandas as pd
    from Bio.SeqRecord import SeqRecord

UNNAMED = ("", "<unknown id>", "<unknown name>")
"""The names of a SeqRecord that has none."""


SOURCE = "sequences"
"""What errors call sequences that come from no file."""
Regions = Iterable[str | Interval | tuple[str, int, int]]
"""Stretches of named sequences: "chr1:101-200" counts from 1, both ends included; (name, start, end) as BED does."""


class Given(NamedTuple):
    """A sequence as it was given, and the record that is read in its place."""

    original: Any
    record: Record


def read(path: str | Path, *, duplicates: Literal["error", "first", "rename", "keep"] = "error") -> list[Record]:
    """The records of a FASTA or FASTQ file, plain, gzip or bgzip; see `seqdiff.data.fasta.read_records`.

    All of them are held in memory, for every verb of a `Model`; `Model.infill_records` and its like take one at a time.
    """
    return list(read_records(path, duplicates=duplicates))


def records_of(sequences: Any) -> Iterator[Record]:
    """A record for each sequence; see `given`."""
    return (each.record for each in given(sequences))


def given(sequences: Any) -> Iterator[Given]:
    """Each sequence and its record. What is drawn for a record depends on its name: plain sequences are named
    `sequence1`, `sequence2`, ..., others keep the name they have; one that came before becomes `NAME_2`, `NAME_3`.

    Raises TypeError for what is no sequence, DataError for one that is missing (None, NaN) or has no letters in memory.
    """
    taken: dict[str, int] = {}
    for number, (name, sequence) in enumerate(_named(sequences), 1):
        record = _record(sequence, name, number)
        first = record.name
        while record.name in taken:
            taken[first] += 1
            record = replace(record, name=f"{first}_{taken[first]}")
        taken[record.name] = 1
        yield Given(sequence, record)


def spans_of(regions: Regions, records: Iterable[Record]) -> dict[str, list[Interval]]:
    """Regions by record, in their order. Raises DataError for one that lies outside of its record, or of no record.

    >>> spans_of(["a:2-3", ("a", 0, 1)], [Record("a", "a", b"ACGT")])
    {'a': [Interval(contig='a', start=1, end=3), Interval(contig='a', start=0, end=1)]}
    """
    if isinstance(regions, str):
        raise TypeError(f"give a list of regions: [{regions!r}] for a single one")
    lengths = {record.name: len(record.sequence) for record in records}
    found: dict[str, list[Interval]] = {}
    for region in regions:
        text = region if isinstance(region, str) else f"{region[0]}:{region[1] + 1}-{region[2]}"
        interval = parse_region(text, lengths)
        found.setdefault(interval.contig, []).append(interval)
    if not found:
        raise UsageError("regions: none is given")
    return found


def index_of(sequences: Any) -> "pd.Index | None":
    """The index of a Series or a frame of one column."""
    return sequences.index if hasattr(sequences, "iloc") else None


def like(original: Any, filled: Infilled, alphabet: Alphabet) -> Any:
    """A filled record as what the original was: a SeqRecord keeps all it has, qualities become those of the letters
    that were filled in (`inference.filled.qualities`)."""
    sequence = filled.record.sequence
    match original:
        case str():
            return sequence.decode("utf-8", "replace")  # drawn bytes that are not UTF-8 become U+FFFD
        case bytes():
            return sequence
        case Record():
            quality = None if original.quality is None else qualities(filled, alphabet)
            return replace(original, sequence=sequence, quality=quality)
        case _ if hasattr(original, "letter_annotations"):
            return _seq_record(original, filled, alphabet)
        case _:
            return type(original)(sequence)


def _named(sequences: Any) -> Iterable[tuple[str | None, Any]]:
    if isinstance(sequences, os.PathLike):
        return ((None, record) for record in read_records(Path(sequences)))
    if isinstance(sequences, str | bytes | Record) or hasattr(sequences, "letter_annotations"):
        hint = "; a file: pathlib.Path(...) or seqdiff.read(...)" if isinstance(sequences, str) else ""
        raise TypeError(f"give a list of sequences: [sequence] for a single one{hint}")
    if isinstance(sequences, set | frozenset):
        raise TypeError("a set has no order, which names and draws follow: give a list, as sorted(...)")
    if isinstance(sequences, Mapping):
        return ((str(name), sequence) for name, sequence in sequences.items())
    if hasattr(sequences, "columns"):
        if len(sequences.columns) != 1:
            raise TypeError("give the one column of the table that holds the sequences: table['sequence']")
        sequences = sequences.iloc[:, 0]
    if type(sequences).__name__ in ("Seq", "MutableSeq"):
        raise TypeError("give a list of sequences: [sequence] for a single one")
    if not isinstance(sequences, Iterable):
        raise TypeError(f"give a list of sequences, not {type(sequences).__name__}")
    return ((None, sequence) for sequence in sequences)


def _record(sequence: Any, name: str | None, number: int) -> Record:
    plain = name or f"sequence{number}"
    match sequence:
        case str():
            return Record(plain, plain, sequence.encode("utf-8", "replace"))
        case bytes():
            return Record(plain, plain, sequence)
        case Record():
            return sequence if name is None else replace(sequence, name=name)
        case None | float():
            raise DataError(f"{plain} is missing ({sequence}): leave it out, or give letters for it")
        case _ if hasattr(sequence, "letter_annotations"):
            known = plain if name or sequence.id in (None, *UNNAMED) else sequence.id
            phred = sequence.letter_annotations.get("phred_quality")
            quality = None if phred is None else bytes(33 + min(93, max(0, round(q))) for q in phred)
            return Record(known, known, _letters(sequence.seq, known), quality)
        case _ if type(sequence).__name__ in ("Seq", "MutableSeq"):
            return Record(plain, plain, _letters(sequence, plain))
        case _:
            raise TypeError(
                f"{plain} is of type {type(sequence).__name__}: give str, bytes, a Biopython Seq or SeqRecord, or a "
                "record of seqdiff.read"
            )


def _letters(seq: Any, name: str) -> bytes:
    try:
        return bytes(seq)
    except Exception as error:  # Bio.Seq.UndefinedSequenceError, or None in its place
        raise DataError(f"{name} has a length but no letters: {error}") from error


def _seq_record(original: "SeqRecord", filled: Infilled, alphabet: Alphabet) -> "SeqRecord":
    from Bio.Seq import Seq
    from Bio.SeqRecord import SeqRecord

    sequence = filled.record.sequence
    per_letter = {name: values[: len(sequence)] for name, values in original.letter_annotations.items()}
    if "phred_quality" in per_letter:
        per_letter["phred_quality"] = [letter - 33 for letter in qualities(filled, alphabet)]
    return SeqRecord(
        Seq(sequence), original.id, original.name, original.description, list(original.dbxrefs),
        list(original.features), dict(original.annotations), per_letter,
    )  # fmt: skip
