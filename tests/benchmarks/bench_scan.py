"""The selective scan beside mambapy's, forward and with all its gradients: `python tests/benchmarks/bench_scan.py`

Every path of ours that can compute here and mambapy take turns in one run, each a call on the same inputs in float32;
ratios are taken within a round. Then each is compared with a float64 loop over the steps. mambapy 1.2.0, the selective
scan for CPUs on PyPI, is in the `dev` extra.
"""

import argparse
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from published import sequential
from rounds import interleaved, machine, milliseconds, prepare, ratio
from torch import Tensor

from seqdiff.denoisers import paths
from seqdiff.denoisers.scan import selective_scan

INPUTS = ("u", "delta", "A", "B", "C", "D", "z", "delta_bias")


def available() -> list[paths.Name]:
    """The paths that can compute here, the fastest first; says of the others why they cannot."""
    reasons = {name: paths.unavailable(name) for name in ("cpu", "reference")}
    for name, reason in reasons.items():
        if reason:
            print(f"path {name} is not measured: {reason}")
    return [name for name, reason in reasons.items() if not reason]


def mambapy_scan(x: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
    """mambapy's own way from discretisation to y: exp, outer products, `pscan`, product with C."""
    from mambapy.mamba import MambaBlock

    return MambaBlock.selective_scan(None, x, delta, A, B, C, D)


def compare(length: int, batch: int, width: int, states: int, rounds: int, seconds: float) -> None:
    inputs, grad = draw(batch, length, width, states)
    answers: dict[str, Callable[[], Tensor]] = {
        f"seqdiff {path}": partial(ours, path, **inputs) for path in available()
    }
    answers["mambapy pscan"] = partial(gated, mambapy_scan, **inputs)

    @torch.no_grad()
    def forward(answer: Callable[[], Tensor]) -> None:
        answer()

    def both(answer: Callable[[], Tensor]) -> list[Tensor]:
        y = answer()
        return [y.detach(), *torch.autograd.grad(y, list(inputs.values()), grad)]

    print(f"\nselective scan, B {batch}, D {width}, N {states}, L {length:,}, float32; {machine()}")
    best = next(iter(answers))
    for what, run in {"forward": forward, "forward and backward": both}.items():
        taken = interleaved({name: partial(run, answer) for name, answer in answers.items()}, rounds, seconds)
        for name, times in taken.items():
            times_as_fast = ratio(times, taken[best])
            print(f"  {what:21} {name:18} {milliseconds(times)}   {best} is {times_as_fast} times as fast")
    truth = exact(inputs, grad)
    for name, answer in answers.items():
        y, *gradients = (relative(one, other) for one, other in zip(both(answer), truth, strict=True))
        worst = max(range(len(INPUTS)), key=gradients.__getitem__)
        errors = f"y {y:.1e}, gradients up to {gradients[worst]:.1e} ({INPUTS[worst]})"
        print(f"  {'error to float64':21} {name:18} {errors}")


def draw(batch: int, length: int, width: int, states: int) -> tuple[dict[str, Tensor], Tensor]:
    """Inputs of a scan as a network at its start has them, time before channels, and the gradient of y."""
    rng = torch.Generator().manual_seed(0)
    u, delta, z, grad = (torch.randn(batch, length, width, generator=rng) for _ in range(4))
    B, C = (torch.randn(batch, length, states, generator=rng) for _ in range(2))
    A = -torch.arange(1.0, states + 1).repeat(width, 1)
    D, bias = torch.randn(width, generator=rng), torch.randn(width, generator=rng) - 4
    values = (u, delta, A, B, C, D, z, bias)
    return {name: value.requires_grad_() for name, value in zip(INPUTS, values, strict=True)}, grad


def ours(path: paths.Name, u, delta, A, B, C, D, z, delta_bias) -> Tensor:
    u, delta, B, C, z = (one.transpose(1, 2) for one in (u, delta, B, C, z))
    with paths.use(path):
        return selective_scan(u, delta, A, B, C, D, z, delta_bias, delta_softplus=True).transpose(1, 2)


def gated(scan, u, delta, A, B, C, D, z, delta_bias) -> Tensor:
    """A scan that knows neither softplus nor gate, between the two."""
    return scan(u, F.softplus(delta + delta_bias), A, B, C, D) * F.silu(z)


def exact(inputs: dict[str, Tensor], grad: Tensor) -> list[Tensor]:
    """y and all gradients in float64, a step at a time; a row of the batch at a time, for the memory."""
    leaves = {name: value.detach().double().requires_grad_() for name, value in inputs.items()}
    rows = []
    for row in range(len(grad)):
        own = {name: value[row : row + 1] if value.dim() == 3 else value for name, value in leaves.items()}
        y = gated(sequential, **own)
        y.backward(grad[row : row + 1].double())
        rows.append(y.detach())
    return [torch.cat(rows), *(leaf.grad for leaf in leaves.values())]


def relative(value: Tensor, truth: Tensor) -> float:
    """The largest error over the largest value."""
    return float((value.double() - truth.double()).abs().max() / truth.abs().max())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lengths", type=int, nargs="+", default=[1024, 8192])
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--width", type=int, default=256, help="channels of the scan")
    parser.add_argument("--states", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.3, help="of one turn, at least one call")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--keep-freed", action="store_true", help="give both the memory that seqdiff's commands have")
    options = vars(parser.parse_args())
    prepare(options.pop("threads"), keep_freed=options.pop("keep_freed"))
    for length in options.pop("lengths"):
        compare(length, **options)


if __name__ == "__main__":
    main()
