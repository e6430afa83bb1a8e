"""VCF, line by line: what is scored is read, and every other byte of a line is kept.

    Source (gzip by content) -> lines -> header, then `VcfRecord`s -> INFO fields added -> the same lines

The format is VCF 4.1 to 4.5 as text. Coordinates are 1-based in the file and 0-based here, from `start` on.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from seqdiff.data.source import Source, bytes_of, shown, text_of
from seqdiff.errors import DataError

COLUMNS = (b"#CHROM", b"POS", b"ID", b"REF", b"ALT", b"QUAL", b"FILTER", b"INFO")

_LETTERS = re.compile(rb"[ACGTUNRYSWKMBDHV]+", re.I)
_BREAKEND = rb"[^,\s]*[\[\]][^,\s]+[\[\]][^,\s]*|\.[A-Z]+|[A-Z]+\."
_ALTERNATE = re.compile(rb"%b|\*|\.|<[^<>,\s]+>|%b" % (_LETTERS.pattern, _BREAKEND), re.I)


@dataclass(frozen=True, slots=True)
class VcfRecord:
    """One line: its place in the file, and its columns as bytes, those after INFO in one piece."""

    number: int
    columns: list[bytes]

    @property
    def contig(self) -> str:
        return text_of(self.columns[0])

    @property
    def start(self) -> int:
        """Where REF begins, counted from 0; -1 for POS 0, the telomere."""
        return int(self.columns[1]) - 1

    @property
    def ref(self) -> str:
        return self.columns[3].decode("ascii")

    @property
    def alternates(self) -> list[str]:
        """What stands in ALT, allele by allele: `.` alone where there is none."""
        return [text_of(allele) for allele in self.columns[4].split(b",")]

    def with_info(self, fields: Mapping[bytes, bytes | None]) -> bytes:
        """The whole line with these INFO fields at its end, in place of any of the same names; None takes a field away.

        >>> VcfRecord(9, b"1 5 . A T . . DP=3;OLD=1;DB".split()).with_info({b"OLD": b"2"})
        b'1\\t5\\t.\\tA\\tT\\t.\\t.\\tDP=3;DB;OLD=2\\n'
        """
        given = self.columns[7]
        kept = [] if given == b"." else given.removesuffix(b";").split(b";")
        if any(name in given for name in fields):
            kept = [item for item in kept if item.partition(b"=")[0] not in fields]
        info = b";".join(kept + [name + b"=" + value for name, value in fields.items() if value is not None])
        info = info or b"."
        return b"\t".join([*self.columns[:7], info, *self.columns[8:]]) + b"\n"


class Vcf:
    """A VCF that is being read, as a context manager: the header at once, records once, in order.

    >>> import tempfile
    >>> columns = b"\\t".join(COLUMNS)
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     _ = file.write(b"##fileformat=VCFv4.2\\n" + columns + b"\\n1\\t7\\t.\\tA\\tC,<DEL>\\t.\\t.\\t.\\n")
    ...     file.flush()
    ...     with Vcf(file.name) as vcf:
    ...         [(record.contig, record.start, record.ref, record.alternates) for record in vcf.records()]
    [('1', 6, 'A', ['C', '<DEL>'])]

    Raises DataError with file and line: no VCF, BCF, a header that is missing or incomplete, a line with too few or
    too many columns, POS no number, letters that no allele has, truncated gzip.
    """

    def __init__(self, path: str | Path, *, progress: Callable[[int], None] | None = None):
        self._source = Source(path, progress=progress)
        self.name = self._source.name
        self.meta: list[bytes] = []
        """The lines that begin with ##."""
        self.columns: list[bytes] = []
        """The fields of the #CHROM line; from the tenth on they name samples."""

    def __enter__(self) -> "Vcf":
        self._source.__enter__()
        try:
            self._lines = self._source.lines()
            self._read_header()
        except BaseException:
            self._source.__exit__()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._source.__exit__(kind, error, trace)

    @property
    def samples(self) -> list[str]:
        return [text_of(name) for name in self.columns[9:]]

    def header(self, fields: Sequence[tuple[str, str, str, str]] = ()) -> bytes:
        """The header, with INFO fields (name, number, type, description) declared; earlier ones of the name go."""
        return header(self.meta, self.columns, fields)

    def records(self) -> Iterator[VcfRecord]:
        """The records in their order, each checked to be a whole one."""
        width, blank = len(self.columns), 0
        for number, line in enumerate(self._lines, len(self.meta) + 2):
            if not line:
                blank = blank or number
                continue
            if blank:
                raise DataError(f"{self.name}, line {blank:,}: an empty line between records: remove it")
            if line.startswith(b"#"):
                raise DataError(
                    f"{self.name}, line {number:,}: a second header {shown(line, 20)}: were files joined with cat? "
                    "Join them with `bcftools concat`"
                )
            columns = line.split(b"\t", 8)
            found = len(columns) + columns[8].count(b"\t") if len(columns) > 8 else len(columns)
            if found != width:
                raise DataError(f"{self.name}, line {number:,}: {_wrong_width(line, found, width)}")
            check_columns(columns, f"{self.name}, line {number:,}")
            yield VcfRecord(number, columns)

    def _read_header(self) -> None:
        for number, line in enumerate(self._lines, 1):
            if number == 1 and not line.startswith(b"##fileformat=VCF"):
                if line.startswith(b"##fileformat"):
                    raise DataError(f"{self.name}, line 1: {shown(line)}: this is no VCF")
                raise DataError(
                    f"{self.name}, line 1: a VCF begins with ##fileformat=VCFv4.2 or alike, this file with "
                    f"{shown(line, 20)}: is its header missing, or is this another kind of file?"
                )
            if line.startswith(b"##"):
                self.meta.append(line)
                continue
            self.columns = line.split(b"\t")
            if tuple(self.columns[:8]) != COLUMNS:
                wanted = b"\\t".join(COLUMNS).decode()
                what = "there is no header line before it" if not line.startswith(b"#") else "its columns are others"
                raise DataError(
                    f"{self.name}, line {number:,}: {shown(line)}: the header ends with {wanted}, and {what}"
                )
            if len(self.columns) > 8 and self.columns[8] != b"FORMAT":
                raise DataError(f"{self.name}, line {number:,}: column 9 is FORMAT, not {shown(self.columns[8])}")
            return
        what = "its header breaks off before the #CHROM line: is it cut short?" if self.meta else "is empty"
        raise DataError(f"{self.name}{':' if self.meta else ''} {what}")


