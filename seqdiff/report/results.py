"""The page of a file of results: what kind of results it holds is told by its content, not by its name."""

import os
from collections.abc import Callable
from pathlib import Path

from seqdiff.data.filled_table import FilledTable, is_filled_header
from seqdiff.data.scored_mutants import MutantScores, prefixes
from seqdiff.data.scored_variants import is_scored_header, scored_table, scored_vcf
from seqdiff.data.source import Source, missing, shown, text_of
from seqdiff.data.table import SEPARATORS
from seqdiff.errors import DataError, UsageError
from seqdiff.files import checksum
from seqdiff.report.filled import Tally, filled_page
from seqdiff.report.page import Page

UNDERSTOOD = (
    "a page is made of a run directory, of a table of `seqdiff infill --format table`, or of what `seqdiff variants` "
    "wrote: a scored VCF, a table of variants, or a table of mutants"
)


def kind_of(path: str | Path, name: str) -> str:
    """`filled`, `vcf`, `variants` or `mutants`. Raises DataError, with what is understood, for anything else."""
    with Source(path, byte_order_mark=True) as source:
        number, line = 0, b""
        for number, line in enumerate(source.lines(), 1):
            if number == 1 and line.startswith(b"##fileformat"):
                return "vcf"
            if line.strip() and not line.startswith(b"#"):
                break
        else:
            raise DataError(f"{name} is empty, or of comments alone: {UNDERSTOOD}")
    if is_filled_header(line):
        return "filled"
    if is_scored_header(line):
        return "variants"
    text = text_of(line)
    columns = text.split(max(SEPARATORS, key=text.count))
    if prefixes([column.strip().strip('"') for column in columns]):
        return "mutants"
    raise DataError(f"{name}, line {number:,}: {shown(line, 60)}: {_instead(line)}{UNDERSTOOD}")


def page_of(
    path: str | Path,
    *,
    name: str | None = None,
    fasta: str | None = None,
    measured: str | None = None,
    progress: Callable[[int], None] | None = None,
) -> Page:
    """The page of a regular file, which is read twice; `name` is what it is called.

    `fasta`, of filled letters: what was filled. `measured`, of mutants: the column with the measurement. `progress` is
    called with the bytes read so far. Raises DataError for what is damaged or of no known kind, UsageError for an
    option that is of another kind of results.
    """
    title = name or str(path)
    kind = kind_of(path, title)
    if fasta is not None and kind != "filled":
        raise UsageError("--fasta: it belongs to a table of filled letters, and would change nothing here")
    if measured is not None and kind != "mutants":
        raise UsageError("--measured: it belongs to a table of scored mutants, and would change nothing here")
    short = os.path.basename(title)
    provenance = {"file": short, "size": f"{os.path.getsize(path):,} bytes", "BLAKE2b of it": checksum(path)}
    if kind == "filled":
        return _filled(path, short, fasta, provenance, progress)
    from seqdiff.report.scored import mutants_page, variants_page
    from seqdiff.report.scored.mutants_tally import MutantsTally
    from seqdiff.report.scored.variants_tally import VariantsTally

    if kind == "mutants":
        with MutantScores(path, measured=measured, progress=progress) as scores:
            mutants = MutantsTally()
            for piece in scores.pieces():
                mutants.add(piece)
        return mutants_page(mutants, scores, short, provenance)
    by, pieces = (scored_vcf if kind == "vcf" else scored_table)(path, progress=progress)
    variants = VariantsTally()
    for alleles in pieces:
        variants.add(alleles)
    return variants_page(variants, short, by, provenance)


def _filled(
    path: str | Path, name: str, fasta: str | None, provenance: dict[str, str], progress: Callable[[int], None] | None
) -> Page:
    with FilledTable(path, progress=progress) as table:
        if fasta is not None:
            if any(" insert=" in line for line in table.comment):
                raise UsageError(
                    f"--fasta {fasta}: letters were put in with --insert, so positions are not its own: leave it out"
                )
            if not os.path.isfile(fasta):
                why = "give a file, which is read twice" if os.path.exists(fasta) else missing(Path(fasta))
                raise DataError(f"--fasta {fasta}: {why}")
            provenance |= {"FASTA": os.path.basename(fasta), "BLAKE2b of the FASTA": checksum(fasta)}
        tally = Tally(table.symbols, fasta=fasta)
        for letters in table.letters():
            tally.add(letters)
    return filled_page(tally.finish(), name, table.comment, provenance)


def _instead(line: bytes) -> str:
    """What else a file seems to be, and what to do."""
    if line.startswith((b">", b"@", b";")):
        return (
            "this is FASTA or FASTQ, which hold one letter a place and no distribution: fill with `seqdiff infill "
            "--format table`; "
        )
    if line.startswith(b"name\treplicate\tfilled"):
        return "this is the --report of `seqdiff infill`: give the table of `--format table`; "
    if line.startswith(b"contig\tstart\tend\tvariants"):
        return "this is a table of haplotypes, of which there is no page: score the VCF without --haplotypes; "
    if line.startswith(b"name\t"):
        return "this looks like the table of `seqdiff score`; "
    if line.lstrip().startswith((b"{", b"[")):
        return "this is JSON: an evaluation stands on the page of its run, `seqdiff report RUN`; "
    return ""
