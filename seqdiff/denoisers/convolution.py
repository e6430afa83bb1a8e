"""Dilated convolutions: the ByteNet form of CARP and EvoDiff. The fastest network on a CPU."""

from collections.abc import Callable, Mapping
from typing import Annotated, Literal

import torch.nn.functional as F
from jaxtyping import Bool, Float
from pydantic import AfterValidator, Field, field_validator
from torch import Tensor, nn

from seqdiff.denoisers.denoiser import Denoiser, Network, columns_of
from seqdiff.denoisers.layers import TimeEmbedding, initialise
from seqdiff.denoisers.reader import Memory


def _odd(kernel: int) -> int:
    if kernel % 2 == 0:
        raise ValueError(f"{kernel} is even; a kernel that looks as far to both sides is odd")
    return kernel


OddInt = Annotated[int, Field(ge=1), AfterValidator(_odd)]
"""The number of taps of a convolution."""


class Stack(Network):
    """The settings of a stack of dilated convolutions, whatever stands before and behind it."""

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


class Convolution(Stack):
    """A stack of dilated convolutions (Kalchbrenner et al. 2016, arXiv:1610.10099; Yang et al. 2022, CARP).

    Cost grows linearly with length, and a position sees `reach` positions to each side; with `causal` it sees the
    letters before it alone, as many of them as it would see to both sides. With `time_conditioning` the norm before
    each dilated convolution, and the last one, are scaled and shifted by an embedding of the time, as U-Nets of
    diffusion models have it (Dhariwal & Nichol 2021, arXiv:2105.05233, sec. 3, AdaGN).

    >>> Convolution(depth=4, kernel=5, max_dilation=8).dilations
    (1, 2, 4, 8)
    >>> Convolution(depth=4, kernel=5, max_dilation=8).reach
    30
    >>> Convolution(depth=4, kernel=5, max_dilation=8, causal=True).reach
    61
    """

    kind: Literal["convolution"] = "convolution"
    time_conditioning: bool = False
    """Whether the network is told the time."""
    learned_positions: bool = False
    """Whether each position of the context has a learned vector of its own, as the columns of a family may want it. The
    network is then for rows of that one length."""
    causal: bool = False
    """Whether a position sees the letters before it alone: a network for left-to-right models."""

    @property
    def left_to_right(self) -> bool:
        return self.causal

    @property
    def takes_time(self) -> bool:
        return self.time_conditioning

    @property
    def reach(self) -> int:
        return 1 + 2 * super().reach if self.causal else super().reach

    def build(self, symbols: int, context: int | None = None) -> "ConvolutionDenoiser":
        """A freshly initialised network over `symbols` symbols."""
        return ConvolutionDenoiser(self, symbols, columns_of(context, self.kind) if self.learned_positions else None)


class ConvolutionDenoiser(Denoiser):
    """The network of `Convolution`."""

    pads_leave_no_trace = True

    def __init__(self, settings: Convolution, symbols: int, columns: int | None):
        super().__init__(symbols, settings.width, left_to_right=settings.causal, columns=columns)
        self.reach, self.takes_time = settings.reach, settings.takes_time
        told = dict(causal=settings.causal, time_conditioning=settings.time_conditioning)
        self.blocks = nn.ModuleList(Block(settings, dilation, **told) for dilation in settings.dilations)
        self.norm = nn.LayerNorm(settings.width)
        if self.takes_time:
            self.time = TimeEmbedding(settings.hidden)
            self.modulation = nn.Linear(settings.hidden, 2 * settings.width)
        initialise(self, settings.depth)

    def trunk(
        self, h: Float[Tensor, "B L D"], present: Bool[Tensor, "B L"], time: Float[Tensor, "B"] | None
    ) -> Float[Tensor, "B L D"]:
        inside = present.unsqueeze(-1).to(h.dtype)
        condition = None if time is None else F.silu(self.time(time))
        for block in self.blocks:
            h = self.through(block, h, inside, condition)
        return self.normed(h, condition)

    def step(
        self, h: Float[Tensor, "B n D"], place: int, memories: Mapping[int, Memory], time: Float[Tensor, "B"] | None
    ) -> Float[Tensor, "B n D"]:
        condition = None if time is None else F.silu(self.time(time))
        for number, block in enumerate(self.blocks):
            h = block(h, None, condition, memories[number])
        return self.normed(h, condition)

    def normed(self, h: Float[Tensor, "B L D"], condition: Float[Tensor, "B T"] | None) -> Float[Tensor, "B L D"]:
        """After the last norm, which the time may scale and shift."""
        return self.norm(h) if condition is None else modulated(self.norm(h), self.modulation(condition))


