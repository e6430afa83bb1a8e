"""Hyena beside networks of its size, and its long convolution beside others: `python tests/benchmarks/bench_hyena.py`

A step is forward, cross-entropy of the masked letters, backward and fused AdamW, in float32. Contenders take turns in
one run; ratios are taken within a round. Networks that read left to right are compared among themselves.
"""

import argparse
import statistics
from collections.abc import Callable

import torch
import torch.nn.functional as F
from rounds import interleaved, machine, milliseconds, prepare, ratio
from torch import Tensor, nn
from training import Training

from seqdiff.denoisers import Caduceus, Convolution, Hyena, Mamba, Network, Transformer
from seqdiff.denoisers.long_convolution import long_convolution

NETWORKS: dict[str, Network] = {
    "hyena": Hyena(),
    "convolution": Convolution(width=128, hidden=64, depth=12, kernel=5, max_dilation=64),
    "transformer": Transformer(width=96, depth=4, heads=3, hidden=272),
    "mamba": Mamba(width=118, depth=4),
    "caduceus ps": Caduceus(width=118, depth=4),
    "hyena, left to right": Hyena(causal=True),
    "transformer, left to right": Transformer(width=96, depth=4, heads=3, hidden=272, causal=True),
    "mamba, left to right": Mamba(width=126, depth=4, causal=True),
    "convolution, left to right": Convolution(causal=True),
}
"""Within 5 % of 450,000 parameters: Caduceus and Hyena at their published sizes, the others as in bench_recipes.py."""


def steps(tokens: int, length: int, rounds: int, seconds: float) -> None:
    """Training steps of `tokens` letters in rows of `length`."""
    rows = max(1, tokens // length)
    print(f"a training step of {rows} x {length:,} letters; {machine()}")
    networks = {name: built(settings, length) for name, settings in NETWORKS.items()}
    trainings = {name: Training(network, rows, length) for name, network in networks.items()}
    taken = interleaved({name: training.step for name, training in trainings.items()}, rounds, seconds)
    for name, times in taken.items():
        rival = "hyena, left to right" if NETWORKS[name].left_to_right else "hyena"
        size = sum(parameter.numel() for parameter in networks[name].parameters())
        speed = rows * length / statistics.median(times)
        faster = "" if name == rival else f"   {rival} is {ratio(times, taken[rival])} times as fast"
        print(f"  {name:26} {size:9,} parameters {speed:8,.0f} letters/s{faster}")


def built(settings: Network, length: int) -> nn.Module:
    """With a head that does not start at zero."""
    torch.manual_seed(0)
    network = settings.build(4, length)
    nn.init.normal_(network.head.weight, std=settings.width**-0.5)
    return network


def convolutions(tokens: int, length: int, rounds: int, seconds: float, channels: int = 128) -> None:
    """One long convolution from the left, forward and backward, in three ways that give one answer."""
    rows = max(1, tokens // length)
    print(f"a long convolution of {rows} x {channels} x {length:,}, forward and backward; {machine()}")
    rng = torch.Generator().manual_seed(0)
    u = torch.randn(rows, channels, length, generator=rng, requires_grad=True)
    filters = (torch.randn(channels, length, generator=rng) / length**0.5).requires_grad_()
    weight = torch.randn(u.shape, generator=rng)

    def call(convolution: Callable[[Tensor, Tensor], Tensor]) -> Callable[[], tuple[Tensor, ...]]:
        return lambda: torch.autograd.grad(convolution(u, filters), (u, filters), weight)

    ways = {"seqdiff": long_convolution, "by torch's derivative": by_autograd}
    if length <= 1024:
        ways["every pair (conv1d)"] = every_pair
    calls = {name: call(way) for name, way in ways.items()}
    truth = calls["by torch's derivative"]()
    for one, other in zip(calls["seqdiff"](), truth, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4 * other.abs().max().item())
    taken = interleaved(calls, rounds, seconds)
    for name, times in taken.items():
        faster = "" if name == "seqdiff" else f"   seqdiff is {ratio(times, taken['seqdiff'])} times as fast"
        print(f"  {name:26} {milliseconds(times)}{faster}")


def by_autograd(u: Tensor, filters: Tensor) -> Tensor:
    """As public implementations of Hyena have it: twice the length, and the derivative left to torch."""
    period = 2 * u.shape[-1]
    return torch.fft.irfft(torch.fft.rfft(u, period) * torch.fft.rfft(filters, period), period)[..., : u.shape[-1]]


def every_pair(u: Tensor, filters: Tensor) -> Tensor:
    return F.conv1d(F.pad(u, (u.shape[-1] - 1, 0)), filters.flip(-1).unsqueeze(1), groups=len(filters))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=["steps", "convolution"], default="steps")
    parser.add_argument("--lengths", type=int, nargs="+", default=[1024, 8192])
    parser.add_argument("--tokens", type=int, default=8192, help="of a step, in as many rows as that makes")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of one turn, at least one step")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    prepare(given.threads, keep_freed=True)
    for length in given.lengths:
        {"steps": steps, "convolution": convolutions}[given.what](given.tokens, length, given.rounds, given.seconds)


if __name__ == "__main__":
    main()
