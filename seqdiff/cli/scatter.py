"""seqdiff scatter"""

import logging
from pathlib import Path
from typing import Annotated

import typer

from seqdiff.cli import inputs, options
from seqdiff.errors import UsageError

MOST = 100_000
"""Shards: each is a file, and a job of a cluster."""


def command(
    number: Annotated[int, typer.Option("-n", "--shards", min=1, max=MOST, help="How many files to make.")],
    folder: Annotated[
        Path, typer.Option("--out", help="The folder of shards, 1-of-N.fa and so on; older shards in it are replaced.")
    ],
    fasta: Annotated[
        str | None, typer.Option("--fasta", help="FASTA or FASTQ, plain, gzip or bgzip; - is stdin.")
    ] = None,
    vcf: Annotated[str | None, typer.Option("--vcf", help="Or a VCF, plain, gzip or bgzip; - is stdin.")] = None,
    by: Annotated[
        str | None,
        typer.Option(
            "--by", help="What work is: letters (to score or embed; the default) or unknown letters (to infill)."
        ),
    ] = None,
    bed: Annotated[
        Path | None,
        typer.Option("--bed", help="With --fasta: divide these spans too, and by their letters: 1-of-N.bed."),
    ] = None,
    duplicates: Annotated[
        str | None, typer.Option("--duplicates", help="Records of the same name: error (default), first or rename.")
    ] = None,
    apart: Annotated[
        int | None,
        typer.Option(
            "--apart",
            min=1,
            help="With --vcf: keep records together that begin less than so many bases apart. For variants "
            "--haplotypes: a quarter of the model's context, or more.",
        ),
    ] = None,
    tabix: Annotated[
        bool,
        typer.Option(
            "--tabix", help="With --vcf: refuse one whose result could have no .tbi index: not sorted, or too long."
        ),
    ] = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Divide a file of sequences or variants into shards of about the same work, for many jobs.

    Records stay as they are, byte for byte, and in order: what a command makes of each shard, joined by
    seqdiff gather, is what it makes of the whole file. There are always N files, 1-of-N.fa (or .fq, plain text) to
    N-of-N.fa, or .vcf.gz; where there are too few records, the last ones hold none, and the commands take them.

    Example: seqdiff scatter --fasta assembly.fa.gz -n 8 --by unknown --out shards
    """
    options.start(threads=None, quiet=quiet, verbose=verbose)
    if (fasta is None) == (vcf is None):
        raise UsageError("give --fasta FILE or --vcf FILE: one of them")
    of_sequences = {"--by": by, "--bed": bed, "--duplicates": duplicates}
    given = (
        of_sequences if vcf is not None else {"--apart": apart, "--tabix": tabix or None}
    )  # of the other kind of file
    for option, value in given.items():
        if value is not None:
            raise UsageError(f"{option}: it is of --{'fasta' if vcf is not None else 'vcf'}")
    if by is not None and bed is not None:
        raise UsageError("--by: with --bed the letters in spans are the work, so leave it out")
    if fasta == "-" and str(bed) == "-":
        raise UsageError("--fasta - and --bed -: only one of them can be stdin")
    options.one_of("--by", by or "letters", ("letters", "unknown"))
    options.one_of("--duplicates", duplicates or "error", ("error", "first", "rename"))
    inputs.require(fasta, vcf, bed)
    from seqdiff.data.scatter import scatter_sequences, scatter_variants
    from seqdiff.data.source import size_of

    with inputs.readable_twice(fasta or vcf) as path:
        size = 2 * (size_of(path) or 0)
        with options.progress("scatter", "byte", quiet, size) as advance:
            progress = options.difference(advance)
            if vcf is not None:
                done = scatter_variants(path, folder, number, apart=apart, tabix=tabix, progress=progress)
            else:
                done = scatter_sequences(
                    path, folder, number, by=by or "letters", bed=bed, duplicates=duplicates or "error",
                    progress=progress,
                )  # fmt: skip
    logging.getLogger("seqdiff").info(
        "divided %s records into %s shards in %s; the largest has %.1f %% of the work%s",
        f"{done.records:,}", f"{done.shards:,}", folder, 100 * done.largest,
        f", and {done.empty:,} hold no record" if done.empty else "",
    )  # fmt: skip
