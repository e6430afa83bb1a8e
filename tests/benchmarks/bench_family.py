"""Families: comparing all pairs of sequences, and a training step of the pairwise network, beside what others do.

    python tests/benchmarks/bench_family.py pairs [--sequences 8400] [--columns 263]
    python tests/benchmarks/bench_family.py step [--columns 263] [--batch 192]

`pairs` counts the neighbours at 80 % identity of descendants of common ancestors: here, as DeepSequence and EVE do (one
sequence against all, one-hot vectors in a matrix product), and letter by letter in numpy. `step` is both passes through
the Potts model: the tree of couplings here, and one dense matrix of all columns by all columns, whose symmetric
entries are kept twice. Every contender takes its turn in every round; figures are medians and the range of the rounds.
"""

import argparse

import numpy as np
import torch
import torch.nn.functional as F
from rounds import interleaved, machine, prepare, ratio, summary

from seqdiff.data.identity import relatives
from seqdiff.denoisers import Pairwise

LETTERS = 20


def family(sequences: int, columns: int) -> np.ndarray:
    """Descendants of a few hundred ancestors: between 20 and 100 % of the letters changed by chance."""
    draw = np.random.default_rng(0)
    rows = draw.integers(0, LETTERS, (max(2, sequences // 20), columns))[draw.integers(0, sequences // 20, sequences)]
    changed = draw.random(rows.shape) < draw.random((sequences, 1)) ** 2
    rows[changed] = draw.integers(0, LETTERS + 1, changed.sum())
    return rows.astype(np.uint8)


def by_products(rows: np.ndarray) -> np.ndarray:
    """One-hot rows, one against all at a time."""
    one_hot = np.eye(LETTERS + 1, dtype=np.float32)[rows][..., :LETTERS].reshape(len(rows), -1)
    sizes = one_hot.sum(1)
    return np.array([(one_hot @ row >= 0.8 * size - 1e-6).sum() for row, size in zip(one_hot, sizes, strict=True)]) - 1


def by_letters(rows: np.ndarray) -> np.ndarray:
    """Letters compared as they are, one row against all at a time."""
    known = rows < LETTERS
    found = [((rows == row) & known[i]).sum(1) >= 0.8 * known[i].sum() - 1e-9 for i, row in enumerate(rows)]
    return np.stack(found).sum(1) - 1


def pairs(sequences: int, columns: int, threads: int, rounds: int) -> None:
    rows = family(sequences, columns)
    contenders = {
        "seqdiff": lambda: relatives(rows, LETTERS, threads=threads).neighbours,
        "one-hot products": lambda: by_products(rows),
        "letter by letter": lambda: by_letters(rows),
    }
    first = {name: call() for name, call in contenders.items()}
    assert all((first["seqdiff"] == other).all() for other in first.values()), "they do not count the same"
    taken = interleaved(contenders, rounds, seconds=0)
    print(f"neighbours of {sequences:,} sequences of {columns} columns, {threads} threads: {machine()}")
    for name, seconds in taken.items():
        times = "" if name == "seqdiff" else f"   seqdiff is {ratio(seconds, taken['seqdiff'])} times as fast"
        print(f"  {name:18} {summary(seconds)} s{times}")


def step(columns: int, batch: int, threads: int, rounds: int) -> None:
    symbols = LETTERS + 1
    network = Pairwise().build(symbols, columns)
    dense = torch.zeros(columns * symbols, columns * symbols, requires_grad=True)
    tokens = torch.randint(0, symbols + 1, (batch, columns))
    letters = F.one_hot(tokens, symbols + 1)[..., :symbols].flatten(1).float()

    def tree() -> None:
        network(tokens).square().sum().backward()

    def matrix() -> None:
        (letters @ dense).square().sum().backward()

    taken = interleaved({"seqdiff": tree, "dense": matrix}, rounds, seconds=1)
    print(f"step of {batch} rows of {columns} columns, {threads} threads: {machine()}")
    for name, weights in (("seqdiff", sum(p.numel() for p in network.parameters())), ("dense", dense.numel())):
        print(f"  {name:18} {summary([1e3 * each for each in taken[name]], 0)} ms, {weights / 1e6:.1f}M weights")
    print(f"  dense takes {ratio(taken['dense'], taken['seqdiff'])} times as long")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("pairs", "step"))
    parser.add_argument("--sequences", type=int, default=8400)
    parser.add_argument("--columns", type=int, default=263)
    parser.add_argument("--batch", type=int, default=192)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    prepare(asked.threads, keep_freed=True)
    if asked.what == "pairs":
        pairs(asked.sequences, asked.columns, asked.threads, asked.rounds)
    else:
        step(asked.columns, asked.batch, asked.threads, asked.rounds)


if __name__ == "__main__":
    main()
