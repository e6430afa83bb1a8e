"""Quality against network calls: what each sampler and setting gives, on oracles with exact answers and on a model.

python tests/benchmarks/bench_samplers.py joint     total variation to the exact law of 81 strings, by enumeration
python tests/benchmarks/bench_samplers.py chain     samples of 128 letters from the exact network of a Markov chain
python tests/benchmarks/bench_samplers.py gaps      gaps of 64 and 256 letters in held-out windows, the shipped model
python tests/benchmarks/bench_samplers.py samples   new sequences of 512 letters, the shipped model

`--out FILE.json` keeps the numbers, each part under its name; docs/samplers.png is drawn from them (docs/pictures.py).
Results do not depend on the machine: calls are counted, not timed.
"""

import argparse
import itertools
import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

import seqdiff
from seqdiff.diffusion.samplers import Ancestral, Bounded, Confident, Correct, Exact, Remask, Sampler
from seqdiff.evaluate import heldout
from seqdiff.evaluate.samplers import Samplers, variation, words
from seqdiff.evaluate.statistics import ratio
from seqdiff.streams import Streams

sys.path.insert(0, str(Path(__file__).parents[1]))
from laws import (
    ancestral_turns,
    bounded_law,
    confident_law,
    distance,
    exact_turns,
    nothing,
    planned_law,
    random_move,
    remask_law,
    vector,
)  # fmt: skip
from oracles import MarkovChain


def settings(few: bool = False, once: bool = False) -> Iterator[tuple[str, str, Sampler]]:
    """Family, setting and sampler; `few` leaves out those that say little and cost much, `once` those that
    redraw letters."""
    yield "exact", "", Exact()
    for steps in (4, 8, 16, 32, 64, 128):
        yield "ancestral", f"{steps}", Ancestral(steps=steps)
        if not few or steps in (8, 32):
            yield "ancestral, cosine", f"{steps}", Ancestral(steps=steps, grid="cosine")
    for bound in (4.0, 16.0, 64.0) if few else (0.01, 0.1, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0):
        yield "bounded", f"{bound:g}", Bounded(bound=bound)
    for positions in (4, 16) if few else (1, 2, 4, 8, 16):
        yield "confident", f"{positions}", Confident(positions=positions)
    if once:
        return
    for steps in (32,) if few else (16, 32, 64, 128):
        yield "remask", f"{steps}", Remask(steps=steps)
    for strategy in () if few else ("rescale", "confidence", "loop"):
        yield f"remask, {strategy}", "32", Remask(strategy=strategy, steps=32)
    for steps, moves in ((16, 16),) if few else ((8, 8), (16, 16), (32, 32)):
        yield "correct", f"{steps}+{moves}", Correct(steps=steps, moves=moves)
        yield "correct, least certain", f"{steps}+{moves}", Correct(steps=steps, moves=moves, choose="least-certain")


def joint() -> list[dict[str, Any]]:
    """Total variation to the law of 81 strings, and the calls that it takes, all by enumeration."""
    rows = []

    def row(family: str, setting: str, calls: float, law: dict) -> None:
        rows.append({"family": family, "setting": setting, "calls": calls, "distance": distance(law)})
        print(_line(rows[-1]), flush=True)

    row("exact", "", 4.0, planned_law(*exact_turns(nothing)))
    row("confident", "1", 4.0, confident_law(Confident()))
    row("confident", "2", 2.0, confident_law(Confident(positions=2)))
    for bound in (0.0, 0.5, 0.8, 1.0, 1.5, 2.5):
        law, passes = bounded_law(bound)
        row("bounded", f"{bound:g}", (vector(passes) * vector(law)).sum().item(), law)
    for grid, steps in itertools.product(("uniform", "cosine"), (1, 2, 4, 8)):
        sampler = Ancestral(steps=steps, grid=grid)
        calls = sum(1 - (1 - width) ** 4 for width in sampler.shares(steps).diff().tolist())
        law = planned_law(*ancestral_turns(sampler, steps, nothing))
        row("ancestral" if grid == "uniform" else "ancestral, cosine", f"{steps}", calls, law)
        if grid == "uniform" and 1 < steps < 8:
            row("remask", f"cap 0.05, {steps}", steps, remask_law(Remask(eta=0.05), steps))
            for moves in range(1, 9):
                law = random_move(law, Correct())
                if moves in (1, 2, 4, 8):
                    row("correct", f"{steps}+{moves}", calls + moves, law)
    return rows


