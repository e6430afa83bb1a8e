"""FASTA and FASTQ, streamed: records in, records out, one record in memory at a time.

    Source (gzip by content) -> text -> `pieces`: headers and stretches of sequence -> `Record`s

Sequence text is handled in blocks by `bytes.translate`, never letter by letter: chromosome 1 is read in
about a second.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import Literal

import numpy as np

from seqdiff.alphabet import ALIGNED, PROTEIN, Alphabet
from seqdiff.data.names import Names
from seqdiff.data.output import Output
from seqdiff.data.source import BLANKS, Source, bytes_of, name_of, shown, split_lines, text_of
from seqdiff.errors import DataError

__all__ = ["Output", "Record", "accepted", "check_letters", "pieces", "read_records", "write_record"]

log = logging.getLogger("seqdiff")

NO_RECORD = b";seqdiff: this shard has no record\n"
"""What a shard without a record holds: an empty file is refused, since mostly something went wrong before it."""
_QUALITIES = bytes(range(33, 127))


@dataclass(frozen=True, slots=True)
class Record:
    """One sequence as its file has it."""

    name: str
    """The first word of the header."""
    header: str
    """The whole header line without its `>` or `@`; bytes that are not UTF-8 survive (see `bytes_of`)."""
    sequence: bytes
    """The letters, case kept, newlines and blanks removed."""
    quality: bytes | None = None
    """FASTQ quality text, as long as the sequence."""
    line_width: int = 0
    """Letters a line in the source, 0 where the sequence stands on one line."""


def read_records(
    path: str | Path,
    *,
    duplicates: Literal["error", "first", "rename", "keep"] = "error",
    progress: Callable[[int], None] | None = None,
) -> Iterator[Record]:
    """The records of a FASTA or FASTQ file (`-`: stdin), plain, gzip or bgzip: told by content.

    Newlines may be LF, CRLF or CR, lines ragged or blank, FASTQ records wrapped. `duplicates` says what
    happens to a name that came before: an error, only the `first` is kept, later ones are `rename`d with
    `_2`, `_3`, or all `keep` it. `progress` is called with the bytes of the file read so far
    (`source.size_of`: the total). Letters are not checked here: see `check_letters`.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     _ = file.write(b">a one\\nACgt\\nAC\\n>b\\n"); file.flush()
    ...     for record in read_records(file.name):
    ...         print(record)
    Record(name='a', header='a one', sequence=b'ACgtAC', quality=None, line_width=4)
    Record(name='b', header='b', sequence=b'', quality=None, line_width=0)

    Raises DataError, naming file and line: no such file, empty, binary, truncated gzip, no `>` or `@`
    where a record should begin, a header without a name, a name twice, sequence and quality that differ
    in length.
    """
    source = Source(path, progress=progress)
    return map(itemgetter(1), unique(source, _records, duplicates))


def unique(
    source: Source, read: Callable[[Source], Iterator[tuple[int, Record]]], duplicates: str
) -> Iterator[tuple[int, Record]]:
    """The records that `read` finds, each with its line, none of whose names came before; see `read_records`."""
    lines = Names()
    copies: dict[str, int] = {}
    dropped = 0
    with source:
        for line, record in read(source):
            if duplicates == "keep":
                yield line, record
                del record
            elif record.name not in lines:
                lines[record.name] = line
                yield line, record
                del record  # before the next is read: they may be chromosomes
            elif duplicates == "first":
                dropped += 1
            elif duplicates == "rename":
                record = _renamed(record, lines, copies)
                lines[record.name] = line
                yield line, record
            else:
                raise DataError(
                    f"{source.name}, line {line:,}: the name {shown(bytes_of(record.name))} was taken by the "
                    f"record at line {lines[record.name]:,}; use --duplicates first or --duplicates rename"
                )
    if dropped:
        log.warning("%s: left out %d records whose names came before", source.name, dropped)


def _renamed(record: Record, taken: Names, copies: dict[str, int]) -> Record:
    number = copies.get(record.name, 1)
    name = record.name
    while name in taken:
        number += 1
        name = f"{record.name}_{number}"
    copies[record.name] = number
    return replace(record, name=name, header=record.header.replace(record.name, name, 1))


def _records(source: Source) -> Iterator[tuple[int, Record]]:
    first, line, text = begin(source)
    match first:
        case b"@":
            return fastq(source, line, text)
        case b";":
            return iter(())
        case _:
            return _fasta(source, line, text)


def begin(source: Source) -> tuple[bytes, int, Iterator[bytes]]:
    """The first letter, its line, and the text from there on; a semicolon for `NO_RECORD`."""
    line = 1
    text = source.text()
    for block in text:
        start = block.lstrip(BLANKS)
        line += block[: len(block) - len(start)].count(b"\n")
        if start:
            if start == NO_RECORD:
                return b";", line, text
            if start[:1] not in (b">", b"@"):
                row = start.split(b"\n", 1)[0]
                raise DataError(
                    f"{source.name}, line {line:,}: a record begins with '>' (FASTA) or '@' (FASTQ), "
                    f"this line with {shown(row, 20)}: is this a sequence file?"
                )
            return start[:1], line, chain([start], text)
    raise DataError(f"{source.name} is empty: there is no record in it")


def pieces(source: Source) -> Iterator[tuple[bytes | None, bytes, int]]:
    """The parts of a FASTA file in order: (header, b"", line), then (None, text, line) for stretches of it.

    The text of a record comes in any number of stretches, newlines and blanks still inside, so that a
    chromosome need never be in memory as a whole.

    Raises DataError as `read_records` does, and for FASTQ.
    """
    first, line, text = begin(source)
    if first == b"@":
        raise DataError(f"{source.name} is FASTQ: reads are no reference; give a FASTA file")
    if first == b";":
        raise DataError(f"{source.name} is a shard without a record: give the file that was divided")
    return stretches(source, line, text)


def stretches(source: Source, line: int, text: Iterator[bytes]) -> Iterator[tuple[bytes | None, bytes, int]]:
    """`pieces` of text that begins at a line."""
    header: list[bytes] | None = None
    fresh = True  # at the beginning of a line
    for block in text:
        at = 0
        while at < len(block):
            if header is not None:
                end = block.find(b"\n", at)
                header.append(block[at : end if end >= 0 else None])
                if end < 0:
                    break
                yield _named(source, header, line), b"", line
                header, fresh, line, at = None, True, line + 1, end + 1
            elif fresh and block[at] == ord(">"):
                header, at = [], at + 1
            else:
                end = _next_header(block, at)
                piece = block[at:end]
                yield None, piece, line
                fresh, line, at = piece.endswith(b"\n"), line + piece.count(b"\n"), end
    if header is not None:
        yield _named(source, header, line), b"", line


def _named(source: Source, header: list[bytes], line: int) -> bytes:
    text = b"".join(header)
    if not text.strip(BLANKS):
        raise DataError(f"{source.name}, line {line:,}: a record without a name: write one after the '>'")
    return text


def _next_header(block: bytes, at: int) -> int:
    while (at := block.find(b">", at)) >= 0:
        if at and block[at - 1] == ord("\n"):
            return at
        at += 1
    return len(block)


def _fasta(source: Source, line: int, text: Iterator[bytes]) -> Iterator[tuple[int, Record]]:
    header, began, parts, width, measured = b"", line, [], 0, False
    for new, piece, at in chain(stretches(source, line, text), [(b"", b"", 0)]):
        if new is None:
            letters = piece.translate(None, BLANKS)
            parts.append(letters)
            if not measured:
                piece = piece if width else piece.lstrip(BLANKS)
                end = piece.find(b"\n")
                width += len(letters) if end < 0 else len(piece[:end].translate(None, BLANKS))
                measured = end >= 0
            continue
        if header:
            yield began, _joined(header, parts, width)
        header, began, parts, width, measured = new, at, [], 0, False


def _joined(header: bytes, parts: list[bytes], width: int) -> Record:
    sequence = b"".join(parts)
    parts.clear()  # a chromosome is held once while its record is used
    wrapped = width if len(sequence) > width else 0
    return Record(first_word(header), text_of(header), sequence, None, wrapped)


def first_word(header: bytes) -> str:
    """The name of a record from its header; words end at ASCII blanks only.

    >>> first_word(b"chr1 the first")
    'chr1'
    """
    return text_of(header.split(None, 1)[0])


def fastq(source: Source, line: int, text: Iterator[bytes]) -> Iterator[tuple[int, Record]]:
    """The records of FASTQ text that begins at a line, each with its line."""
    lines = enumerate(split_lines(text), line)
    for began, head in lines:
        if not head.strip():
            continue
        if not head.startswith(b"@") or not head[1:].strip():
            raise DataError(
                f"{source.name}, line {began:,}: a FASTQ record begins with '@' and a name, this line "
                f"with {shown(head, 20)}: do sequence and quality above have the same length?"
            )
        header = head[1:]
        where = f"{source.name}, line {began:,}: record {shown(header.split(None, 1)[0])}"
        parts: list[bytes] = []
        for _, row in lines:
            if row.startswith(b"+"):
                break
            parts.append(row.translate(None, BLANKS))
        else:
            raise DataError(f"{where} has no '+' line and no quality: is the file cut short?")
        if (caption := row[1:].strip()) and caption != header.strip():
            raise DataError(f"{where} names its quality {shown(caption)}: two records are mixed up")
        sequence = b"".join(parts)
        quality = _quality(lines, len(sequence), where)
        width = next((len(part) for part in parts if part), 0)
        wrapped = width if len(sequence) > width else 0
        yield began, Record(first_word(header), text_of(header), sequence, quality, wrapped)


def _quality(lines: Iterator[tuple[int, bytes]], length: int, where: str) -> bytes:
    quality = b""
    while len(quality) < length:
        _, row = next(lines, (0, None))
        if row is None:
            raise DataError(
                f"{where} has {length:,} letters but {len(quality):,} qualities at the end of the file: "
                "is it cut short?"
            )
        quality += row.strip()
    if len(quality) > length:
        raise DataError(f"{where} has {length:,} letters but {len(quality):,} qualities")
    if wrong := quality.translate(None, _QUALITIES):
        raise DataError(f"{where} has the quality {shown(wrong[:1])}: qualities are '!' to '~'")
    return quality


def check_letters(record: Record, alphabet: Alphabet, path: str | Path) -> None:
    """Refuses a record with a byte that is no letter of the alphabet; says which, where and why.

    >>> from seqdiff.alphabet import DNA
    >>> check_letters(Record("p53", "p53", b"MEEPQ"), DNA, "p.fa")
    Traceback (most recent call last):
    seqdiff.errors.DataError: p.fa: record 'p53' has 'E' at position 2, no letter of DNA: is this a protein? A model \
