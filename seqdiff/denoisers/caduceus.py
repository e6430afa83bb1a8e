"""Caduceus (Schiff et al. 2024, arXiv:2403.03234): Mamba in both directions, for DNA in both strands.

PS, parameter sharing, runs one network over both strands as a batch of 2B: strand one as it is written,
strand two its reverse complement, in its own direction of reading. The strands meet in the head alone,
which adds them, so flips are needed at the tokens and at the logits and nowhere between.
"""

from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from pydantic import model_validator
from torch import Tensor

from seqdiff.denoisers.mamba import BiMamba, MambaDenoiser, pads
from seqdiff.denoisers.residual import add_norm
from seqdiff.errors import ConfigError


class Caduceus(BiMamba):
    """A bidirectional Mamba network that knows DNA has two strands.

    `strands: ps` gives the reverse complement of a sequence exactly the reverse complement of its logits.
    `strands: ph` trains one strand at a time (augment with reverse complements) and outside training
    answers with the mean of both strands. Both have the same number of parameters.
    """

    kind: Literal["caduceus"] = "caduceus"
    strands: Literal["ps", "ph"] = "ps"
    """Shared parameters, or one strand in training and the mean of both after it."""
    swap_strands: bool = False
    """Exchange the strands before every layer. The public implementation does so (ps with `fused_add_norm`), and
    its checkpoints need it; a network trained here does not."""

    @property
    def equivariant(self) -> bool:
        """Whether training needs no reverse-complement augmentation."""
        return self.strands == "ps"

    @model_validator(mode="after")
    def _only_ps_has_strands_to_swap(self) -> "Caduceus":
        if self.swap_strands and self.strands != "ps":
            raise ValueError("swap_strands is of strands: ps")
        return self

    def build(self, symbols: int, context: int | None = None) -> "CaduceusDenoiser":
        """A freshly initialised network over the four bases. Raises ConfigError for another alphabet."""
        if symbols != 4:
            raise ConfigError(
                f"denoiser 'caduceus' reads both strands of DNA, 4 symbols; this alphabet has {symbols}: use kind mamba"
            )
        return CaduceusDenoiser(self, symbols)


class CaduceusDenoiser(MambaDenoiser):
    """The network of `Caduceus`. For ps, hidden states have twice the width: both strands side by side."""

    equivariant = True
    """ph too: outside training it answers with the mean of both strands."""

    def __init__(self, settings: Caduceus, symbols: int):
        super().__init__(settings, symbols)
        self.shared, self.swap = settings.strands == "ps", settings.swap_strands

    def hidden(
        self,
        tokens: Int[Tensor, "B L"],
        time: Float[Tensor, "B"] | None = None,
        labels: Int[Tensor, "B"] | None = None,
    ) -> Float[Tensor, "B L D"]:
        """ps: (B, L, 2 width), whose reverse complement is its `.flip(-1, -2)`. ph: (B, L, width)."""
        if not self.shared and self.training:
            return super().hidden(tokens, time, labels)
        first, second = self._both(tokens, time, labels).chunk(2)
        if self.shared:
            return torch.cat([first, second.flip(1, 2)], -1)
        return (first + second.flip(1)) / 2

    def unstranded(self, hidden: Float[Tensor, "B L D"]) -> Float[Tensor, "B L E"]:
        """ps: the mean of both strands, (B, L, width)."""
        if not self.shared:
            return hidden
        own, other = hidden.chunk(2, -1)
        return (own + other.flip(-1)) / 2

    def _both(self, tokens: Tensor, time: Tensor | None, labels: Tensor | None) -> Float[Tensor, "2*B L D"]:
        labels = None if labels is None else labels.repeat(2)
        return super().hidden(both_strands(tokens, self.symbols), time, labels)

    def forward(
        self,
        tokens: Int[Tensor, "B L"],
        time: Float[Tensor, "B"] | None = None,
        labels: Int[Tensor, "B"] | None = None,
    ) -> Float[Tensor, "B L K"]:
        """ps: the sum of both strands' logits; ph: one strand in training, the mean of both outside."""
        if not self.shared and self.training:
            return super().forward(tokens, time, labels)
        first, second = self.logits(self._both(tokens, time, labels)).chunk(2)
        total = first + second.flip(1, 2)
        return total if self.shared else total / 2

    def trunk(self, h: Float[Tensor, "B L D"], present: Bool[Tensor, "B L"], time: None) -> Float[Tensor, "B L D"]:
        if not self.swap:
            return super().trunk(h, present, time)
        inside, stream = pads(present, h.dtype), None
        for layer in self.layers:
            # Strand one goes on with strand two read backwards, channels too, and the other way round.
            h, stream = other_strand(h), other_strand(stream)
            h, stream = self.through(layer, h, stream, inside)
        return add_norm(h, stream, self.norm_f.weight)[0]


def other_strand(h: Float[Tensor, "2*B L D"] | None) -> Float[Tensor, "2*B L D"] | None:
    """The strands exchanged, each read in the other's direction and with its channels in the other order."""
    return None if h is None else h.unflatten(0, (2, -1)).flip(0, 2, 3).flatten(0, 1)


def both_strands(tokens: Int[Tensor, "B L"], symbols: int) -> Int[Tensor, "2*B L"]:
    """The rows as they are, then their reverse complements.

    >>> both_strands(torch.tensor([[0, 1, 4, 5]]), 4).tolist()
    [[0, 1, 4, 5], [5, 4, 2, 3]]
    """
    complement = torch.where(tokens < symbols, symbols - 1 - tokens, tokens)
    return torch.cat([tokens, complement.flip(1)])
