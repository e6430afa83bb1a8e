"""Scoring variants: how many a second beside one site at a time, and time and memory against their number.

python tests/benchmarks/bench_variants.py rate [--variants 2000]     the shipped model, rivals interleaved in one run
python tests/benchmarks/bench_variants.py growth [--constant]        to 25,000 variants, each number in a process of its
                                                                     own; --constant: to a million, the network for free

The variants are drawn: single substitutions as dense as in the 1000 Genomes calls of chromosome 22 (one in 70 bases),
alone or with 10 % insertions and deletions, on the human sequence that ships. The rival is what the papers' scripts
do: for each allele the window around it with the site masked, one row a call, once on either strand.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

SPACING = 70
INDELS = 0.1
LETTERS = "ACGT"

GROWTH = """
import resource, sys, time
import torch
from bench_variants import Nothing
from seqdiff import model as models
from seqdiff.cli.variant_lines import about
from seqdiff.cli.variant_runs import variants
from seqdiff.data.genome import Genome
from seqdiff.inference.changes import VariantScorer
from pathlib import Path

vcf, fasta, out, constant = sys.argv[1:]
torch.set_num_threads(1)
model = models.load(device="cpu")
if constant == "1":
    model.denoise = Nothing()
scorer = model.change_scorer(Genome.open(fasta), VariantScorer())
begin, used = time.perf_counter(), time.process_time()
variants(scorer, vcf, Path(out), "vcf", "error", about(model, VariantScorer(), 0), True)
print(time.process_time() - used, time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


class Nothing:
    """A network without work: what is left is reading, laying out, and writing."""

    symbols, hollow, equivariant = 4, True, True

    def __call__(self, tokens: torch.Tensor, time: torch.Tensor | None = None) -> torch.Tensor:
        return torch.zeros(*tokens.shape, 4)


def places(count: int, spacing: float, first: int, last: int, rng: np.random.Generator) -> np.ndarray:
    """Sorted positions at such a density; in a span too short for so many, as dense as it must be."""
    return np.sort(rng.integers(first, min(last, first + int(count * spacing)), count))


def write_vcf(path: Path, contig: str, text: str, count: int, indels: float, seed: int = 0) -> Path:
    """Drawn variants of a sequence, in order, with an allele that differs from the reference."""
    rng = np.random.default_rng(seed)
    with open(path, "w") as file:
        file.write("##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n")
        for number, place in enumerate(places(count, SPACING, 1_000, len(text) - 1_000, rng).tolist()):
            length = 1 + int(rng.geometric(0.4))
            if rng.random() >= indels:
                ref = text[place]
                alt = LETTERS[(LETTERS.index(ref) + int(rng.integers(1, 4))) % 4] if ref in LETTERS else "A"
            elif rng.random() < 0.5:
                ref, alt = text[place : place + length], text[place]
            else:
                ref, alt = text[place], text[place] + "".join(rng.choice(list(LETTERS), length - 1))
            file.write(f"{contig}\t{place + 1}\tv{number}\t{ref}\t{alt}\t50\tPASS\tAF={rng.random():.4f}\n")
    return path


def in_vcf(path: Path) -> list:
    from seqdiff.data.vcf import Vcf
    from seqdiff.inference.variants import alleles

    with Vcf(path) as vcf:
        return [variant for record in vcf.records() for variant in alleles(record)]


def embedded() -> tuple[Path, str, str]:
    """The shipped sequence: its file, contig and letters."""
    from seqdiff.data.genome import Genome
    from seqdiff.data.intervals import Interval
    from seqdiff.resources import folder

    path = folder("genomes") / "human-chr20.fa.gz"
    genome = Genome.open(path)
    ((contig, length),) = genome.contigs.items()
    return path, contig, genome.alphabet.decode(genome.tokens(Interval(contig, 0, length))).decode()


def one_at_a_time(model, text: str, variants: list) -> list[float]:
    """The rival: two calls of one row an allele, window and mask made anew for each."""
    alphabet, scores = model.alphabet, []
    for variant in variants:
        start = min(max(0, variant.start - model.context // 2), len(text) - model.context)
        window = alphabet.encode(text[start : start + model.context].encode())
        site, total = variant.start - start, 0.0
        for strand in (False, True):
            tokens = alphabet.reverse_complement(window) if strand else window.copy()
            at = model.context - 1 - site if strand else site
            tokens[at] = alphabet.mask
            log_mu = torch.log_softmax(model.denoise(torch.from_numpy(tokens).long()[None])[0, at], -1)
            ref, alt = (
                alphabet.size - 1 - LETTERS.index(letter) if strand else LETTERS.index(letter)
                for letter in (variant.ref, variant.alt)
            )
            total += float(log_mu[alt] - log_mu[ref])
        scores.append(total / 2)
    return scores


def cpu(call: Callable[[], object]) -> tuple[float, float, object]:
    """Processor and wall seconds of a call, and what came of it."""
    wall, used = time.perf_counter(), time.process_time()
    result = call()
    return time.process_time() - used, time.perf_counter() - wall, result


def rate(count: int, rounds: int, threads: int) -> None:
    from rounds import machine, prepare, summary

    from seqdiff import model as models
    from seqdiff.data.genome import Genome
    from seqdiff.inference.changes import VariantScorer
    from seqdiff.inference.variants import effects

    prepare(threads, keep_freed=True)
    model = models.load(device="cpu")
    fasta, contig, text = embedded()
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        for label, indels in (("single substitutions", 0.0), ("10 % insertions and deletions", INDELS)):
            variants = in_vcf(write_vcf(Path(folder) / "a.vcf", contig, text, count, indels))
            few = [variant for variant in variants if len(variant.ref) == len(variant.alt)][: max(20, count // 20)]
            scorer = model.change_scorer(Genome.open(fasta), VariantScorer())
            times: dict[str, list[tuple[float, float]]] = {"ours": [], "rival": []}
            for _ in range(rounds):
                used, wall, found = cpu(lambda scorer=scorer, variants=variants: list(effects(variants, scorer)))
                times["ours"].append((used / len(variants), wall / len(variants)))
                if not indels:
                    used, wall, rival = cpu(lambda few=few: one_at_a_time(model, text, few))
                    times["rival"].append((used / len(few), wall / len(few)))
            print(f"\n{len(variants):,} variants, {label}, one in {SPACING} bases; {threads} threads, {rounds} rounds")
            for which, clock in enumerate(("CPU", "wall")):
                ours = [each[which] for each in times["ours"]]
                print(f"  seqdiff             {1 / statistics.median(ours):9,.1f} variants a second ({clock})")
                if not indels:
                    theirs = [each[which] for each in times["rival"]]
                    ratios = summary([b / a for a, b in zip(ours, theirs, strict=True)], 1)
                    print(f"  one site at a time  {1 / statistics.median(theirs):9,.1f}, {ratios} times slower")
            if not indels:
                compare(scorer, found, rival)


def compare(scorer, found: list, rival: list[float]) -> None:
    """Where a shared window has a quarter of the context on both sides, past the network's reach, scores are equal."""
    gaps, same = [], []
    for effect, other in zip(found, rival, strict=False):
        inside = effect.variant.start - scorer._window(0, effect.variant.start)[2]
        gaps.append(abs(effect.llr - other))
        if scorer.context // 4 <= inside < scorer.context - scorer.context // 4:
            same.append(gaps[-1])
    assert max(same) < 1e-4, max(same)
    spread = statistics.fmean(gap * gap for gap in gaps) ** 0.5
    print(f"  scores differ by at most {max(same):.1e} where windows agree as far as the network sees ({len(same)}")
    print(f"  of {len(gaps)}), elsewhere by {max(gaps):.4f} at most, {spread:.4f} rms")


def growth(constant: bool, counts: list[int]) -> None:
    from rounds import machine

    fasta, contig, text = embedded()
    print(machine())
    print(f"{'variants':>10} {'CPU s':>9} {'us each':>9} {'wall s':>9} {'peak MiB':>9}   VCF to VCF, 1 thread")
    with tempfile.TemporaryDirectory() as folder:
        for count in counts:
            vcf = write_vcf(Path(folder) / "a.vcf", contig, text, count, INDELS if constant else 0.0)
            environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent), "OMP_NUM_THREADS": "1"}
            arguments = [str(vcf), str(fasta), str(Path(folder) / "out.vcf.gz"), str(int(constant))]
            printed = subprocess.run(
                [sys.executable, "-c", GROWTH, *arguments],
                env=environment,
                check=True,
                stdout=subprocess.PIPE,
                text=True,
            )
            used, wall, peak = map(float, printed.stdout.split())
            print(f"{count:10,} {used:9.1f} {used / count * 1e6:9.0f} {wall:9.1f} {peak / 1024:9.0f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    parsed = commands.add_parser("rate")
    parsed.add_argument("--variants", type=int, default=2000)
    parsed.add_argument("--rounds", type=int, default=3)
    parsed.add_argument("--threads", type=int, default=1)
    parsed = commands.add_parser("growth")
    parsed.add_argument("--constant", action="store_true")
    parsed.add_argument("--variants", type=int, nargs="+", help="default: 1,000 to 25,000; --constant: to 1,000,000")
    options = parser.parse_args()
    if options.command == "rate":
        rate(options.variants, options.rounds, options.threads)
    else:
        most = 1_000_000 if options.constant else 25_000
        growth(
            options.constant, options.variants or [most // 1000, most // 100, most // 10, most][not options.constant :]
        )


if __name__ == "__main__":
    main()
