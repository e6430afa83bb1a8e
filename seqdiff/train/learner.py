"""What learns: the network with its optimizers and its moving average, and how they are kept."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from seqdiff.recipe import Recipe
from seqdiff.streams import seed_of
from seqdiff.train import optimizer as optimizing
from seqdiff.train.ema import MovingAverage


class Learner:
    """A network in training. Its first weights depend on the recipe's seed alone, or are those of another run."""

    def __init__(self, recipe: Recipe, device: torch.device, weights: Mapping[str, Tensor] | None = None):
        torch.manual_seed(seed_of(recipe.seed, "initial weights"))
        self.settings = recipe.training
        denoiser = recipe.network()
        if weights is not None:
            denoiser.load_state_dict(weights)
        self.denoiser = denoiser.to(device)
        self.denoiser.activation_checkpointing = self.settings.activation_checkpointing
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
        norm = nn.utils.clip_grad_norm_(self.denoiser.parameters(), self.settings.clip or math.inf)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.average.update(step)
        return norm.detach()

    def tensors(self) -> dict[str, Tensor]:
        """Everything that has been learned, by name, for one safetensors file."""
        parts = {
            "weights": self.denoiser.state_dict(),
            "average": self.average.weights(),
            "optimizer": dict(optimizing.state_tensors(self.optimizers)),
        }
        # A copy each: safetensors keeps no two names for one memory.
        return {f"{part}.{name}": t.detach().clone() for part, named in parts.items() for name, t in named.items()}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Put back what `tensors` gave."""
        parts: dict[str, dict[str, Tensor]] = {"weights": {}, "average": {}, "optimizer": {}}
        for name, tensor in tensors.items():
            part, rest = name.split(".", 1)
            parts[part][rest] = tensor
        self.denoiser.load_state_dict(parts["weights"])
        self.average.restore(parts["average"])
        optimizing.restore(self.optimizers, parts["optimizer"])
