"""A VCF that is written with its tabix index: both appear whole, or neither."""

import contextlib
import logging
import re
from pathlib import Path

from seqdiff.data.output import Output
from seqdiff.data.source import text_of
from seqdiff.data.vcf import VcfRecord
from seqdiff.errors import DataError
from seqdiff.files import replacing

log = logging.getLogger("seqdiff")

TBI_LIMIT = 1 << 29
"""Positions a .tbi index can hold; past them it is a .csi."""


class Order:
    """What of records, as they come, matters to an index: `disorder` says what of them is not sorted, `reach` is the
    last position that any of them covers."""

    def __init__(self) -> None:
        self.disorder = ""
        self.reach = 0
        self._contigs: set[bytes] = set()
        self._contig, self._position = b"", 0

    def add(self, record: VcfRecord) -> None:
        """The next record."""
        contig, position = record.columns[0], int(record.columns[1])
        if contig != self._contig:
            if contig in self._contigs:
                self.disorder = self.disorder or f"{text_of(contig)} comes again at line {record.number:,}"
            self._contigs.add(contig)
            self._contig = contig
        elif position < self._position:
            self.disorder = self.disorder or f"line {record.number:,} lies before the line above it"
        self._position = position
        self.reach = max(self.reach, position + len(record.columns[3]), *_ends(record))

    def require_tbi(self, name: str) -> None:
        """Raises DataError where the records cannot have a .tbi index."""
        if self.disorder:
            raise DataError(f"{name}: {self.disorder}, so its result can have no index: `bcftools sort` mends it")
        if self.reach >= TBI_LIMIT:
            raise DataError(
                f"{name} reaches to position {self.reach:,}, and a .tbi index to {TBI_LIMIT:,}: divide it without "
                "--tabix, whose result gets a .csi index"
            )


class VcfOutput(Output):
    """An `Output` of VCF lines. Where it is written as bgzip to a file, `tabix` indexes it in the end.

    Lines out of order (a contig that comes again, a position before the one above) cannot be indexed: then the file is
    written without an index, and a warning says so. An index that was there before goes, since it is of another file.

    Raises DataError as `Output` does.
    """

    def __init__(self, path: str | Path | None):
        super().__init__(path)
        self._indexing: contextlib.AbstractContextManager[Path] | None = None
        self._order = Order()

    def write_record(self, record: VcfRecord, line: bytes) -> None:
        """Appends the line that a record has become."""
        self._order.add(record)
        self.write(line)

    def _whole(self, hidden: Path) -> None:
        if not self._compress:
            return
        if self._order.disorder:
            log.warning("%s has no index: %s (`bcftools sort` mends it)", self.name, self._order.disorder)
        else:
            import pysam

            csi = self._order.reach >= TBI_LIMIT
            self._indexing = replacing(f"{self.path}{'.csi' if csi else '.tbi'}")
            loud = pysam.set_verbosity(0)  # htslib warns of POS 0, which is allowed: the telomere
            try:
                index = self._indexing.__enter__()
                pysam.tabix_index(str(hidden), preset="vcf", index=str(index), force=True, csi=csi)
            except (OSError, ValueError) as error:
                raise DataError(f"{self.name} cannot be indexed: {error}") from error
            finally:
                pysam.set_verbosity(loud)
        for ending in (".tbi", ".csi"):
            Path(f"{self.path}{ending}").unlink(missing_ok=True)

    def _finish(self) -> None:
        super()._finish()
        if self._indexing is not None:
            indexing, self._indexing = self._indexing, None
            indexing.__exit__(None, None, None)

    def _abandon(self) -> None:
        super()._abandon()
        if self._indexing is not None:
            self._indexing.__exit__(GeneratorExit, GeneratorExit(), None)
            self._indexing = None


_SPAN = re.compile(rb"(?:^|;)(END|SVLEN)=-?(\d+)")


def _ends(record: VcfRecord) -> list[int]:
    """Where symbolic alleles may end, as htslib reads it."""
    if b"<" not in record.columns[4]:
        return []
    begin = int(record.columns[1])
    return [int(number) + (0 if name == b"END" else begin) for name, number in _SPAN.findall(record.columns[7])]
