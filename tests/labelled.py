"""VCFs whose labels are known to be right: alternates drawn from a chain, and others drawn from all letters alike."""

import numpy as np

from seqdiff.data.genome import Genome
from seqdiff.data.intervals import Interval

HEADER = """##fileformat=VCFv4.2
##INFO=<ID=AF,Number=A,Type=Float,Description="frequency">
##INFO=<ID=BAD,Number=A,Type=Integer,Description="1 for drawn at random, 0 for drawn from the chain">
#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO
"""


def substitutions(genome: Genome, transition: np.ndarray, places: range, contig: str = "c", seed: int = 0) -> list[str]:
    """A line a place: half of the alternates drawn from what the chain says between its neighbours, half from all."""
    rng = np.random.default_rng(seed)
    tokens = genome.tokens(Interval(contig, 0, genome.contigs[contig])).astype(int)
    lines = []
    for place in places:
        before, ref, after = tokens[place - 1 : place + 2]
        if max(before, ref, after) > 3:
            continue
        bad = rng.random() < 0.5
        weight = np.ones(4) if bad else transition[before] * transition[:, after]
        weight[ref] = 0
        alt = rng.choice(4, p=weight / weight.sum())
        frequency = 0.0001 if bad else 0.2
        lines.append(f"{contig}\t{place + 1}\t.\t{'ACGT'[ref]}\t{'ACGT'[alt]}\t.\t.\tAF={frequency};BAD={bad:d}")
    return lines
