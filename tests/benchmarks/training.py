"""What the benchmarks train: Caduceus PS, an optimizer, and one batch with half of its letters masked."""

from collections import Counter
from collections.abc import Callable
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile, record_function

from seqdiff.denoisers import Caduceus, kernels

PARTS = {
    "matrix products": ("aten::mm", "aten::addmm", "aten::addmm_"),
    "optimizer": ("Optimizer.step#AdamW.step",),
    "scan": ("seqdiff::recurrence", "seqdiff::recurrence_backward"),
    "rest of the mixer": ("seqdiff::fused_mix", "seqdiff::fused_mix_backward"),
}
"""Parts of a step, by the operators that are theirs; a fused kernel is called by its file."""


def caduceus(width: int, depth: int) -> nn.Module:
    """Caduceus PS, with a head that does not start at zero: behind that, all gradients are zero and agree."""
    torch.manual_seed(0)
    network = Caduceus(width=width, depth=depth).build(4)
    nn.init.normal_(network.head.weight, std=width**-0.5)
    return network


class Training:
    """A network whose steps can be timed. `forward` stands in for the network's own where it is given."""

    def __init__(self, network: nn.Module, batch: int, length: int, forward: Callable[[Tensor], Tensor] | None = None):
        rng = torch.Generator().manual_seed(1)
        self.network, self._forward = network, forward or network
        self.optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, fused=True)
        self.letters = torch.randint(0, 4, (batch, length), generator=rng)
        self.masked = torch.rand(batch, length, generator=rng) < 0.5
        self.tokens = self.letters.masked_fill(self.masked, 4)

    def logits(self) -> Tensor:
        return self._forward(self.tokens)

    def loss(self) -> Tensor:
        """Nats a masked letter."""
        return F.cross_entropy(self.logits()[self.masked], self.letters[self.masked])

    def step(self) -> None:
        self.loss().backward()
        self.optimizer.step()
        self.optimizer.zero_grad()

    def gradients(self) -> dict[str, Tensor]:
        """Of every parameter, by its name."""
        names, weights = zip(*self.network.named_parameters(), strict=True)
        return dict(zip(names, torch.autograd.grad(self.loss(), weights), strict=True))


def spent(step: Callable[[], None], steps: int = 5) -> dict[str, float]:
    """Shares of a step's time by torch's profiler, the largest first.

    Time belongs to the innermost part of `PARTS`, or fused kernel, that it was spent in.
    """
    from seqdiff.denoisers.kernels.compiled import Kernel

    run = Kernel.__call__

    def named(kernel: Kernel, *arguments: int) -> None:
        with record_function(kernel.function.__module__):
            run(kernel, *arguments)

    step()
    with mock.patch.object(Kernel, "__call__", named), profile(activities=[ProfilerActivity.CPU]) as profiler:
        for _ in range(steps):
            step()
    parts: Counter[str] = Counter()
    for event in profiler.events():
        parts[_part(event)] += event.self_cpu_time_total
    return {part: time / parts.total() for part, time in parts.most_common()}


def _part(event) -> str:
    while event is not None:
        if event.name.startswith(kernels.__name__):
            return event.name.rpartition(".")[2]
        for part, names in PARTS.items():
            if event.name in names:
                return part
        event = event.cpu_parent
    return "rest"
