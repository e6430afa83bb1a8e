"""Alignments of a family: a2m, a3m, Stockholm or aligned FASTA -> the columns of one of its sequences.

    Source -> named rows as the file has them -> rows of one width -> columns in which the query has a letter -> tokens

Formats are told by content. Every column in which the query has a letter is kept, whatever its case and however many
gaps it has, so that column i is residue `first + i` of the query; all others are insertions relative to it and are left
out. In a row `-` and `.` are gaps.
"""

import difflib
import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import UInt8

from seqdiff.alphabet import ALIGNED
from seqdiff.data.fasta import first_word, invalid_letter
from seqdiff.data.source import Source, bytes_of, shown, text_of
from seqdiff.errors import DataError

log = logging.getLogger("seqdiff")

Format = Literal["a2m", "a3m", "Stockholm", "aligned FASTA"]

GAPS = b"-.~"
LOWER = bytes(range(ord("a"), ord("z") + 1))
STRUCTURE = {"ss_pred", "ss_conf", "ss_dssp", "sa_dssp"}
"""Rows of an a3m of HH-suite that are no sequences."""

_ELSEWHERE = {
    b"CLUSTAL": "Clustal",
    b"MUSCLE": "Clustal",
    b"!!AA_MULTIPLE": "MSF",
    b"PileUp": "MSF",
    b"#NEXUS": "NEXUS",
}


@dataclass(frozen=True)
class Alignment:
    """Sequences of a family over the columns of one of them, the query."""

    path: str
    format: Format
    names: tuple[str, ...]
    rows: UInt8[np.ndarray, "N L"]
    """Tokens of `ALIGNED`; an unknown letter is its mask."""
    query: int
    """The row of the query, which has no gap."""
    insertions: int
    """Columns of the file that were left out, since the query has a gap there. An a3m has no columns for insertions."""

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def first(self) -> int:
        """The number of the query's first residue, from a name like `BLAT_ECOLX/24-286`; 1 where it says nothing."""
        span = re.search(r"/(\d+)-(\d+)$", self.names[self.query])
        return int(span[1]) if span and int(span[1]) > 0 else 1

    @property
    def sequence(self) -> str:
        """The query: one letter a column."""
        return ALIGNED.decode(self.rows[self.query]).decode()


def read_alignment(
    path: str | Path, query: str | None = None, *, progress: Callable[[int], None] | None = None
) -> Alignment:
    """An alignment (`-`: stdin), plain or gzip-compressed, over the columns of `query` (default: its first sequence).

    A query is named by the first word of its header, or by that without its `/start-end`. Rows that repeat an earlier
    one with its name, and rows that have only gaps in the query's columns, are left out and counted in the log.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     _ = file.write(b">q/7-9\\nA-CD\\n>b\\nAWc-\\n"); file.flush()
    ...     family = read_alignment(file.name)
    >>> family.sequence, family.first, [ALIGNED.decode(row).decode() for row in family.rows]
    ('ACD', 7, ['ACD', 'AC-'])

    Raises DataError: no alignment, or one in another format; rows of several widths; a letter that no protein has;
    nucleotides; a query that is not there, or several of its name; fewer than two sequences.
    """
    with Source(path, progress=progress) as source:
        is_stockholm, named = _named_rows(source)
    if not named:
        raise DataError(f"{source.name} holds no sequence: an alignment has one a row")
    named, repeated = _without_repeats(named)
    if repeated:
        log.warning("%s: left out %s rows that repeat an earlier one, name and all", source.name, f"{repeated:,}")
    named = _checked(source.name, named)
    names = [name for name, _ in named]
    chosen = _query(source.name, names, query)
    format, matrix = _matrix(source.name, named, chosen)
    format = "Stockholm" if is_stockholm else format
    columns = ALIGNED.codes[matrix[chosen]] != GAP
    if not columns.any():
        raise DataError(f"{source.name}: the query {shown(bytes_of(names[chosen]))} has no letter: choose another one")
    _warn_of_lower_case(source.name, names[chosen], matrix[chosen, columns])
    rows = ALIGNED.codes[matrix[:, columns]]
    kept = (rows != GAP).any(1)
    if empty := int((~kept).sum()):
        log.warning("%s: left out %s rows without a letter in the query's columns", source.name, f"{empty:,}")
    if kept.sum() < 2:
        raise DataError(
            f"{source.name} has {int(kept.sum())} sequence: a family has many (search a database with jackhmmer, "
            "hhblits or MMseqs2 for them)"
        )
    found = Alignment(
        source.name, format, tuple(name for name, keep in zip(names, kept, strict=True) if keep), rows[kept],
        int(kept[:chosen].sum()), int((~columns).sum()),
    )  # fmt: skip
    _check_span(found)
    return found