of proteins reads it: --model protein-demo, or one that you train
    """
    if (where := alphabet.first_invalid(record.sequence)) is not None:
        letter = record.sequence[where : where + 1]
        raise DataError(invalid_letter(name_of(path), record.name, where, letter, alphabet))


def accepted(record: Record, alphabet: Alphabet, path: str | Path) -> Record:
    """The record as a model reads it: a protein without the `*` that a translated stop leaves at its end.

    Raises DataError as `check_letters` does.

    >>> accepted(Record("a", "a", b"MEEPQ*"), PROTEIN, "p.fa").sequence
    b'MEEPQ'
    >>> accepted(Record("a", "a", b"ME-PQ*"), ALIGNED, "p.fa").sequence
    b'ME-PQ'
    """
    if alphabet.name in (PROTEIN.name, ALIGNED.name) and record.sequence.endswith(b"*"):
        letters = record.sequence.rstrip(b"*")
        quality = record.quality and record.quality[: len(letters)]
        record = replace(record, sequence=letters, quality=quality)
    check_letters(record, alphabet, path)
    return record


def invalid_letter(source: str, record: str, position: int, letter: bytes, alphabet: Alphabet) -> str:
    """The message for a letter at a 0-based position that the alphabet does not have."""
    if letter in b"-.~":
        protein = alphabet.name == PROTEIN.name
        other = "train a family on it (data.kind: family)" if protein else "write N for an unknown base"
        hint = f"is this an alignment? Remove its gaps, or {other}"
    elif letter == b"*":
        hint = "a stop codon inside: end the protein before it, or write X"
    elif letter.isdigit():
        hint = "are there line numbers in the sequence? Remove them"
    elif letter.isalpha() and alphabet.name != PROTEIN.name and PROTEIN.first_invalid(letter) is None:
        hint = "is this a protein? A model of proteins reads it: --model protein-demo, or one that you train"
    else:
        hint = f"the letters are {alphabet.symbols}, {alphabet.unknown} for unknown"
        hint += ", and the ambiguity codes " + "".join(code for code, _ in alphabet.ambiguity)
    return (
        f"{source}: record {shown(bytes_of(record))} has {shown(letter)} at position {position + 1:,}, "
        f"no letter of {alphabet.name}: {hint}"
    )


_LINES = 1 << 14


def write_record(out: Output, record: Record, format: Literal["fasta", "fastq"]) -> None:
    """Writes a record: FASTA wrapped as its source was, FASTQ always in four lines.

    FASTQ needs `record.quality`.
    """
    header = bytes_of(record.header)
    if format == "fastq":
        assert record.quality is not None, "a FASTQ record has a quality"
        assert len(record.quality) == len(record.sequence), "one quality a letter"
        out.write(b"@" + header + b"\n" + record.sequence + b"\n+\n" + record.quality + b"\n")
        return
    out.write(b">" + header + b"\n")
    width = record.line_width or len(record.sequence)
    letters = np.frombuffer(record.sequence, np.uint8)
    whole = letters.size // max(width, 1)
    for row in range(0, whole, _LINES):
        rows = min(_LINES, whole - row)
        lines = np.full((rows, width + 1), ord("\n"), np.uint8)
        lines[:, :-1] = letters[row * width : (row + rows) * width].reshape(rows, width)
        out.write(lines.tobytes())
    if rest := record.sequence[whole * width :]:
        out.write(rest + b"\n")
