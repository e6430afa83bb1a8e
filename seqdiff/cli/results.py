"""How filled records are written: FASTA, FASTQ, a table of probabilities, a report, a sequence logo."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from seqdiff import __version__
from seqdiff.errors import UsageError

if TYPE_CHECKING:
    from seqdiff.alphabet import Alphabet
    from seqdiff.diffusion.samplers import Sampler
    from seqdiff.inference.filled import Infilled
    from seqdiff.model import Model

FORMATS = ("fasta", "fastq", "table")
LOGO_ROWS = 12
"""Rows of letters in a logo of a record with many gaps."""


def format_of(output: Path | None) -> str | None:
    """The format a file name asks for, .gz on top or not; None where it says nothing."""
    suffixes = [] if output is None else [s for s in output.suffixes if s not in (".gz", ".bgz")]
    return {".fq": "fastq", ".fastq": "fastq", ".tsv": "table", ".fa": "fasta", ".fasta": "fasta", ".fna": "fasta"}.get(
        suffixes[-1].lower() if suffixes else ""
    )


def require_own(option: str, path: Path | None, *others: object) -> None:
    """UsageError where an output would be written over another file of the command, or `-` is not free for it."""
    if path is not None and any(_same(path, other) for other in ("-", *others) if other is not None):
        raise UsageError(f"{option} {path}: give it a file of its own")


def _same(path: Path, other: object) -> bool:
    if path.is_file() and os.path.isfile(str(other)):
        return os.path.samefile(path, str(other))
    return os.path.normpath(path) == os.path.normpath(str(other))


def comment(model: "Model", sampler: "Sampler", samples: int, seed: int, **others: object) -> bytes:
    """By what a table was filled, as its first line; of `others` those that are given."""
    chosen = sampler.model_dump(mode="json", exclude_none=True)
    settings = {"model": model.recipe.name, "context": model.context, "sampler": chosen.pop("kind"), **chosen}
    settings |= {"samples": samples, "seed": seed} | {
        name: value for name, value in others.items() if value is not None
    }
    words = (f"{name}={str(value).replace(' ', '')}" for name, value in settings.items())
    return f"# seqdiff {__version__} infill {' '.join(words)}\n".encode("utf-8", "surrogateescape")


class Results:
    """Filled records on their way out. `writing` opens its files, `write` takes the records."""

    def __init__(
        self, alphabet: "Alphabet", kind: str | None, samples: int, logo: Path | None = None, comment: bytes = b""
    ):
        """`comment` is the first line of a table."""
        self._alphabet, self._kind, self._samples, self._logo = alphabet, kind, samples, logo
        self._comment = comment
        self._drawn: Infilled | None = None
        self.letters = self.records = self.touched = 0

    @contextlib.contextmanager
    def writing(self, output: Path | None, report: Path | None) -> Iterator["Results"]:
        """All files appear together when the block ends, none of them if it fails."""
        from seqdiff.data.output import Output
        from seqdiff.inference.filled import REPORT_HEADER

        with contextlib.ExitStack() as stack:
            self._report = None if report is None else stack.enter_context(Output(report))
            self._out = stack.enter_context(Output(output))
            if self._report:
                self._report.write(REPORT_HEADER)
            yield self
            self._draw()

    def write(self, result: "Infilled") -> None:
        """One filling of one record, and its line of the report."""
        from seqdiff.data.fasta import write_record
        from seqdiff.inference.filled import qualities, report_line, table_header, table_lines

        self._kind = self._kind or ("fasta" if result.record.quality is None else "fastq")  # as it came
        record, first = result.record, not self.records and not result.replicate
        if self._report:
            self._report.write(report_line(result))
        if self._samples > 1:
            name = f"{record.name}_sample{result.replicate + 1}"
            record = replace(record, name=name, header=record.header.replace(record.name, name, 1))
        if self._kind == "table":
            header = self._comment + table_header(self._alphabet) if first else b""
            self._out.write(header + table_lines(record.name, result))
        else:
            if self._kind == "fastq":
                record = replace(record, quality=qualities(result, self._alphabet))
            write_record(self._out, record, self._kind)
        self.records += result.replicate == 0
        self.touched += result.replicate == 0 and len(result.positions) > 0
        self.letters += len(result.positions)
        if self._logo and self._drawn is None and len(result.positions):
            self._drawn = result

    def _draw(self) -> None:
        """The gaps of the first filled record."""
        from seqdiff.model import logger

        if self._logo is None:
            return
        if self._drawn is None:
            logger.warning("no record has a gap, so %s was not drawn", self._logo)
            return
        from seqdiff.report import every_gap, logo_figure, that_fit

        record, symbols = self._drawn.record, self._alphabet.symbols
        gaps = every_gap(record.sequence.decode().upper(), self._drawn.positions, self._drawn.marginals, symbols)
        shown, left_out = that_fit(gaps, rows=LOGO_ROWS)
        if left_out:
            logger.info("%s: %s more filled letters of %s did not fit", self._logo, f"{left_out:,}", record.name)
        logo_figure(self._logo, shown, record.name)
