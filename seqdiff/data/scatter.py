"""Sequences or variants divided into shards of about the same work, in their order and byte for byte.

    file -> one pass: where each record begins, and its work -> `partition` -> another pass: each line to its shard

Memory holds two numbers a record and the names, not letters: a chromosome is never in it as a whole.
"""

import os
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby, pairwise
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Int64

from seqdiff.data.cut_lines import cut_lines
from seqdiff.data.extents import Extents, Piece, Spans
from seqdiff.data.fasta import NO_RECORD, unique
from seqdiff.data.intervals import NO_SPAN
from seqdiff.data.output import Output
from seqdiff.data.partition import partition
from seqdiff.data.shards import Shard, shard_folder
from seqdiff.data.source import Source, name_of
from seqdiff.data.tabix import Order
from seqdiff.data.vcf import Vcf
from seqdiff.errors import DataError

Progress = Callable[[int], None]


class Division(NamedTuple):
    """What a division came to: of how many `shards` how many are `empty`, and the share of the work in the largest."""

    shards: int
    records: int
    empty: int
    largest: float

    @classmethod
    def of(cls, work: Int64[np.ndarray, " n"], cuts: Sequence[int]) -> "Division":
        parts = [int(work[first:last].sum()) for first, last in pairwise(cuts)]
        empty = sum(first == last for first, last in pairwise(cuts))
        return cls(len(parts), len(work), empty, max(parts) / max(1, sum(parts)))


def scatter_sequences(
    path: str | Path,
    folder: str | Path,
    shards: int,
    *,
    by: Literal["letters", "unknown"] = "letters",
    bed: str | Path | None = None,
    duplicates: Literal["error", "first", "rename"] = "error",
    progress: Progress | None = None,
) -> Division:
    """FASTA or FASTQ into `folder`/1-of-N.fa or .fq, plain text; with `bed` the spans of each shard beside it, .bed.

    Work is the number of letters, of unknown letters, or of letters in spans. A record that `duplicates` leaves out or
    renames is so in the shards. A shard without a record holds `fasta.NO_RECORD`, a BED without a span
    `intervals.NO_SPAN`. `progress` gets the bytes that have been read, of twice the file.

    Raises DataError as `fasta.read_records` and `intervals.read_bed` do, for a file that changes meanwhile, and as
    `shards.shard_folder` does.
    """
    spans = None if bed is None else Spans(bed)
    with shard_folder(folder) as place, _unchanged(path):
        found = Extents(by, spans)
        for line, record in unique(Source(path, progress=progress), found.read, duplicates):
            found.keep(line, record)
        if not found.work:
            raise DataError(f"{name_of(path)} is a shard without a record: give the file that was divided")
        if spans:
            spans.require(found.names)
        work = np.frombuffer(found.work, np.int64)
        cuts = partition(work, shards)
        paths = _paths(place, shards, found.ending)
        _write(path, paths, found.pieces(cuts), b"", NO_RECORD, _second(progress, path))
        if spans:
            for bed_path, first, last in zip(_paths(place, shards, "bed"), cuts, cuts[1:]):
                with Output(bed_path) as out:
                    out.write(b"".join(spans.lines.get(name, b"") for name in found.names[first:last]) or NO_SPAN)
    return Division.of(work, cuts)


def scatter_variants(
    path: str | Path,
    folder: str | Path,
    shards: int,
    *,
    apart: int | None = None,
    tabix: bool = False,
    progress: Progress | None = None,
) -> Division:
    """A VCF into `folder`/1-of-N.vcf.gz, bgzip, each with the whole header; work is the number of alleles.

    With `apart` records stay together that begin less than so many bases after the one before: haplotypes are of
    records that lie close. With `tabix`, records of which there can be no .tbi index are a DataError. A shard without
    a record is a header. `progress` and errors: as `scatter_sequences`, `Vcf`.
    """
    lines, work, joined = array("q"), array("q"), array("b")
    with shard_folder(folder) as place, _unchanged(path):
        with Vcf(path, progress=progress) as vcf:
            contig, start, order = b"", 0, Order()
            for record in vcf.records():
                if tabix:
                    order.add(record)
                close = apart is not None and record.columns[0] == contig and record.start - start < apart
                contig, start = record.columns[0], record.start
                lines.append(record.number)
                work.append(record.columns[4].count(b",") + 1)
                joined.append(close)
        order.require_tbi(name_of(path))
        each = np.frombuffer(work, np.int64)
        firsts = np.flatnonzero(np.frombuffer(joined, np.int8) == 0)
        together = np.add.reduceat(each, firsts) if len(firsts) else each
        cuts = np.append(firsts, len(each))[partition(together, shards)].tolist()
        header = b"".join(text for piece, text in cut_lines(Source(path).blocks(), [1, *lines[:1]]) if piece == 0)
        pieces = [Piece(lines[first], shard) for shard, (first, last) in enumerate(pairwise(cuts)) if first < last]
        _write(
            path, _paths(place, shards, "vcf.gz"), [Piece(1, None), *pieces], header, b"", _second(progress, path)
        )  # fmt: skip
    return Division.of(each, cuts)


def _paths(place: Path, shards: int, ending: str) -> list[Path]:
    return [place / str(Shard(number, shards, ending)) for number in range(1, shards + 1)]


def _write(
    path: str | Path,
    shards: Sequence[Path],
    pieces: Sequence[Piece],
    header: bytes,
    empty: bytes,
    progress: Progress | None,
) -> None:
    """Every line to its shard, after a header; `empty` into shards that no line goes to."""
    with Source(path, progress=progress) as source:
        owned = groupby(_owned(source.blocks(), pieces), key=lambda pair: pair[0])
        owner, texts = next(owned, (None, ()))
        for number, shard in enumerate(shards):
            with Output(shard) as out:
                out.write(header)
                if number != owner:
                    out.write(empty)
                    continue
                for _, text in texts:
                    out.write(text)
            owner, texts = next(owned, (None, ()))


def _owned(blocks: Iterator[bytes], pieces: Sequence[Piece]) -> Iterator[tuple[int, bytes]]:
    """The text with the number of the shard that it goes to, in order."""
    replaced = -1
    for number, text in cut_lines(blocks, [piece.first for piece in pieces]):
        piece = pieces[number]
        if piece.owner is None:
            continue
        if piece.header is None:
            yield piece.owner, text
        elif number != replaced:
            replaced = number
            yield piece.owner, piece.header


def _second(progress: Progress | None, path: str | Path) -> Progress | None:
    """The progress of the second pass over a file."""
    size = os.path.getsize(path)
    return None if progress is None else lambda done: progress(size + done)


@contextmanager
def _unchanged(path: str | Path) -> Iterator[None]:
    """DataError where the file is another one when the block ends."""
    before = _state(path)
    yield
    if _state(path) != before:
        raise DataError(f"{path} was changed while it was divided: run again when it is whole")


def _state(path: str | Path) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns
