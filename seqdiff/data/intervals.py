"""Stretches of contigs: regions, BED files, and arithmetic on them.

Inside, an interval is 0-based and half-open, as in BED. Regions as people type them, `chr1:1,000-2,000`,
are 1-based and inclusive, as in samtools; the conversion happens here and nowhere else.
"""

import difflib
import logging
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from seqdiff.data.source import Source, bytes_of, shown, text_of
from seqdiff.errors import DataError

log = logging.getLogger("seqdiff")

NO_SPAN = b"#seqdiff: this shard has no span\n"
"""What the BED of a shard without a span holds, of whose records nothing is asked."""


class Interval(NamedTuple):
    """Positions start..end-1 of a contig, counted from 0.

    >>> print(Interval("chr1", 999, 2000))
    chr1:1,000-2,000
    """

    contig: str
    start: int
    end: int

    @property
    def length(self) -> int:
        return self.end - self.start

    def __str__(self) -> str:
        """As a region: 1-based and inclusive."""
        return f"{self.contig}:{self.start + 1:,}-{self.end:,}"


def parse_region(text: str, contigs: Mapping[str, int], *, clip: bool = False) -> Interval:
    """A region as typed: `chr1` (all of it), `chr1:500` (one base), `chr1:500-` (to the end),
    `chr1:1,000-2,000` (1-based, both ends included).

    A text that is the name of a contig means that contig, colons or not. `clip` cuts a region that runs
    past the end instead of refusing it.

    >>> parse_region("chr1:1,001-2,000", {"chr1": 5000})
    Interval(contig='chr1', start=1000, end=2000)

    Raises DataError: unknown contig, not numbers, start after end, past the end.
    """
    if text in contigs:
        return Interval(text, 0, contigs[text])
    contig, colon, numbers = text.rpartition(":")
    if not colon:
        raise DataError(unknown_contig(text, contigs))
    if contig not in contigs:
        raise DataError(unknown_contig(contig, contigs))
    first, dash, last = numbers.replace(",", "").partition("-")
    last = last or (str(contigs[contig]) if dash else first)
    if not (_is_number(first) and _is_number(last)):
        raise DataError(f"region {text!r}: {numbers!r} is no range; write it as {contig}:1,000-2,000")
    start, end = int(first) - 1, int(last)
    if start < 0:
        raise DataError(f"region {text!r} begins at 0: regions count from 1")
    if start >= contigs[contig]:
        raise DataError(f"region {text!r} lies past the end of {contig} ({contigs[contig]:,})")
    if start >= end:
        raise DataError(f"region {text!r} begins after it ends; swap the two numbers")
    return _within(Interval(contig, start, end), contigs, clip, f"region {text!r}")


def read_bed(path: str | Path, contigs: Mapping[str, int] | None = None, *, clip: bool = False) -> list[Interval]:
    """The intervals of a BED file (`-`: stdin; gzip by content), in file order; other columns are ignored.

    With `contigs` (name -> length) every interval must lie on one of them; `clip` cuts those that run
    past the end and leaves out, with a warning, those wholly past it.

    Raises DataError with file and line: too few columns, not numbers, start after end, unknown contig,
    past the end.
    """
    intervals, outside = [], 0
    with Source(path) as source:
        for where, _, interval in bed_lines(source):
            if contigs is not None:
                if interval.contig not in contigs:
                    raise DataError(f"{where}: {unknown_contig(interval.contig, contigs)}")
                if clip and interval.start >= contigs[interval.contig] and interval.length:
                    outside += 1
                    continue
                interval = _within(interval, contigs, clip, f"{where}: {interval}")
            intervals.append(interval)
    if outside:
        log.warning("%s: left out %d intervals past the ends of their contigs", path, outside)
    return intervals


def is_without_span(path: str | Path) -> bool:
    """Whether a BED file says that it is a shard without a span (`NO_SPAN`)."""
    if not Path(path).is_file():
        return False
    with open(path, "rb") as file:
        return file.read(len(NO_SPAN) + 1) == NO_SPAN


def bed_lines(source: Source) -> Iterator[tuple[str, bytes, Interval]]:
    """The lines of a BED file that hold an interval: where each is (for messages), the line, and the interval.

    Raises DataError as `read_bed` does, but for contigs.
    """
    for number, line in enumerate(source.lines(), 1):
        if line.strip() and not line.startswith((b"#", b"track ", b"browser ")):
            where = f"{source.name}, line {number:,}"
            yield where, line, _bed_interval(line, where)


def _bed_interval(line: bytes, where: str) -> Interval:
    fields = line.split(b"\t") if b"\t" in line else line.split()
    if len(fields) < 3:
        raise DataError(f"{where}: {shown(line)} has {len(fields)} of the 3 columns of BED: contig, start, end")
    contig, start, end = (text_of(field.strip()) for field in fields[:3])
    for what, text in (("start", start), ("end", end)):
        if not _is_number(text):
            raise DataError(f"{where}: the {what} {shown(bytes_of(text))} is no whole number of 0 or more")
    interval = Interval(contig, int(start), int(end))
    if interval.start > interval.end:
        raise DataError(f"{where}: the start {start} comes after the end {end}")
    return interval


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 18


def _within(interval: Interval, contigs: Mapping[str, int], clip: bool, what: str) -> Interval:
    length = contigs[interval.contig]
    if interval.end > length:
        if not clip:
            raise DataError(f"{what} runs past the end of {interval.contig} ({length:,}); shorten it, or use --clip")
        interval = Interval(interval.contig, min(interval.start, length), length)
    return interval


def unknown_contig(name: str, contigs: Mapping[str, int]) -> str:
    """The message for a contig that is not there: what is, and which one was probably meant.

    >>> unknown_contig("1", {"chr1": 100, "chr2": 90})
    "there is no contig '1'; did you mean 'chr1'? There are chr1, chr2"
    """
    same = {"chrM": "MT", "MT": "chrM", "M": "MT"}
    guesses = [name.removeprefix("chr"), f"chr{name}", same.get(name, ""), name.upper(), name.lower()]
    near = [guess for guess in guesses if guess in contigs]
    near = near or [known for known in contigs if known.lower() == name.lower()][:1]
    near = near or difflib.get_close_matches(name, list(contigs)[:10_000], n=1, cutoff=0.7)
    hint = f"; did you mean {shown(bytes_of(near[0]))}?" if near else "."
    known = ", ".join(list(contigs)[:8]) + (f" and {len(contigs) - 8:,} more" if len(contigs) > 8 else "")
    return f"there is no contig {shown(bytes_of(name))}{hint} There {'is' if len(contigs) == 1 else 'are'} {known}"


def merge(intervals: Iterable[Interval]) -> list[Interval]:
    """The same positions as few intervals: contigs in first-seen order, starts ascending, no two touching.

    >>> merge([Interval("a", 5, 9), Interval("a", 0, 5), Interval("b", 1, 1)])
    [Interval(contig='a', start=0, end=9)]
    """
    by_contig: dict[str, list[Interval]] = {}
    for interval in intervals:
        if interval.length > 0:
            by_contig.setdefault(interval.contig, []).append(interval)
    merged: list[Interval] = []
    for contig, members in by_contig.items():
        start, end = -1, -1
        for interval in sorted(members):
            if interval.start > end:
                if end >= 0:
                    merged.append(Interval(contig, start, end))
                start, end = interval.start, interval.end
            end = max(end, interval.end)
        merged.append(Interval(contig, start, end))
    return merged


def subtract(intervals: Iterable[Interval], others: Iterable[Interval]) -> list[Interval]:
    """What is left of each interval, in order, without the positions of the others.

    >>> subtract([Interval("a", 0, 10)], [Interval("a", 3, 4), Interval("b", 0, 9)])
    [Interval(contig='a', start=0, end=3), Interval(contig='a', start=4, end=10)]
    """
    holes: dict[str, list[Interval]] = {}
    for hole in merge(others):
        holes.setdefault(hole.contig, []).append(hole)
    left: list[Interval] = []
    for contig, start, end in intervals:
        here = holes.get(contig, [])
        for hole in here[bisect_right(here, start, key=lambda hole: hole.end) :]:
            if hole.start >= end:
                break
            if hole.start > start:
                left.append(Interval(contig, start, hole.start))
            start = hole.end
        if start < end:
            left.append(Interval(contig, start, end))
    return left


def spans(n: int, longest: int) -> list[tuple[int, int]]:
    """Cuts range(n) into as few pieces of at most `longest` as possible, nearly equal in length.

    >>> spans(10, 4)
    [(0, 3), (3, 6), (6, 10)]
    """
    count = -(-n // longest)
    return [(n * i // count, n * (i + 1) // count) for i in range(count)]
