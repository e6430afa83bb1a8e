"""ByteNet as CARP and EvoDiff have it: the blocks of `Convolution` between a narrow embedding and a head with bias."""

from typing import Annotated, Literal, Self

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor, nn

from seqdiff.denoisers.convolution import Block, Stack
from seqdiff.denoisers.denoiser import Denoiser, linear_in_full
from seqdiff.denoisers.layers import initialise

ACTIVATIONS = {"gelu": F.gelu, "relu": F.relu}


class ByteNet(Stack):
    """The network of CARP (Yang et al. 2022, doi 10.1101/2022.05.19.492714) and EvoDiff (Alamdari et al. 2023, doi
    10.1101/2023.09.11.556673), so that their weights fit.

    A letter starts as a few numbers, which a linear layer widens; a mask starts as zeros and stays so in training. As
    published: 38M has the width 1024 at half of it inside (`hidden`), 16 blocks; 640M 1280 at 1280, 56 blocks; both a
    kernel of 5, dilations up to 128 and GELU.

    >>> ByteNet(width=1024, hidden=512, depth=16, max_dilation=128).reach
    1020
    """

    kind: Literal["bytenet"] = "bytenet"
    embedding_width: Annotated[int, Field(ge=1)] = 8
    """Channels of a letter before they are widened."""
    activation: Literal["gelu", "relu"] = "gelu"

    def build(self, symbols: int, context: int | None = None) -> "ByteNetDenoiser":
        """A freshly initialised network over `symbols` symbols."""
        return ByteNetDenoiser(self, symbols)


class ByteNetDenoiser(Denoiser):
    """The network of `ByteNet`."""

    def __init__(self, settings: ByteNet, symbols: int):
        super().__init__(symbols, settings.width)
        self.reach = settings.reach
        self.embedding_width = settings.embedding_width
        self.embedding = nn.Embedding(symbols + 2, settings.embedding_width, padding_idx=symbols)
        self.widen = nn.Linear(settings.embedding_width, settings.width)
        activation = ACTIVATIONS[settings.activation]
        self.blocks = nn.ModuleList(Block(settings, dilation, activation) for dilation in settings.dilations)
        self.norm = nn.LayerNorm(settings.width)
        self.head_bias = nn.Parameter(torch.zeros(symbols))
        initialise(self, settings.depth)
        # Eight numbers of .02 would drown in the bias that widens them: N(0, 1) and a zero for the mask, as published.
        self.embedding.reset_parameters()

    def attach(self, *, learned: nn.Module | None = None, labels: int = 0, mask_logit: bool = False) -> Self:
        super().attach(learned=learned, labels=labels, mask_logit=mask_logit)
        if mask_logit:
            self.head_bias = nn.Parameter(torch.zeros(self.symbols + 1))
        return self

    def trunk(self, h: Float[Tensor, "B L W"], present: Bool[Tensor, "B L"], time: None) -> Float[Tensor, "B L D"]:
        inside = present.unsqueeze(-1).to(h.dtype)
        h = linear_in_full(h, self.widen.weight) + self.widen.bias  # the residual stream has full precision
        for block in self.blocks:
            h = self.through(block, h, inside)
        return self.norm(h)

    def logits(self, hidden: Float[Tensor, "B L D"]) -> Float[Tensor, "B L K"]:
        return super().logits(hidden) + self.head_bias
