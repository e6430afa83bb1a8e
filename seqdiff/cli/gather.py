"""seqdiff gather"""

import logging
import os
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from seqdiff.cli import options, results
from seqdiff.errors import DataError, UsageError


def command(
    files: Annotated[list[str], typer.Argument(help="Files in order, or one folder of shards (1-of-N.fa, ...).")],
    output: options.Output = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Join what many jobs made of shards, in order: FASTA, FASTQ, tables or VCFs, told by content.

    A table has its header once; headers must agree. -o x.vcf.gz is bgzip, with its index. Of files that are named
    as shards all must be there; those that hold nothing are passed over.

    Example: seqdiff gather filled/1-of-2.fa filled/2-of-2.fa -o filled.fa
    """
    options.start(threads=None, quiet=quiet, verbose=verbose)
    from seqdiff.data import gather
    from seqdiff.data.shards import require_order, shards_in
    from seqdiff.data.source import missing

    if len(files) == 1 and os.path.isdir(files[0]):
        files = [str(path) for path in shards_in(Path(files[0]))]
    for path in files:
        if not os.path.exists(path):
            raise DataError(missing(Path(path)))
        if not os.path.isfile(path):
            raise UsageError(f"{path}: give files, or one folder alone; each is looked at before there is any output")
    if twice := [path for path, number in Counter(map(os.path.realpath, files)).items() if number > 1]:
        raise UsageError(f"{twice[0]} is given twice")
    require_order(files)
    results.require_own("-o", None if str(output) == "-" else output, *files)
    kind, held = gather.one_kind(files)
    join = {
        "FASTA": gather.join_sequences, "FASTQ": gather.join_sequences, "table": gather.join_tables,
        "VCF": gather.join_variants,
    }.get(kind)  # fmt: skip
    if join is None:
        raise UsageError(f"{held[0]}: {kind} is not joined")
    with options.progress("gather", "byte", quiet, sum(map(os.path.getsize, held))) as advance:
        join(held, output, options.difference(advance))
    empty = len(files) - len(held)
    logging.getLogger("seqdiff").info(
        "joined %s files (%s)%s", f"{len(files):,}", kind, f", of which {empty:,} held nothing" if empty else ""
    )
