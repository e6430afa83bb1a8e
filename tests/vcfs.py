"""Small genomes and VCFs to test with."""

import numpy as np

from seqdiff.alphabet import DNA
from seqdiff.data.genome import Genome
from seqdiff.data.output import bgzf_block
from seqdiff.data.source import BGZF_END

COLUMNS = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"


def genome_of(path, **contigs):
    """A genome of these contigs, texts or tokens."""
    texts = {
        name: letters if isinstance(letters, str) else DNA.decode(np.asarray(letters)).decode()
        for name, letters in contigs.items()
    }
    path.write_text("".join(f">{name}\n{text}\n" for name, text in texts.items()))
    return Genome.open(path)


def vcf_of(path, *rows, samples=(), header=("##fileformat=VCFv4.2",)):
    """A VCF of rows (contig, pos, ref, alt[, info[, format, sample, ...]]); `path` comes back."""
    columns = COLUMNS + "".join(f"\t{name}" for name in ("FORMAT", *samples) if samples)
    lines = [*header, columns]
    for contig, position, ref, alt, *rest in rows:
        info, *genotypes = rest or ["."]
        lines.append("\t".join([contig, str(position), ".", ref, alt, ".", "PASS", info, *genotypes]))
    text = "".join(f"{line}\n" for line in lines).encode()
    path.write_bytes(bgzf_block(text) + BGZF_END if path.suffix == ".gz" else text)
    return path
