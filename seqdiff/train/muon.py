"""Muon: momentum, made orthogonal. Learns matrices in fewer steps than AdamW at the same cost.

Jordan et al. 2024 (https://kellerjordan.github.io/posts/muon); Liu et al. 2025, arXiv 2502.16982. torch's own
`torch.optim.Muon` takes matrices only and orthogonalises in bfloat16, which CPUs may not have; this one takes
convolution kernels, as matrices of outputs x (inputs x taps), and works in the precision of the parameters.
"""

from collections.abc import Callable, Iterable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from seqdiff.train.sharding import cut_as, whole

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the quintic iteration: they push every singular value to between 0.7 and 1.2 in five steps."""


class Muon(torch.optim.Optimizer):
    """update = sqrt(max(1, rows / columns)) * orthogonal(Nesterov momentum of the gradient); decay is decoupled."""

    def __init__(
        self, parameters: Iterable[nn.Parameter], lr: float, *, momentum: float = 0.95, weight_decay: float = 0.0
    ):
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:
        assert closure is None, "Muon is stepped without a closure"
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if "momentum" not in state:
                    state["momentum"] = torch.zeros_like(parameter)
                state["momentum"].lerp_(parameter.grad, 1 - group["momentum"])
                nesterov = parameter.grad.lerp(state["momentum"], group["momentum"])
                direction = orthogonal(whole(nesterov).flatten(1))  # of shards, every process does all of it
                rows, columns = direction.shape
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                scale = max(1.0, rows / columns) ** 0.5
                parameter.add_(cut_as(parameter, direction.view(parameter.shape)), alpha=-group["lr"] * scale)


def orthogonal(matrix: Float[Tensor, "rows columns"], steps: int = 5) -> Float[Tensor, "rows columns"]:
    """The nearest matrix with singular values near 1, by Newton-Schulz iteration.

    >>> values = torch.linalg.svdvals(orthogonal(torch.randn(8, 32, generator=torch.Generator().manual_seed(0))))
    >>> bool(values.min() > 0.6 and values.max() < 1.3)
    True
    """
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.mT if tall else matrix
    x = x / (x.norm() + 1e-7)
    a, b, c = COEFFICIENTS
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x
