"""seqdiff genomes: list, fetch, index"""

from pathlib import Path
from typing import Annotated

import typer

from seqdiff.cli import options

app = typer.Typer(help="Genomes that seqdiff knows by name.", no_args_is_help=True, rich_markup_mode=None)


@app.command("list")
def list_genomes() -> None:
    """Show the genomes seqdiff knows, and which are on this machine.

    Example: seqdiff genomes list
    """
    from seqdiff.data.genomes import Registry

    for row in Registry.load().table():
        print("\t".join(row))


@app.command("fetch")
def fetch_genome(
    name: Annotated[str, typer.Argument(help="A name of `seqdiff genomes list`.")],
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Download a genome, verify its checksum, and keep it. An interrupted download goes on where it stopped.

    Example: seqdiff genomes fetch hg38
    """
    options.start(threads=None, quiet=quiet, verbose=verbose)
    from seqdiff.data import genomes

    print(genomes.fetch(name))


@app.command("index")
def index_genome(
    fasta: Annotated[Path, typer.Argument(help="FASTA, plain, gzip or bgzip.")],
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Encode a genome for fast random access, as training does at first use; print its contigs and lengths.

    Example: seqdiff genomes index hg38.fa
    """
    options.start(threads=None, quiet=quiet, verbose=verbose)
    from seqdiff.data.genome import Genome

    with options.progress("index", "byte", quiet) as advance:
        genome = Genome.open(fasta, progress=advance)
    for contig, length in genome.contigs.items():
        print(f"{contig}\t{length}")
