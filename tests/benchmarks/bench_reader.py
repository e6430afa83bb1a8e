"""Reading left to right: letters a second with what is kept of those before, beside the whole row again for each.

python tests/benchmarks/bench_reader.py

Networks of about 450,000 parameters (those of bench_hyena.py), without gradients. The whole row is run at some lengths
evenly spread over the row, each standing for the letters around it. Contenders take turns in one run.
"""

import argparse
import statistics

import torch
from bench_hyena import NETWORKS, built
from rounds import interleaved, machine, prepare, ratio

from seqdiff.denoisers.reader import Reader

PLACES = 8
"""Lengths at which the whole row is run."""


def reading(network: torch.nn.Module, tokens: torch.Tensor) -> None:
    reader = Reader(network, len(tokens))
    for letters in tokens[:, :-1].split(1, 1):
        reader.read(letters)


def again(network: torch.nn.Module, tokens: torch.Tensor) -> None:
    length = tokens.shape[1]
    for place in range(PLACES):
        network(tokens[:, : (2 * place + 1) * length // (2 * PLACES)])


@torch.no_grad()
def compare(rows: int, length: int, rounds: int, seconds: float) -> None:
    print(f"{rows} rows of {length:,} letters, read from left to right; {machine()}")
    tokens = torch.randint(0, 4, (rows, length), generator=torch.Generator().manual_seed(0))
    for name, settings in NETWORKS.items():
        if settings.left_to_right:
            network = built(settings, length).eval()
            calls = {"kept": lambda n=network: reading(n, tokens), "again": lambda n=network: again(n, tokens)}
            taken = interleaved(calls, rounds, seconds)
            whole = [length / PLACES * one for one in taken["again"]]
            speed = rows * length / statistics.median(taken["kept"])
            faster = ratio(whole, taken["kept"])
            print(f"  {name:26} {speed:8,.0f} letters/s, {faster} times as many as by the whole row again")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--lengths", type=int, nargs="+", default=[256, 1024])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.5, help="of one turn, at least one row")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    prepare(given.threads, keep_freed=True)
    for length in given.lengths:
        compare(given.rows, length, given.rounds, given.seconds)


if __name__ == "__main__":
    main()