class Block(nn.Module):
    """h + up(dilated convolution(down(h))), each after layer norm and an activation."""

    def __init__(
        self,
        settings: Stack,
        dilation: int,
        activation: Callable[[Tensor], Tensor] = F.gelu,
        *,
        causal: bool = False,
        time_conditioning: bool = False,
    ):
        super().__init__()
        width, hidden = settings.width, settings.hidden
        self.activation = activation
        self.norm_in, self.in_proj = nn.LayerNorm(width), nn.Linear(width, hidden)
        self.norm_conv, self.conv = nn.LayerNorm(hidden), Dilated(hidden, settings.kernel, dilation, causal=causal)
        self.norm_out, self.out_proj = nn.LayerNorm(hidden), nn.Linear(hidden, width)
        self.dropout = nn.Dropout(settings.dropout)
        self.modulation = nn.Linear(hidden, 2 * hidden) if time_conditioning else None

    def forward(
        self,
        h: Float[Tensor, "B L D"],
        inside: Float[Tensor, "B L 1"] | None,
        condition: Float[Tensor, "B T"] | None = None,
        memory: Memory | None = None,
    ) -> Float[Tensor, "B L D"]:
        x = self.norm_conv(self.in_proj(self.activation(self.norm_in(h))))
        x = self.activation(x if condition is None else modulated(x, self.modulation(condition)))
        x = self.conv(x * inside) if memory is None else self.conv.step(x, memory)
        x = self.out_proj(self.activation(self.norm_out(x)))
        return h + self.dropout(x)


def modulated(x: Float[Tensor, "B L C"], by: Float[Tensor, "B twoC"]) -> Float[Tensor, "B L C"]:
    """Scaled and shifted channel by channel; the scale is kept as its difference from one, so that zeros do nothing."""
    scale, shift = by.unsqueeze(1).chunk(2, -1)
    return x * (1 + scale) + shift


class Dilated(nn.Conv1d):
    """A dilated convolution with zeros past both ends, channels last; a causal one has them all before the beginning.

    Channels stay last in the whole network: norms and 1 x 1 convolutions want them so, and a convolution of
    an image of height one whose memory has channels last takes them without a copy.
    """

    def __init__(self, width: int, kernel: int, dilation: int, *, causal: bool = False):
        past = dilation * (kernel - 1)
        super().__init__(width, width, kernel, dilation=dilation, padding=past if causal else past // 2)
        self.causal = causal

    def forward(self, x: Float[Tensor, "B L D"]) -> Float[Tensor, "B L D"]:
        image = x.transpose(1, 2).unsqueeze(2)
        padding, dilation = (0, *self.padding), (1, *self.dilation)
        image = F.conv2d(image, self.weight.unsqueeze(2), self.bias, padding=padding, dilation=dilation)
        answer = image.squeeze(2).transpose(1, 2)
        return answer[:, : x.shape[1]] if self.causal else answer  # what comes after the end is cut off

    def step(self, x: Float[Tensor, "B n D"], memory: Memory) -> Float[Tensor, "B n D"]:
        """The next positions from the left, with the inputs of the positions before that their taps look at."""
        past = self.dilation[0] * (self.kernel_size[0] - 1)
        if "inputs" not in memory.of_rows:
            memory.of_rows["inputs"] = x.new_zeros(len(x), past, x.shape[2])
        inputs = memory.extended("inputs", x, 1, most=past)
        if x.shape[1] > 1:
            image = inputs.transpose(1, 2).unsqueeze(2)
            image = F.conv2d(image, self.weight.unsqueeze(2), self.bias, dilation=(1, *self.dilation))
            return image.squeeze(2).transpose(1, 2)
        taps = inputs[:, :: self.dilation[0]]
        return F.linear(taps.mT.flatten(1), self.weight.flatten(1), self.bias).unsqueeze(1)