GAP = ALIGNED.symbols.index("-")
"""The token of a gap."""


def _named_rows(source: Source) -> tuple[bool, list[tuple[str, bytes]]]:
    """Whether the file is Stockholm, and its rows."""
    lines = enumerate(source.lines(), 1)
    for number, line in lines:
        if line.startswith(b"# STOCKHOLM"):
            return True, _stockholm(source.name, lines)
        if line.startswith(b">"):
            return False, list(_fasta(source.name, number, line, lines))
        for magic, format in _ELSEWHERE.items():
            if line.startswith(magic):
                raise DataError(f"{source.name} is {format}: convert it to FASTA, Stockholm, a2m or a3m first")
        if line.strip() and not line.startswith(b"#"):
            raise DataError(
                f"{source.name}, line {number:,}: an alignment begins with '>' (FASTA, a2m, a3m) or '# STOCKHOLM', "
                f"this line with {shown(line, 20)}"
            )
    return False, []


def _fasta(source: str, number: int, line: bytes, lines: Iterator[tuple[int, bytes]]) -> Iterator[tuple[str, bytes]]:
    name, parts = _name(source, number, line), []
    for number, line in lines:
        if line.startswith(b">"):
            if name not in STRUCTURE:
                yield name, b"".join(parts)
            name, parts = _name(source, number, line), []
        else:
            parts += line.split()
    if name not in STRUCTURE:
        yield name, b"".join(parts)


def _name(source: str, number: int, line: bytes) -> str:
    if not line[1:].strip():
        raise DataError(f"{source}, line {number:,}: a record without a name: write one after the '>'")
    return first_word(line[1:])


def _stockholm(source: str, lines: Iterator[tuple[int, bytes]]) -> list[tuple[str, bytes]]:
    """The rows of one Stockholm alignment, whose blocks are joined; everything behind `#` is left out."""
    rows: dict[str, list[bytes]] = {}
    block: dict[str, int] = {}
    for number, line in lines:
        words = line.split()
        if not words:
            block.clear()
        elif words[0] == b"//":
            for _, rest in lines:
                if rest.strip():
                    raise DataError(f"{source} holds several alignments: give a file with one (see esl-afetch)")
            return [(name, b"".join(parts)) for name, parts in rows.items()]
        elif not words[0].startswith(b"#"):
            if len(words) != 2:
                raise DataError(f"{source}, line {number:,}: a row is a name and its letters, not {shown(line, 60)}")
            name = text_of(words[0])
            if name in block:
                raise DataError(
                    f"{source}, line {number:,}: the name {shown(words[0])} was taken by line {block[name]:,} of the "
                    "same block: names of a Stockholm file are unique"
                )
            block[name] = number
            rows.setdefault(name, []).append(words[1])
    raise DataError(f"{source} does not end in '//': is it cut short?")


def _without_repeats(named: list[tuple[str, bytes]]) -> tuple[list[tuple[str, bytes]], int]:
    once = dict.fromkeys(named)
    return list(once), len(named) - len(once)


