"""Scoring mutants of a protein: how many a second beside one at a time, and time and memory against their number.

python tests/benchmarks/bench_mutations.py rate [--mutants 500]     fresh networks of 0.5M, rivals interleaved in a run
python tests/benchmarks/bench_mutations.py growth                   to 500,000 double mutants, table to table, the
                                                                    network for free, a process for each number
python tests/benchmarks/bench_mutations.py masks                    bounds of deletions: what common masks are worth

The wild type is drawn, 263 residues. The rival is what scripts do: for each mutant its own rows, one a call.
"""

import argparse
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

LENGTH = 263
SITES = 55
LETTERS = "ACDEFGHIKLMNPQRSTVWY"

GROWTH = """
import resource, sys, time
from pathlib import Path
import torch
from bench_mutations import Nothing, model_of
from seqdiff.cli.mutations import Request, score_table

table, fasta, out = sys.argv[1:]
torch.set_num_threads(1)
model = model_of("hollow-convolution")
model.denoise = Nothing()
request = Request(
    fasta, table, None, Path(out), None, "auto", None, None, None, None, None, None, None, 0, True
)
begin, used = time.perf_counter(), time.process_time()
score_table(model, request)
print(time.process_time() - used, time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


class Nothing:
    """A network without work: what is left is reading, planning, and writing."""

    symbols, hollow, equivariant = 20, False, False

    def __call__(self, tokens: torch.Tensor, time: torch.Tensor | None = None) -> torch.Tensor:
        return torch.zeros(*tokens.shape, 20)


def model_of(kind: str):
    """A fresh model of half a million weights, hollow or not."""
    from seqdiff import recipe
    from seqdiff.checkpoint import Provenance
    from seqdiff.model import Model

    settings = {
        "hollow-convolution": ["denoiser={kind: hollow-convolution, width: 96, depth: 8}"],
        "transformer": ["denoiser={kind: transformer, width: 96, depth: 4, heads: 4}", "process.estimator=exact-count"],
    }
    torch.manual_seed(0)
    loaded = recipe.load("protein-demo", settings[kind])
    network = loaded.network()
    for weight in network.parameters():  # what starts at zero would make all mutants the same
        if weight.dim() > 1 and not weight.any():
            torch.nn.init.normal_(weight, std=0.2)
    return Model(network, loaded, Provenance("protein", 512, "nothing", "", 0), torch.device("cpu"))


def wild_type(length: int = LENGTH):
    from seqdiff.data.mutations import Protein

    return Protein("wild", "".join(np.random.default_rng(0).choice(list(LETTERS), length)))


def singles(sequence: str) -> list[str]:
    return [f"{a}{i + 1}{b}" for i, a in enumerate(sequence) for b in LETTERS if a != b]


def several(sequence: str, count: int, sites: int, seed: int = 0) -> list[str]:
    """Mutants of so many of the first `SITES` residues, drawn."""
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(count):
        places = np.sort(rng.choice(SITES, sites, replace=False)).tolist()
        letters = [LETTERS[(LETTERS.index(sequence[i]) + int(rng.integers(1, 20))) % 20] for i in places]
        drawn.append(":".join(f"{sequence[i]}{i + 1}{b}" for i, b in zip(places, letters, strict=True)))
    return drawn


def deletions(sequence: str, count: int) -> list[str]:
    return [f"{sequence[i]}{i + 1}_{sequence[i + 2]}{i + 3}del" for i in range(count)]


def one_at_a_time(model, sequence: str, cells: list[str]) -> list[float]:
    """The rival: for each mutant a call a site, that site alone masked, summed."""
    wild, scores = torch.from_numpy(model.alphabet.encode(sequence.encode())).long(), []
    for cell in cells:
        total = 0.0
        for one in cell.split(":"):
            at, after = int(one[1:-1]) - 1, LETTERS.index(one[-1])
            row = wild.clone()
            row[at] = model.alphabet.mask
            log_mu = torch.log_softmax(model.denoise(row[None])[0, at], -1)
            total += float(log_mu[after] - log_mu[wild[at]])
        scores.append(total)
    return scores


def rate(count: int, rounds: int) -> None:
    from rounds import machine, prepare, summary

    from seqdiff.data.mutations import parsed
    from seqdiff.inference.mutations import MutationScorer

    prepare(1, keep_freed=True)
    protein = wild_type()
    print(machine())
    for kind, (label, method, cells) in itertools.product(
        ("transformer", "hollow-convolution"),
        (
            ("every single substitution", "masked-marginal-single", singles(protein.sequence)),
            (f"{count} double mutants", "masked-marginal-single", several(protein.sequence, count, 2)),
            (f"{count} double mutants", "chain", several(protein.sequence, count, 2)),
            (f"{count // 5} of five sites", "chain", several(protein.sequence, count // 5, 5)),
            (f"{count // 10} deletions", "elbo", deletions(protein.sequence, count // 10)),
        ),
    ):
        model = model_of(kind)
        few = cells[:: -(-len(cells) // 40)]
        mutants = [parsed(cell, protein)[0] for cell in cells]
        ours, rival = [], []
        for _ in range(rounds):
            scorer = model.mutant_scorer(protein, MutationScorer(method=method))
            used = time.process_time()
            found = list(scorer.effects(mutants))
            ours.append((time.process_time() - used) / len(cells))
            if method == "masked-marginal-single":
                used = time.process_time()
                theirs = one_at_a_time(model, protein.sequence, few)
                rival.append((time.process_time() - used) / len(few))
        line = f"{kind:20} {label:26} {method:24} {scorer.landscape.passes:7,} passes"
        line += f" {1 / statistics.median(ours):10,.0f} mutants a CPU second"
        if rival:
            scores = dict(zip(cells, (effect.llr for effect in found), strict=True))
            apart = max(abs(scores[cell] - other) for cell, other in zip(few, theirs, strict=True))
            assert apart < 1e-3, apart
            line += f"; one at a time {1 / statistics.median(rival):,.0f}, "
            line += f"{summary([b / a for a, b in zip(ours, rival, strict=True)], 1)} times slower"
        print(line, flush=True)


def growth(counts: list[int]) -> None:
    from rounds import machine

    print(machine())
    print(f"{'mutants':>10} {'CPU s':>9} {'us each':>9} {'wall s':>9} {'peak MiB':>9}   table to table, 1 thread")
    protein = wild_type(SITES)
    pairs = [
        f"{one}:{other}"
        for one, other in itertools.product(singles(protein.sequence), repeat=2)
        if int(one[1:-1]) < int(other[1:-1])
    ]
    with tempfile.TemporaryDirectory() as folder:
        fasta, table = Path(folder) / "w.fa", Path(folder) / "m.csv"
        fasta.write_text(f">wild\n{protein.sequence}\n")
        for count in counts:
            table.write_text("mutant,DMS_score\n" + "".join(f"{cell},1.0\n" for cell in pairs[:count]))
            environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent), "OMP_NUM_THREADS": "1"}
            arguments = [str(table), str(fasta), str(Path(folder) / "out.tsv")]
            printed = subprocess.run(
                [sys.executable, "-c", GROWTH, *arguments],
                env=environment,
                check=True,
                stdout=subprocess.PIPE,
                text=True,
            )
            used, wall, peak = map(float, printed.stdout.split())
            print(f"{count:10,} {used:9.1f} {used / count * 1e6:9.0f} {wall:9.1f} {peak / 1024:9.0f}", flush=True)


def masks(count: int = 24, seeds: int = 6) -> None:
    """How far two runs differ in one mutant's score, and in the differences between mutants, which rank them.

    Of the shipped model and a protein that it has not seen: fresh networks have nothing to say.
    """
    from seqdiff import model as models
    from seqdiff.data.mutations import Protein, parsed
    from seqdiff.inference.mutations import MutationScorer

    model = models.load("protein-demo", "cpu")
    test = model.recipe.data.open().test
    nearest = np.abs(test.sizes - LENGTH).argmin(keepdims=True)
    protein = Protein("held out", model.alphabet.decode(test.batch(nearest).tokens[0].numpy()).decode())
    mutants = [parsed(cell, protein)[0] for cell in deletions(protein.sequence, count)]
    runs = []
    for seed in range(seeds):
        scorer = model.mutant_scorer(protein, MutationScorer(method="elbo"), seed=seed)
        runs.append([effect.llr for effect in scorer.effects(mutants)])
    of_one = np.std(runs, axis=0, ddof=1).mean()
    apart = np.std(np.diff(runs, axis=1), axis=0, ddof=1).mean()
    print(f"{count} deletions, {seeds} seeds: sd of a score {of_one:.3f} nats, of the difference of two {apart:.3f};")
    print(f"of two with masks of their own it would be {of_one * 2**0.5:.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    parsed = commands.add_parser("rate")
    parsed.add_argument("--mutants", type=int, default=500)
    parsed.add_argument("--rounds", type=int, default=3)
    parsed = commands.add_parser("growth")
    parsed.add_argument("--mutants", type=int, nargs="+", default=[5_000, 50_000, 500_000])
    commands.add_parser("masks")
    options = parser.parse_args()
    if options.command == "rate":
        rate(options.mutants, options.rounds)
    elif options.command == "growth":
        growth(options.mutants)
    else:
        masks()


if __name__ == "__main__":
    main()
