"""The moving average of the weights, which is what gets validated and shipped."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from seqdiff.train.sharding import cut_as, local


class MovingAverage:
    """Exponential moving average of a network's parameters; buffers are taken as they are.

    The decay of step n is min(decay, (1 + n) / (10 + n)), so that the first weights are forgotten soon.
    """

    def __init__(self, denoiser: nn.Module, decay: float):
        self.denoiser, self.decay = denoiser, decay
        self._parameters = dict(denoiser.named_parameters())
        self._averages = {name: p.detach().clone() for name, p in self._parameters.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after step 1, 2, ..."""
        decay = min(self.decay, (1 + step) / (10 + step))
        averages = [local(average) for average in self._averages.values()]
        torch._foreach_lerp_(averages, [local(p.detach()) for p in self._parameters.values()], 1 - decay)

    @contextmanager
    def swapped_in(self) -> Iterator[nn.Module]:
        """The network with the averaged weights, in evaluation mode, for the length of the block."""
        raw = {name: p.detach().clone() for name, p in self._parameters.items()}
        was_training = self.denoiser.training
        self._copy(self._averages)
        self.denoiser.eval()
        try:
            yield self.denoiser
        finally:
            self._copy(raw)
            self.denoiser.train(was_training)

    def weights(self) -> dict[str, Tensor]:
        """The whole averaged state, names as in the network's state_dict."""
        return {name: self._averages.get(name, tensor) for name, tensor in self.denoiser.state_dict().items()}

    @torch.no_grad()
    def restore(self, weights: dict[str, Tensor]) -> None:
        for name, average in self._averages.items():
            average.copy_(cut_as(average, weights[name]))

    @torch.no_grad()
    def _copy(self, values: dict[str, Tensor]) -> None:
        for name, parameter in self._parameters.items():
            parameter.copy_(values[name])