def check_columns(columns: Sequence[bytes], where: str) -> None:
    """Raises DataError for a record whose contig, POS, alleles or INFO are none."""
    contig, position, _, ref, alternates = columns[:5]
    if not contig or b" " in contig:
        raise DataError(f"{where}: CHROM {shown(contig)} is no name of a contig")
    if not position.isdigit() or len(position) > 18:
        raise DataError(f"{where}: POS {shown(position)} is no whole number of 0 or more")
    if not _LETTERS.fullmatch(ref):
        raise DataError(f"{where}: REF {shown(ref)} is no allele: letters alone")
    for allele in alternates.split(b","):
        if not _ALTERNATE.fullmatch(allele) or (allele == b"." and alternates != b"."):
            raise DataError(
                f"{where}: ALT {shown(alternates)}: {shown(allele)} is no allele: letters, *, <SYMBOL>, "
                "a breakend, or . alone"
            )
    if not columns[7]:
        raise DataError(f"{where}: INFO is empty: write . where there is none")


def header(meta: Sequence[bytes], columns: Sequence[bytes], fields: Sequence[tuple[str, str, str, str]] = ()) -> bytes:
    """Header lines with INFO fields (name, number, type, description) after those that are there.

    >>> text = header([b"##fileformat=VCFv4.2"], [b"#CHROM", b"POS"], [("X", "A", "Float", "how much")])
    >>> text.splitlines()[1]
    b'##INFO=<ID=X,Number=A,Type=Float,Description="how much">'
    """
    ours = tuple(bytes_of(f"##INFO=<ID={name},") for name, *_ in fields)
    lines = [line for line in meta if not line.startswith(ours)] if ours else list(meta)
    last = max((i for i, line in enumerate(lines) if line.startswith(b"##INFO=")), default=len(lines) - 1)
    declared = [
        bytes_of(f'##INFO=<ID={name},Number={number},Type={kind},Description="{description}">')
        for name, number, kind, description in fields
    ]
    lines[last + 1 : last + 1] = declared
    return b"\n".join([*lines, b"\t".join(columns)]) + b"\n"


def _wrong_width(line: bytes, found: int, width: int) -> str:
    if found == 1 and len(line.split()) == width:
        return f"{shown(line)}: its columns are divided by blanks: VCF has tabs"
    end = ": is the file cut short?" if found < width else ""
    return f"{shown(line)} has {found} columns, the header has {width}{end}"
