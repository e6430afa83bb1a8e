"""A desk with a small stand-in for every file that the pages name, so that their commands can be run."""

import shutil
from pathlib import Path

import numpy as np
from family import write_family
from image_files import png
from vcfs import vcf_of

from seqdiff.data.fasta import read_records

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "genomes" / "examples"
HEADER = ("##fileformat=VCFv4.2", '##INFO=<ID=AF,Number=A,Type=Float,Description="frequency">')


def lay(folder: Path) -> Path:
    """Writes the files into an empty folder; runs are for the pages to train, or for the test to give."""
    (folder / "genomes").symlink_to(ROOT / "genomes")
    rng = np.random.default_rng(0)
    (human,) = read_records(str(ROOT / "genomes" / "human-chr20.fa.gz"))
    human = human.sequence.decode()
    stretch = human[600_000:620_000]
    _fasta(folder / "hg38.fa", chr1=stretch)
    _fasta(folder / "genome.fa", chr1=human[700_000:712_000])
    _fasta(folder / "my.fa", mine=human[800_000:810_000])
    _fasta(folder / "sequences.fa", one=human[:300], two=human[1000:1200])
    shutil.copy(EXAMPLES / "gaps.fa", folder / "gaps.fa")
    shutil.copy(EXAMPLES / "gaps.fa", folder / "assembly.fa")
    (folder / "reads.fq").write_text(f"@read1\n{human[:60]}\n+\n{'I' * 25}{'+' * 4}{'I' * 31}\n")
    _variants(folder, stretch)
    _tables(folder, human, rng)
    _proteins(folder, rng)
    (folder / "shakespeare.txt").write_text("To be, or not to be: that is the question.\n" * 200)
    (folder / "draft.txt").write_text("to be {{?5}} to be\n")
    png(folder / "in.png", rng.integers(0, 256, (8, 8, 1), dtype=np.uint8))
    return folder


def _fasta(path: Path, **records: str) -> None:
    path.write_text("".join(f">{name}\n{letters}\n" for name, letters in records.items()))


def _variants(folder: Path, reference: str) -> None:
    """Ten substitutions of chr1, half of them rare, alone and as two samples carry them."""
    rows = []
    for number in range(10):
        place = 2000 + 40 * number
        alternate = "ACGT"[("ACGT".index(reference[place - 1]) + 1) % 4]
        frequency = "AF=0.0001" if number % 2 else "AF=0.2"
        rows.append(("chr1", place, reference[place - 1], alternate, frequency, "GT", "0|1", "1|1"))
    vcf_of(folder / "calls.vcf.gz", *(row[:5] for row in rows), header=HEADER)
    phased = (*HEADER, '##FORMAT=<ID=GT,Number=1,Type=String,Description="genotype">')
    vcf_of(folder / "cohort.vcf.gz", *rows, header=phased, samples=("one", "two"))


def _tables(folder: Path, human: str, rng: np.random.Generator) -> None:
    """Sequences with labels that can be learned: rich in G and C or not."""
    for name, count in (("train.csv", 60), ("test.csv", 40)):
        rows = []
        for number in range(count):
            letters = "".join(
                rng.choice(list("ACGT"), 60, p=(0.1, 0.4, 0.4, 0.1) if number % 2 else (0.4, 0.1, 0.1, 0.4))
            )
            rows.append(f"{letters},{number % 2}\n")
        (folder / name).write_text("sequence,label\n" + "".join(rows))


def _proteins(folder: Path, rng: np.random.Generator) -> None:
    """A family of twelve columns in three guises, its wild type with an assay, and proteins of 40 residues."""
    for name in ("family.a2m", "BLAT_ECOLX.a2m"):
        write_family(folder / name)
    family = list(read_records(str(folder / "family.a2m")))
    wild = family[0].sequence.decode()
    letters = {record.name: record.sequence.decode() for record in family}
    stockholm = "".join(f"{name} {row * 4}\n" for name, row in (letters | {"SRC_HUMAN/90-137": wild}).items())
    (folder / "PF00018.sto").write_text(f"# STOCKHOLM 1.0\n{stockholm}//\n")
    _fasta(folder / "aligned.fa", one=wild[:5] + "XX" + wild[7:])
    _fasta(folder / "wt.fa", toy=wild)
    mutants = [
        f"{residue}{number}{other},{rng.normal():.3f}\n"
        for number, residue in enumerate(wild, 24)
        for other in "ADKW"
        if other != residue
    ]
    (folder / "assay.csv").write_text("mutant,DMS_score\n" + "".join(mutants))
    names = [f"p{number}" for number in range(80)]
    _fasta(folder / "mine.fa", **{name: "".join(rng.choice(list("ADEGKLMW"), 40)) for name in names})
    (folder / "mine_cluster.tsv").write_text("".join(f"{name}\t{name}\n" for name in names))
