"""What is read from hidden states about a whole sequence: classes or a quantity. For fine-tuning and prediction."""

from typing import Annotated, Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor, nn

from seqdiff.config import Config
from seqdiff.denoisers.denoiser import Denoiser


class Readout(Config):
    """Letters' states -> a hidden layer at each letter -> pooled over the letters -> a linear layer."""

    hidden: Annotated[int, Field(ge=1)] | None = 128
    """Units of a layer with GELU at each letter, before pooling; None: states are pooled as they are."""
    pooling: Literal["mean", "max", "both"] = "both"
    """Over known letters. `max` finds what is anywhere, like a binding site; `mean` what is everywhere."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of the pooled numbers that is dropped in training."""

    def build(self, width: int, outputs: int) -> "Head":
        """Fresh layers for states of `width` channels, drawn from torch's global generator."""
        return Head(self, width, outputs)


class Pooled(NamedTuple):
    """What has been gathered of some letters; of several windows of a sequence it is combined."""

    total: Float[Tensor, "B H"]
    count: Float[Tensor, "B 1"]
    top: Float[Tensor, "B H"]

    def combined(self, owner: Int[Tensor, "B"], owners: int) -> "Pooled":
        """Rows of one owner, numbered from 0, brought together."""
        places = owner[:, None]
        total = self.total.new_zeros(owners, self.total.shape[1]).index_add(0, owner, self.total)
        count = self.count.new_zeros(owners, 1).index_add(0, owner, self.count)
        top = self.top.new_full((owners, self.top.shape[1]), -torch.inf)
        return Pooled(total, count, top.scatter_reduce(0, places.expand_as(self.top), self.top, "amax"))


class Head(nn.Module):
    """The layers of `Readout`."""

    def __init__(self, settings: Readout, width: int, outputs: int):
        super().__init__()
        self.pooling = settings.pooling
        self.layer = None
        if settings.hidden is not None:
            self.layer = nn.Sequential(nn.Linear(width, settings.hidden), nn.GELU())
            width = settings.hidden
        self.dropout = nn.Dropout(settings.dropout)
        self.out = nn.Linear(2 * width if settings.pooling == "both" else width, outputs)

    def gather(self, states: Float[Tensor, "B L D"], letters: Bool[Tensor, "B L"]) -> Pooled:
        """Pools the letters that are true; a row without one has a count of 0."""
        x = states if self.layer is None else self.layer(states)
        present = letters.unsqueeze(-1)
        total = torch.where(present, x, 0).sum(1)
        return Pooled(total, present.sum(1).to(x.dtype), torch.where(present, x, -torch.inf).amax(1))

    def forward(self, pooled: Pooled) -> Float[Tensor, "B C"]:
        """Class logits, or values in units of the training labels' standard deviation."""
        parts = {"mean": [0], "max": [1], "both": [0, 1]}[self.pooling]
        mean = pooled.total / pooled.count.clamp(min=1)
        top = torch.where(pooled.count > 0, pooled.top, 0)
        return self.out(self.dropout(torch.cat([(mean, top)[part] for part in parts], -1)))


class Reader(nn.Module):
    """A denoiser and a head on its states; each network with its own way with the two strands of DNA.

    The states of an equivariant network are taken without their strand, so its answer is the same for the reverse
    complement. Of another one, whoever calls averages the answers for both strands.
    """

    def __init__(self, denoiser: Denoiser, settings: Readout, outputs: int, *, strands: bool):
        super().__init__()
        self.denoiser = denoiser
        self.folds = strands and denoiser.equivariant
        self.reads_twice = strands and not denoiser.equivariant
        denoiser.eval()
        with torch.no_grad():
            width = self.states(torch.full((1, getattr(denoiser, "columns", None) or 1), denoiser.symbols)).shape[-1]
        self.head = settings.build(width, outputs)

    def states(self, tokens: Int[Tensor, "B L"]) -> Float[Tensor, "B L D"]:
        time = torch.zeros(len(tokens), device=tokens.device) if self.denoiser.takes_time else None
        hidden = self.denoiser.hidden(tokens, time)
        return (self.denoiser.unstranded(hidden) if self.folds else hidden).float()

    def gather(self, tokens: Int[Tensor, "B L"], letters: Bool[Tensor, "B L"]) -> Pooled:
        """What the head makes of the states of those letters, one strand."""
        return self.head.gather(self.states(tokens), letters)

    def forward(self, tokens: Int[Tensor, "B L"]) -> Float[Tensor, "B C"]:
        """Answers of whole rows, one strand, from all their known letters."""
        return self.head(self.gather(tokens, tokens < self.denoiser.symbols))
