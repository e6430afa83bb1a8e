"""seqdiff genomes: list, fetch, index"""

from pathlib import Path
from typing import Annotated

import typer

from seqdiff.cli import options


def list_genomes() -> None:
    """Show the genomes and the sets of proteins seqdiff knows, and which are on this machine.

    Example: seqdiff genomes list
    """
    from seqdiff.data import genomes, proteins
    from seqdiff.errors import DataError

    print("name\tletters\tassembly\twhere")
    for name, entry in genomes.Registry.load().genomes.items():
        try:
            where = str(genomes.resolve(name))
        except DataError:
            where = f"not here: seqdiff genomes fetch {name}"
        print(f"{name}\t{entry.bases}\t{entry.assembly}\t{where}")
    for name, proteome in proteins.Registry.load().sets.items():
        print(f"{name}\t{proteome.residues}\t{proteome.description}\t{proteome.path}")


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

    entry = genomes.Registry.load()[name]
    with options.progress(f"fetch {name}", "byte", quiet, entry.size) as advance:
        report = options.difference(advance)
        path = genomes.fetch(name, progress=lambda done, total: report(done))
    print(path)


def index_genome(
    fasta: Annotated[Path, typer.Argument(help="FASTA, plain, gzip or bgzip; or a name of `seqdiff genomes list`.")],
    proteins: Annotated[
        bool, typer.Option("--proteins", help="It is proteins: print how many there are, and their residues.")
    ] = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Encode a genome for fast random access, as training does at first use; print its contigs and lengths.

    Example: seqdiff genomes index hg38.fa
    """
    options.start(threads=None, quiet=quiet, verbose=verbose)
    from seqdiff.data import genomes
    from seqdiff.data.genome import Genome
    from seqdiff.data.proteome import Proteome
    from seqdiff.data.source import size_of

    if not proteins and not fasta.exists() and str(fasta) in genomes.Registry.load().names:
        fasta = genomes.resolve(str(fasta))

    with options.progress("index", "byte", quiet, size_of(fasta)) as advance:
        report = options.difference(advance)
        encoded = Proteome.open(fasta, progress=report) if proteins else Genome.open(fasta, progress=report)
    if isinstance(encoded, Proteome):
        print(f"proteins\t{len(encoded)}\nresidues\t{encoded.lengths.sum()}")
        return
    for contig, length in encoded.contigs.items():
        print(f"{contig}\t{length}")