def _query(source: str, names: list[str], query: str | None) -> int:
    """The row of the query."""
    if query is None:
        query = names[0]
        found = [0]
        if names.count(query) > 1:
            found = [row for row, name in enumerate(names) if name == query]
    else:
        found = [row for row, name in enumerate(names) if name == query]
        found = found or [row for row, name in enumerate(names) if re.fullmatch(re.escape(query) + r"/\d+-\d+", name)]
    if len(found) > 1:
        several = ", ".join(dict.fromkeys(names[row] for row in found[:3]))
        raise DataError(f"{source} has {len(found):,} different rows for the query {query!r} ({several}): name one")
    if not found:
        near = difflib.get_close_matches(query, names, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"its first sequence is {names[0]}"
        raise DataError(f"{source} has no sequence named {query!r}; {hint}")
    return found[0]


def _matrix(source: str, named: list[tuple[str, bytes]], query: int) -> tuple[Format, UInt8[np.ndarray, "N W"]]:
    """Bytes of rows of one width, in which a column means the same in every row.

    An a3m has no place for the insertions of other sequences than the query, so they are left out here. Insertions of
    the query itself get columns, for which other rows give the letters that they have inserted at the same place.
    """
    rows = [row for _, row in named]
    widths = {len(row) for row in rows}
    if len(widths) == 1 and not _is_a3m(rows):
        lower = any(not row.isupper() and row.translate(None, LOWER) != row for row in rows)
        return ("a2m" if lower else "aligned FASTA"), _stacked(rows)
    matched = [row.translate(None, LOWER + b".") for row in rows]
    width = len(matched[query])
    for row, (name, raw) in enumerate(named):
        if len(matched[row]) == width:
            continue
        ours, theirs, what = width, len(matched[row]), "columns (capital letters and '-')"
        if all(a == b for a, b in zip(rows, matched, strict=True)):
            ours, theirs, what = len(rows[query]), len(raw), "columns"
        raise DataError(
            f"{source}: these rows are not aligned: {shown(bytes_of(name))} has {theirs:,} {what}, "
            f"{shown(bytes_of(named[query][0]))} has {ours:,}. "
            "Align them first, as with MAFFT, hmmalign or jackhmmer -A"
        )
    if not width:
        raise DataError(
            f"{source}: rows of several widths, all in lower case, are not aligned. Align them first, as with MAFFT; "
            "or, if this is an a3m, write its columns in capital letters"
        )
    inserted = _insertions(rows[query])
    if any(inserted):
        matched = [_with_insertions(row, inserted) for row in rows]
    return "a3m", _stacked(matched)


def _is_a3m(rows: list[bytes]) -> bool:
    """Whether rows of one width by chance have insertions of their own: lower case that lies in no common columns."""
    if any(b"." in row for row in rows) or len({len(row.translate(None, LOWER)) for row in rows}) > 1:
        return False
    matrix = _stacked(rows)
    lower = (matrix >= ord("a")) & (matrix <= ord("z"))
    return bool((lower.any(0) & ~lower.all(0)).any())


def _stacked(rows: list[bytes]) -> UInt8[np.ndarray, "N W"]:
    return np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), -1)


def _insertions(row: bytes) -> list[int]:
    """How many letters are inserted before each matched column of an a3m's row, and after the last."""
    return [len(part) for part in re.split(rb"[^a-z]", row.replace(b".", b""))]


def _with_insertions(row: bytes, inserted: list[int]) -> bytes:
    """An a3m's row with `inserted` places before each matched column, filled from its own insertions."""
    row = row.replace(b".", b"")
    parts = re.split(rb"[^a-z]", row)
    matched = row.translate(None, LOWER)
    pieces = [part[:places].ljust(places, b"-") for part, places in zip(parts, inserted, strict=True)]
    return b"".join(piece + matched[i : i + 1] for i, piece in enumerate(pieces))


def _checked(source: str, named: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    """Rows of nothing but letters and gaps. A stop that ends its sequence is made a gap."""
    rows = [(name, _without_stop(row) if b"*" in row else row) for name, row in named]
    for name, row in rows:
        if (where := ALIGNED.first_invalid(row)) is not None:
            raise DataError(invalid_letter(source, name, where, row[where : where + 1], ALIGNED))
    letters = b"".join(row for _, row in rows[:100]).upper().translate(None, GAPS)
    if len(letters) >= 20 and not letters.translate(None, b"ACGTUN"):
        raise DataError(f"{source} is an alignment of nucleotides: families are of proteins (translate it first)")
    return rows


def _without_stop(row: bytes) -> bytes:
    sequence = row.rstrip(GAPS)
    return sequence[:-1] + b"-" + row[len(sequence) :] if sequence.endswith(b"*") else row


def _warn_of_lower_case(source: str, name: str, letters: UInt8[np.ndarray, "L"]) -> None:
    lower = int((letters >= ord("a")).sum())
    if lower:
        log.info(
            "%s: kept %s columns of the query %s that are in lower case (insertions, or columns of many gaps)",
            source, f"{lower:,}", name,
        )  # fmt: skip


def _check_span(alignment: Alignment) -> None:
    """A name that counts other residues than there are numbers them wrongly."""
    span = re.search(r"/(\d+)-(\d+)$", alignment.names[alignment.query])
    if not span:
        return
    named, letters = int(span[2]) - int(span[1]) + 1, alignment.rows.shape[1]
    if named != letters:
        log.warning(
            "%s: the query %s says that it has %s residues, but has %s: are positions numbered rightly from %s on?",
            alignment.path, alignment.names[alignment.query], f"{named:,}", f"{letters:,}", span[1],
        )  # fmt: skip
