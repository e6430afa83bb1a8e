"""A hollow dilated convolution: what comes out at a position never depends on the letter that stands there.

The first convolution reads up to `radius` letters to each side and leaves out the middle one; every later one has
a dilation that is a multiple of radius + 1. A path from a letter back to its own position would have an offset
a + m (radius + 1) = 0 with 0 < |a| <= radius, and there is none. So visible letters are predictions too: training
scores every letter of every window at weight 1 (`process.estimator: hollow`), not the masked ones alone at n/k, and
learns the same bound from far fewer steps. A hollow transformer is due to Zhao et al. 2024 (arXiv:2407.21243).
"""

from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor, nn

from seqdiff.denoisers import alone
from seqdiff.denoisers.convolution import Dilated, OddInt, modulated
from seqdiff.denoisers.denoiser import Denoiser, Network
from seqdiff.denoisers.layers import TimeEmbedding, initialise

TIME_WIDTH = 64
"""Channels of the embedding of the time, which every block has a linear map of."""


class HollowConvolution(Network):
    """Residual blocks of dilated convolutions around a first one without its middle. Linear in length.

    >>> settings = HollowConvolution(radius=8, depth=4, kernel=3, cycle=4)
    >>> settings.dilations
    (9, 18, 36, 72)
    >>> settings.reach
    143
    """

    kind: Literal["hollow-convolution"] = "hollow-convolution"
    width: Annotated[int, Field(ge=1)] = 112
    """Channels of the residual stream."""
    depth: Annotated[int, Field(ge=1)] = 8
    """Blocks of a dilated convolution and a linear layer."""
    radius: Annotated[int, Field(ge=1)] = 8
    """Letters to each side that the first convolution reads."""
    kernel: OddInt = 3
    """Taps of the dilated convolutions; odd."""
    cycle: Annotated[int, Field(ge=1)] = 4
    """Dilations double from block to block, in cycles of so many blocks."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of a block's inner channels that is dropped in training."""
    time_conditioning: bool = False
    """Whether the network is told the time, which scales and shifts the norm of each block and the last one."""

    @property
    def takes_time(self) -> bool:
        return self.time_conditioning

    @property
    def hollow(self) -> bool:
        return True

    @property
    def dilations(self) -> tuple[int, ...]:
        """The dilation of each block, all multiples of radius + 1."""
        return tuple((self.radius + 1) * 2 ** (block % self.cycle) for block in range(self.depth))

    @property
    def reach(self) -> int:
        """How many positions to each side can change a prediction."""
        return self.radius + sum(self.dilations) * (self.kernel // 2)

    def build(self, symbols: int, context: int | None = None) -> "HollowDenoiser":
        """A freshly initialised network over `symbols` symbols."""
        return HollowDenoiser(self, symbols)


class HollowDenoiser(Denoiser):
    """The network of `HollowConvolution`."""

    pads_leave_no_trace = True
    hollow = True

    def __init__(self, settings: HollowConvolution, symbols: int):
        super().__init__(symbols, settings.width)
        self.reach, self.takes_time = settings.reach, settings.takes_time
        self.embedding = Neighbours(symbols, settings.width, settings.radius)
        self.blocks = nn.ModuleList(Block(settings, dilation) for dilation in settings.dilations)
        self.norm = nn.LayerNorm(settings.width)
        if self.takes_time:
            self.time = TimeEmbedding(TIME_WIDTH)
            self.modulation = nn.Linear(TIME_WIDTH, 2 * settings.width)
        initialise(self, settings.depth)

    def trunk(
        self, h: Float[Tensor, "B L D"], present: Bool[Tensor, "B L"], time: Float[Tensor, "B"] | None
    ) -> Float[Tensor, "B L D"]:
        inside = present.unsqueeze(-1).to(h.dtype)
        condition = None if time is None else F.silu(self.time(time))
        for block in self.blocks:
            h = self.through(block, h, inside, condition)
        h = self.norm(h)
        return F.gelu(h if condition is None else modulated(h, self.modulation(condition)))


class Neighbours(nn.Module):
    """Each position as the sum of an embedding of every neighbour's token, with a table of its own for each offset.

    Pads, like places past the ends, add nothing; neither does the position itself.
    """

    def __init__(self, symbols: int, width: int, radius: int):
        super().__init__()
        self.symbols, self.radius = symbols, radius
        offsets = 2 * radius + 1
        self.weight = nn.Parameter(torch.randn(width, symbols + 1, offsets) / offsets**0.5)
        self.bias = nn.Parameter(torch.zeros(width))
        others = torch.ones(offsets)
        others[radius] = 0
        self.register_buffer("others", others, persistent=False)

    def forward(self, tokens: Int[Tensor, "B L"]) -> Float[Tensor, "B L D"]:
        if alone.active():
            return self._looked_up(tokens)
        letters = F.one_hot(tokens, self.symbols + 2)[..., : self.symbols + 1].to(self.weight.dtype)
        image, kernel = letters.mT.unsqueeze(2), (self.weight * self.others).unsqueeze(2)
        with torch.autocast(tokens.device.type, enabled=False):  # the residual stream keeps full precision
            return F.conv2d(image, kernel, self.bias, padding=(0, self.radius)).squeeze(2).mT

    def _looked_up(self, tokens: Int[Tensor, "B L"]) -> Float[Tensor, "B L D"]:
        """The same, neighbour after neighbour, whatever the shape of the batch."""
        weight, nothing = self.weight * self.others, self.symbols + 1
        table = F.pad(weight, (0, 0, 0, 1)).permute(2, 1, 0).flatten(0, 1)  # a row of zeros for pads of each offset
        near = F.pad(tokens, (self.radius, self.radius), value=nothing).unfold(1, len(self.others), 1)
        offsets = torch.arange(len(self.others), device=tokens.device) * (nothing + 1)
        found = F.embedding_bag((near + offsets).flatten(0, 1), table, mode="sum")
        return (found + self.bias).view(*tokens.shape, -1)


class Block(nn.Module):
    """h + out_proj(gelu(dilated convolution(norm(h))))."""

    def __init__(self, settings: HollowConvolution, dilation: int):
        super().__init__()
        self.norm = nn.LayerNorm(settings.width)
        self.conv = Dilated(settings.width, settings.kernel, dilation)
        self.out_proj = nn.Linear(settings.width, settings.width)
        self.dropout = nn.Dropout(settings.dropout)
        self.modulation = nn.Linear(TIME_WIDTH, 2 * settings.width) if settings.time_conditioning else None

    def forward(
        self, h: Float[Tensor, "B L D"], inside: Float[Tensor, "B L 1"], condition: Float[Tensor, "B T"] | None = None
    ) -> Float[Tensor, "B L D"]:
        x = self.norm(h)
        x = x if condition is None else modulated(x, self.modulation(condition))
        return h + self.out_proj(self.dropout(F.gelu(self.conv(x * inside))))
