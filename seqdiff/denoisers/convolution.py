"""Dilated convolutions: the ByteNet form of CARP and EvoDiff. The fastest network on a CPU."""

from collections.abc import Callable
from typing import Annotated, Literal

import torch.nn.functional as F
from jaxtyping import Bool, Float
from pydantic import AfterValidator, Field, field_validator
from torch import Tensor, nn

from seqdiff.denoisers.denoiser import Denoiser, Network, columns_of
from seqdiff.denoisers.layers import initialise


def _odd(kernel: int) -> int:
    if kernel % 2 == 0:
        raise ValueError(f"{kernel} is even; a kernel that looks as far to both sides is odd")
    return kernel


OddInt = Annotated[int, Field(ge=1), AfterValidator(_odd)]
"""The number of taps of a convolution."""


class Convolution(Network):
    """A stack of dilated convolutions (Kalchbrenner et al. 2016, arXiv:1610.10099; Yang et al. 2022, CARP).

    Cost grows linearly with length, and a position sees `reach` positions to each side.

    >>> Convolution(depth=4, kernel=5, max_dilation=8).dilations
    (1, 2, 4, 8)
    >>> Convolution(depth=4, kernel=5, max_dilation=8).reach
    30
    """

    kind: Literal["convolution"] = "convolution"
    width: Annotated[int, Field(ge=1)] = 128
    """Channels of the residual stream."""
    hidden: Annotated[int, Field(ge=1)] = 64
    """Channels inside a block, where the dilated convolution works; half the width in the published form."""
    depth: Annotated[int, Field(ge=1)] = 12
    """Blocks."""
    kernel: OddInt = 5
    """Taps of a convolution; odd, so that it looks as far to both sides."""
    max_dilation: Annotated[int, Field(ge=1)] = 64
    """Dilations run 1, 2, 4, ... up to this power of two, and start again."""
    learned_positions: bool = False
    """Whether each position of the context has a learned vector of its own, as the columns of a family may want it. The
    network is then for rows of that one length."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of a block's output that is dropped in training."""

    @field_validator("max_dilation")
    @classmethod
    def _power_of_two(cls, dilation: int) -> int:
        if dilation & (dilation - 1):
            raise ValueError(f"{dilation} is no power of two")
        return dilation

    @property
    def dilations(self) -> tuple[int, ...]:
        """The dilation of each block."""
        return tuple(2 ** (block % self.max_dilation.bit_length()) for block in range(self.depth))

    @property
    def reach(self) -> int:
        """How many positions to each side can change a prediction."""
        return sum(self.dilations) * (self.kernel // 2)

    def build(self, symbols: int, context: int | None = None) -> "ConvolutionDenoiser":
        """A freshly initialised network over `symbols` symbols."""
        return ConvolutionDenoiser(self, symbols, columns_of(context, self.kind) if self.learned_positions else None)


class ConvolutionDenoiser(Denoiser):
    """The network of `Convolution`."""

    def __init__(self, settings: Convolution, symbols: int, columns: int | None):
        super().__init__(symbols, settings.width, columns=columns)
        self.reach = settings.reach
        self.blocks = nn.ModuleList(Block(settings, dilation) for dilation in settings.dilations)
        self.norm = nn.LayerNorm(settings.width)
        initialise(self, settings.depth)

    def trunk(self, h: Float[Tensor, "B L D"], present: Bool[Tensor, "B L"], time: None) -> Float[Tensor, "B L D"]:
        inside = present.unsqueeze(-1).to(h.dtype)
        for block in self.blocks:
            h = self.through(block, h, inside)
        return self.norm(h)


class Block(nn.Module):
    """h + up(dilated convolution(down(h))), each after layer norm and an activation."""

    def __init__(self, settings: Convolution, dilation: int, activation: Callable[[Tensor], Tensor] = F.gelu):
        super().__init__()
        width, hidden = settings.width, settings.hidden
        self.activation = activation
        self.norm_in, self.in_proj = nn.LayerNorm(width), nn.Linear(width, hidden)
        self.norm_conv, self.conv = nn.LayerNorm(hidden), Dilated(hidden, settings.kernel, dilation)
        self.norm_out, self.out_proj = nn.LayerNorm(hidden), nn.Linear(hidden, width)
        self.dropout = nn.Dropout(settings.dropout)

    def forward(self, h: Float[Tensor, "B L D"], inside: Float[Tensor, "B L 1"]) -> Float[Tensor, "B L D"]:
        x = self.in_proj(self.activation(self.norm_in(h)))
        x = self.conv(self.activation(self.norm_conv(x)) * inside)
        x = self.out_proj(self.activation(self.norm_out(x)))
        return h + self.dropout(x)


class Dilated(nn.Conv1d):
    """A dilated convolution with zeros past both ends, channels last.

    Channels stay last in the whole network: norms and 1 x 1 convolutions want them so, and a convolution of
    an image of height one whose memory has channels last takes them without a copy.
    """

    def __init__(self, width: int, kernel: int, dilation: int):
        super().__init__(width, width, kernel, dilation=dilation, padding=dilation * (kernel // 2))

    def forward(self, x: Float[Tensor, "B L D"]) -> Float[Tensor, "B L D"]:
        image = x.transpose(1, 2).unsqueeze(2)
        padding, dilation = (0, *self.padding), (1, *self.dilation)
        image = F.conv2d(image, self.weight.unsqueeze(2), self.bias, padding=padding, dilation=dilation)
        return image.squeeze(2).transpose(1, 2)
