"""How many network passes a likelihood takes: the bound of `seqdiff score` against Bernoulli masks weighted by 1/t.

    python tests/benchmarks/bench_likelihood.py oracle
    python tests/benchmarks/bench_likelihood.py model      # ten minutes of one core

The rival draws t uniform, masks each letter with probability t and weighs by 1/t what the masked ones cost: the
estimator with which MD4 and MDLM (t in [0.001, 1]) report their bounds. `even t` draws the times of a sequence from
strata, as MDLM does over a batch; over the draws of one sequence it is at its best. Every estimator makes 32 draws from
the same network, again and again for each sequence; what counts is the variance within a sequence times the passes
made. The ratio to the first line is how many times fewer passes the same standard error takes; its interval is the
bootstrap over sequences. `plain` reads masked letters alone: what a network gets that is not hollow. `oracle` asks the
exact posterior of a Markov chain (tests/oracles.py), `model` the network that ships with seqdiff about held-out
windows, or that of `--run`.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from rounds import machine

import seqdiff
from seqdiff.diffusion.likelihood import Elbo
from seqdiff.diffusion.likelihood.passes import Pass, costs
from seqdiff.streams import Streams

sys.path.insert(0, str(Path(__file__).parents[1]))
from oracles import Hollow, MarkovChain

DRAWS = 32
CLAMP = 1e-3
Estimator = Callable[[torch.Tensor, Streams], tuple[torch.Tensor, torch.Tensor]]


def bernoulli(denoise, *, clamp: float, even: bool, batch_size: int) -> Estimator:
    """The mean of `DRAWS` values of (1/t) times what the letters masked with probability t cost."""

    def estimate(x: torch.Tensor, rng: Streams) -> tuple[torch.Tensor, torch.Tensor]:
        u = (torch.arange(DRAWS) + rng.rand(DRAWS)) / DRAWS if even else rng.rand(DRAWS)
        t = clamp + (1 - clamp) * u

        def passes() -> Iterator[Pass]:
            for row in range(len(x)):
                for draw, keys in enumerate(rng.select([row]).rand(DRAWS, x.shape[1])[0]):
                    masked = keys < t[row, draw]
                    yield Pass((row, draw), row, masked, masked)

        values = torch.zeros_like(t)
        for place, nats in costs(denoise, x, passes(), denoise.symbols, batch_size, x.device):
            values[place] = nats / t[place]
        return values.mean(1), torch.full((len(x),), DRAWS)

    return estimate


def ours(denoise, *, hollow: bool, batch_size: int) -> Estimator:
    scorer = Elbo.of_draws(DRAWS, hollow)

    def estimate(x: torch.Tensor, rng: Streams) -> tuple[torch.Tensor, torch.Tensor]:
        score = scorer(denoise, x, x < denoise.symbols, rng, batch_size=batch_size)
        return score.nats, score.calls

    return estimate


class Plain:
    """A network as if it were not hollow."""

    def __init__(self, denoise):
        self.denoise, self.symbols = denoise, denoise.symbols

    def __call__(self, tokens, time=None):
        return self.denoise(tokens)


def measure(x: torch.Tensor, repeats: int, estimators: dict[str, Estimator]) -> None:
    """Prints the table. x: (sequences, letters), all known."""
    effort, means = {}, {}
    for name, estimate in estimators.items():
        begin, rows = time.process_time(), []
        for number, sequence in enumerate(x):
            rng = Streams.of(0, [(number, repeat) for repeat in range(repeats)])
            nats, calls = estimate(sequence.expand(repeats, -1), rng)
            rows.append((float(nats.var()) * float(calls.double().mean()), float(nats.mean())))
        effort[name], means[name] = (np.array(column) for column in zip(*rows, strict=True))
        print(f"{name}: {time.process_time() - begin:.0f} s of CPU", file=sys.stderr, flush=True)
    first = next(iter(effort.values()))
    resampled = np.random.default_rng(0).integers(len(x), size=(2000, len(x)))
    print("| estimator | nats a letter | sd a pass, nats a letter | times fewer passes |\n|---|---|---|---|")
    for name, values in effort.items():
        low, high = np.quantile(first[resampled].mean(1) / values[resampled].mean(1), [0.025, 0.975])
        print(
            f"| {name} | {means[name].mean() / x.shape[1]:.4f} | {values.mean() ** 0.5 / x.shape[1]:.4f} "
            f"| {first.mean() / values.mean():.1f} ({low:.1f} to {high:.1f}) |",
            flush=True,
        )


def contenders(denoise, batch_size: int) -> dict[str, Estimator]:
    plain = Plain(denoise)
    return {
        f"1/t, t in [{CLAMP}, 1] (MDLM)": bernoulli(plain, clamp=CLAMP, even=False, batch_size=batch_size),
        "1/t, no clamp": bernoulli(plain, clamp=0.0, even=False, batch_size=batch_size),
        f"1/t, even t in [{CLAMP}, 1]": bernoulli(plain, clamp=CLAMP, even=True, batch_size=batch_size),
        "seqdiff, plain": ours(plain, hollow=False, batch_size=batch_size),
        "seqdiff, hollow": ours(denoise, hollow=True, batch_size=batch_size),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", choices=["oracle", "model"])
    parser.add_argument("--run", type=Path, help="a run directory; default: the model that ships with seqdiff")
    parser.add_argument("--windows", type=int, default=24, help="sequences")
    parser.add_argument("--repeats", type=int, default=12, help="estimates of each sequence")
    parser.add_argument("--length", type=int, default=128, help="letters, of the oracle's sequences")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.network == "oracle":
        chain = MarkovChain()
        x, denoise, batch_size = chain.sample(given.windows, given.length), Hollow(chain), 2048
    else:
        model = seqdiff.load(given.run, device="cpu")
        windows = model.recipe.data.open().test
        items = np.unique(np.linspace(0, len(windows) - 1, 4 * given.windows).astype(np.int64))
        x = windows.batch(items).tokens
        x = x[(x < model.alphabet.size).all(1)][: given.windows]
        denoise, batch_size = model.denoise, 16
        assert denoise.hollow, "the last line needs a hollow network"
    print(f"{given.network}: {len(x)} sequences of {x.shape[1]} letters, {given.repeats} estimates each")
    print(machine(), flush=True)
    measure(x, given.repeats, contenders(denoise, batch_size))


if __name__ == "__main__":
    main()
