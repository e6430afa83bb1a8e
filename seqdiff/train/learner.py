"""What learns: the network with its optimizers and its moving average, and how they are kept."""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

import torch
from torch import Tensor, nn

from seqdiff.recipe import Recipe
from seqdiff.streams import seed_of
from seqdiff.train import optimizer as optimizing
from seqdiff.train import sharding
from seqdiff.train.distributed import ALONE, Processes
from seqdiff.train.ema import MovingAverage

T = TypeVar("T")


class Learner:
    """A network in training. Its first weights depend on the recipe's seed alone, or are those of another run."""

    def __init__(
        self,
        recipe: Recipe,
        device: torch.device,
        weights: Mapping[str, Tensor] | None = None,
        group: Processes = ALONE,
    ):
        torch.manual_seed(seed_of(recipe.seed, "initial weights"))
        self.settings = recipe.training
        denoiser = recipe.network()
        if weights is not None:
            denoiser.load_state_dict(weights)
        denoiser.activation_checkpointing = self.settings.activation_checkpointing
        self.denoiser, self.group = denoiser, group
        self.sharded = self.settings.sharding == "full" and group.world > 1
        if self.sharded:
            if self.settings.compile:
                for layer in sharding.layers(denoiser):
                    layer.compile()
            self.network: nn.Module = sharding.shard(denoiser, group.world, device)
        else:
            self.network = denoiser.to(device)
        """The network itself, or what asks it where it is in shards (`sharding.ask`)."""
        self.optimizers = optimizing.build(self.denoiser, self.settings)
        self.average = MovingAverage(self.denoiser, self.settings.ema)
        self.learning_rate = 0.0

    def step(self, step: int, letters: float) -> Tensor:
        """One update from the gradients that have gathered; returns their global norm before clipping.

        The network's prior is shared among the `letters` of the training data, as the loss is a mean over letters.
        """
        self.learning_rate = optimizing.set_learning_rate(self.optimizers, step, self.settings)
        for parameter, precision in self.denoiser.precisions():
            if parameter.grad is not None:
                parameter.grad.add_(parameter.detach(), alpha=precision / letters)
        norm = sharding.whole(nn.utils.clip_grad_norm_(self.denoiser.parameters(), self.settings.clip or math.inf))
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.average.update(step)
        return norm.detach()

    def averaged(self, question: Callable[[nn.Module], T]) -> T:
        """What a question comes to of the network with the averaged weights, in evaluation mode."""
        with self.average.swapped_in(), torch.no_grad():
            return sharding.ask(self.network, question)

    def weights(self) -> dict[str, Tensor]:
        """The averaged weights, whole, on the process that writes; all of them must ask."""
        return sharding.gathered(self.average.weights().items(), self.group.writes)

    def tensors(self) -> dict[str, Tensor]:
        """Everything that has been learned, by name, for one safetensors file: on the process that writes, and the same
        whether the network is in shards or not. All processes must ask."""
        return sharding.gathered(self._named(), self.group.writes)

    def _named(self) -> Iterator[tuple[str, Tensor]]:
        for name, tensor in self.denoiser.state_dict().items():
            yield f"weights.{name}", tensor
        for name, tensor in self.average.weights().items():
            yield f"average.{name}", tensor
        for name, tensor in optimizing.state_tensors(self.optimizers):
            yield f"optimizer.{name}", tensor

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Put back what `tensors` gave."""
        parts: dict[str, dict[str, Tensor]] = {"weights": {}, "average": {}, "optimizer": {}}
        for name, tensor in tensors.items():
            part, rest = name.split(".", 1)
            parts[part][rest] = tensor
        state = self.denoiser.state_dict()
        cut = {name: sharding.cut_as(state[name], t) if name in state else t for name, t in parts["weights"].items()}
        self.denoiser.load_state_dict(cut)
        self.average.restore(parts["average"])
        optimizing.restore(self.optimizers, parts["optimizer"])