def chain(length: int = 128, rows: int = 384) -> list[dict[str, Any]]:
    """Excess of E[-log2 p(x)] over the entropy, bits a letter, and distances of 3-mers and 6-mers to exact samples."""
    oracle = MarkovChain(seed=1, concentration=1.0)
    transition, start = oracle.transition, oracle.start
    entropy = (torch.special.entr(start).sum() + (length - 1) * (start @ torch.special.entr(transition).sum(1))).item()
    real = oracle.sample(20_000, length, seed=1).numpy()
    everywhere = {k: _spectrum(real, k) for k in (3, 6)}
    fresh = oracle.sample(rows, length, seed=2)
    found = [_chain_row("true", "", oracle, fresh, torch.zeros(rows), entropy, everywhere)]
    for family, setting, sampler in settings():
        filled = sampler(oracle, torch.full((rows, length), oracle.mask), rng=Streams.of(0, range(rows)))
        found.append(_chain_row(family, setting, oracle, filled.tokens, filled.calls, entropy, everywhere))
        print(_line(found[-1]), flush=True)
    return found


def _chain_row(family, setting, oracle, tokens, calls, entropy, everywhere) -> dict[str, Any]:
    bits = -oracle.log_prob(tokens).numpy() / math.log(2)
    excess = ratio(bits - entropy / math.log(2), np.full(len(bits), tokens.shape[1]))
    row = {"family": family, "setting": setting, "calls": calls.double().mean().item(), "excess": excess.of("value")}
    return row | {f"distance {k}": variation(_spectrum(tokens.numpy(), k), everywhere[k]) for k in everywhere}


def _spectrum(tokens: np.ndarray, k: int) -> np.ndarray:
    return sum(words(tokens[i : i + 500], np.ones(tokens[i : i + 500].shape, bool), 4, k).sum(0)
               for i in range(0, len(tokens), 500))  # fmt: skip


def gaps(length: int) -> list[dict[str, Any]]:
    """The question `samplers` of `seqdiff evaluate`, over all settings."""
    model = seqdiff.load()
    data = model.recipe.data.open()
    few = length > 64
    named = {f"{family}|{setting}": sampler for family, setting, sampler in settings(few)}
    question = Samplers(samplers=named, gap=length, flank=128 if few else 96, gaps=16 if few else 48)
    summary = question.ask(model, data, lambda share: print(f"  {share:.0%}", end="", flush=True)).summary
    print()
    rows = [{"family": "true", "setting": "", **summary["true"]}]
    for row in summary["samplers"]:
        family, _, setting = row.pop("name").partition("|")
        rows.append({"family": family, "setting": setting, **row})
    for row in rows:
        row.pop("sampler"), row.pop("name", None)
        print(_line(row))
    return rows


def samples(length: int = 512, count: int = 16) -> list[dict[str, Any]]:
    """Distance of the k-mers of new sequences to held-out windows, and the bits they cost the model."""
    model = seqdiff.load()
    data = model.recipe.data.open()
    windows = data.test.batch(heldout.draw(data.test, 400_000, 0)).tokens.numpy()
    everywhere = {k: _spectrum(windows, k) for k in (3, 6)}
    question = Samplers()
    cut = windows[: count // 2].reshape(-1, length)
    hidden = np.ones((count, length), bool)
    fillings = [("true", "", question.score(model, cut, cut, hidden))]
    for family, setting, sampler in settings(few=True):
        fillings.append((family, setting, question.fill(model, sampler, cut, hidden)))
        print(f"  {family} {setting}", end="", flush=True)
    print()
    rows = []
    for family, setting, filled in fillings:
        bits = ratio(filled.bits, hidden.sum(1)).of("value")
        row = {"family": family, "setting": setting, "calls": float(filled.calls.mean()), "bits": bits}
        rows.append(row | {f"distance {k}": variation(_spectrum(filled.tokens, k), everywhere[k]) for k in everywhere})
        print(_line(rows[-1]))
    return rows


def _line(row: dict[str, Any]) -> str:
    cells = [f"{row['family']:24} {row['setting']:14}"]
    for name, value in row.items():
        if isinstance(value, dict):
            error = "" if value["se"] is None else f" ± {value['se']:.4f}"
            cells.append(f"{name} {value['value']:.4f}{error}")
        elif isinstance(value, float):
            cells.append(f"{name} {value:.4g}")
    return "  ".join(cells)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="+", choices=["joint", "chain", "gaps", "samples", "all"])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    parts = {"joint": {"joint": joint}, "chain": {"chain": chain}, "samples": {"samples": samples},
             "gaps": {"gaps 64": lambda: gaps(64), "gaps 256": lambda: gaps(256)}}  # fmt: skip
    for what in parts if "all" in options.what else options.what:
        for name, measured in parts[what].items():
            print(name, flush=True)
            rows = measured()
            if options.out:
                kept = json.loads(options.out.read_text()) if options.out.exists() else {}
                options.out.write_text(json.dumps(kept | {name: rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
