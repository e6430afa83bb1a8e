"""How well the lengths of inserts are known: letters are cut out of held-out human DNA, and their number is asked for.

    python tests/benchmarks/bench_inserts.py [--most 20] [--flank 150] [--each 10]

Cuts are beside words that all Alus share, in the middle of tandem repeats, and anywhere in the test split of the genome
that ships. A line a kind: cuts, the share of which the most probable length is right, the posterior of the right length
and its logarithm over that of even odds (bits), network passes and seconds a cut.
"""

import argparse
import re
import time

import numpy as np

import seqdiff
from seqdiff.data.fasta import Record
from seqdiff.inference.inserts import Insert

WORDS = (
    b"CTGTAATCCCAGCACTTTGG", b"GAGGTTGCAGTGAGCCGAGA", b"GGCCTCCCAAAGTGCTGGGA", b"CAAAAATTAGCCGGGCGTGGTG",
)  # fmt: skip
"""Of the Alu consensus."""
REPEAT = re.compile(rb"(.{1,6}?)\1{5,}")


def places(text: bytes, flank: int, each: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Where to cut, by kind."""
    other = bytes.maketrans(b"ACGT", b"TGCA")
    found = {
        "Alu": [m.start() for word in WORDS for w in (word, word[::-1].translate(other)) for m in re.finditer(w, text)],
        "repeat": [sum(m.span()) // 2 for m in REPEAT.finditer(text) if m.end() - m.start() >= 24],
        "anywhere": rng.integers(len(text), size=each).tolist(),
    }
    inside = {kind: [at for at in each if flank <= at < len(text) - 2 * flank] for kind, each in found.items()}
    return {kind: rng.permutation(each) for kind, each in inside.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--most", type=int, default=20)
    parser.add_argument("--flank", type=int, default=150)
    parser.add_argument("--each", type=int, default=10)
    asked = parser.parse_args()
    model, rng = seqdiff.load(), np.random.default_rng(1)
    blocks = [model.alphabet.decode(tokens) for tokens in model.recipe.data.open().text("test")]
    text = (b"N" * asked.flank).join(blocks)
    print("kind\tcuts\tright\tposterior\tbits\tpasses\tseconds")
    for kind, starts in places(text, asked.flank, asked.each, rng).items():
        rows, begun = [], time.perf_counter()
        for at in starts[: asked.each]:
            cut = int(rng.integers(asked.most + 1))
            right = text[at + cut : at + cut + asked.flank]
            record = Record("cut", "cut", text[at - asked.flank : at] + right)
            inserts = model.inserts([Insert.parse(f"{asked.flank}:0-{asked.most}")], {"cut": len(record.sequence)})
            (fit,) = inserts.fits(record)
            rows.append((fit.posterior.argmax() == cut, fit.posterior[cut], fit.calls))
        right, posterior, calls = np.mean(rows, 0)
        bits = np.mean([np.log2(chance * (asked.most + 1)) for _, chance, _ in rows])
        seconds = (time.perf_counter() - begun) / len(rows)
        print(f"{kind}\t{len(rows)}\t{right:.2f}\t{posterior:.3f}\t{bits:+.2f}\t{calls:.0f}\t{seconds:.1f}", flush=True)


if __name__ == "__main__":
    main()
