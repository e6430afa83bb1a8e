"""seqdiff gather"""

import logging
import os
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from seqdiff.cli import options, results
from seqdiff.errors import DataError, UsageError

log = logging.getLogger("seqdiff")


def command(
    files: Annotated[list[str], typer.Argument(help="Files in order, or one folder of shards (1-of-N.fa, ...).")],
    output: options.Output = None,
    figure: Annotated[
        Path | None, typer.Option("--figure", help="Of evaluations: also draw their numbers beside one another, PNG.")
    ] = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Join what many jobs made, in order: FASTA, FASTQ, tables, VCFs or embeddings (.npz) of shards, told by content.

    A table has its header once; headers must agree. -o x.vcf.gz is bgzip, with its index. Of files that are named
    as shards all must be there; those that hold nothing are passed over.

    Evaluations (evaluate -o x.json) become one table of their numbers, a row each, with the ends of 95 % intervals
    (_low, _high) and what simple rivals come to (_of_...).

    Example: seqdiff gather filled/1-of-2.fa filled/2-of-2.fa -o filled.fa
    """
    options.start(threads=None, quiet=quiet, verbose=verbose)
    from seqdiff.data import gather
    from seqdiff.data.shards import require_order, shards_in
    from seqdiff.data.source import missing
    from seqdiff.data.vector_join import join_vectors

    if len(files) == 1 and os.path.isdir(files[0]):
        files = [str(path) for path in shards_in(Path(files[0]))]
    for path in files:
        if not os.path.exists(path):
            raise DataError(missing(Path(path)))
        if not os.path.isfile(path):
            raise UsageError(f"{path}: give files, or one folder alone; each is looked at before there is any output")
    if twice := [path for path, number in Counter(map(os.path.realpath, files)).items() if number > 1]:
        raise UsageError(f"{twice[0]} is given twice")
    if figure and figure.suffix.lower() != ".png":
        raise UsageError(f"--figure {figure}: a file that ends in .png")
    require_order(files)
    results.require_own("-o", None if str(output) == "-" else output, *files)
    results.require_own("--figure", figure, output, *files)
    kind, held = gather.one_kind(files)
    if figure and kind != "evaluation":
        raise UsageError(f"--figure: it is of evaluations, and {held[0]} is {gather.KINDS[kind]}")
    if kind == "evaluation":
        _evaluations(held, output, figure)
        return
    if kind == "Parquet":
        raise UsageError(f"{held[0]}: Parquet needs no joining: its readers take a folder of such files as one table")
    if kind == "embeddings" and (output is None or str(output) == "-"):
        raise UsageError("embeddings need a file of their own: -o FILE.npz or -o FILE.parquet")
    join = {"embeddings": join_vectors, "table": gather.join_tables, "VCF": gather.join_variants}
    joined = join.get(kind, gather.join_sequences)
    with options.progress("gather", "byte", quiet, sum(map(os.path.getsize, held))) as advance:
        joined(held, output, options.difference(advance))
    empty = len(files) - len(held)
    log.info("joined %s files (%s)%s", f"{len(files):,}", kind, f", of which {empty:,} held nothing" if empty else "")


def _evaluations(files: list[str], output: Path | None, figure: Path | None) -> None:
    from seqdiff.report.evaluations import Evaluation, metrics_figure, write_metrics

    evaluations = [Evaluation.read(path) for path in files]
    if figure:
        metrics_figure(figure, evaluations)
    write_metrics(evaluations, output)
    log.info("%s evaluations", f"{len(evaluations):,}")
