"""Hyena: products of projections and of convolutions as long as the sequence, whose filters a small network writes."""

import itertools
import math
from collections.abc import Mapping
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from pydantic import Field, model_validator
from torch import Tensor, nn

from seqdiff.denoisers.denoiser import Denoiser, Network, linear_in_full
from seqdiff.denoisers.layers import initialise
from seqdiff.denoisers.long_convolution import long_convolution
from seqdiff.denoisers.reader import Memory
from seqdiff.errors import ConfigError

FADED = 0.01
"""What is left of a filter where the settings say that it has faded."""


class Hyena(Network):
    """The network of HyenaDNA (Nguyen et al. 2023, arXiv:2306.15794), causal as published or in both directions.

    Its operator is that of Poli et al. 2023 (arXiv:2302.10866, sec. 3). Cost is L log L. Filters are functions of the
    offset in shares of `length`, so a row's logits depend on nothing but the row. The defaults are HyenaDNA's of 433K
    parameters; in both directions each layer has one more matrix of `filter_width` times the width.
    """

    kind: Literal["hyena"] = "hyena"
    width: Annotated[int, Field(ge=1)] = 128
    """Channels of the residual stream (`d_model` as published)."""
    depth: Annotated[int, Field(ge=1)] = 2
    """Blocks of one Hyena and one feed-forward layer (`n_layer`)."""
    hidden: Annotated[int, Field(ge=1)] = 512
    """Channels inside a feed-forward layer (`d_inner`)."""
    order: Annotated[int, Field(ge=2)] = 2
    """Products with a projection; all but one are followed by a long convolution."""
    kernel: Annotated[int, Field(ge=1)] = 3
    """Taps of the convolution of the projections (`short_filter_order`); odd unless causal."""
    length: Annotated[int, Field(ge=2)] | None = None
    """The farthest that a filter reaches is one less (`l_max`). None: the context of the data."""
    filter_width: Annotated[int, Field(ge=1)] = 64
    """Channels of the network that writes the filters (`filter_order`)."""
    filter_depth: Annotated[int, Field(ge=0)] = 2
    """Its layers between the first and the last (`num_inner_mlps`)."""
    bands: Annotated[int, Field(ge=1)] = 2
    """Frequencies that it is given the offset in, beside the offset itself (`emb_dim` is one more than twice this)."""
    frequency: Annotated[float, Field(gt=0)] = 10.0
    """How often its sines turn at first (`w`)."""
    fast_fading: Annotated[float, Field(gt=0)] = 0.3
    """Share of `length` at which the filters that fade fastest have faded to a hundredth (`fast_decay_pct`)."""
    slow_fading: Annotated[float, Field(gt=0)] = 1.5
    """The same of those that fade slowest (`slow_decay_pct`); those between are spread evenly by their rate."""
    floor: Annotated[float, Field(ge=0)] = 0.05
    """What they fade to is not zero, but this share (`shift`)."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of a layer's output that is dropped in training."""
    causal: bool = False
    """Whether a position sees the letters before it alone: a network for left-to-right models, as published."""

    def resolved(self, context: int) -> "Hyena":
        return self if self.length else self.model_copy(update={"length": max(2, context)})

    @property
    def left_to_right(self) -> bool:
        return self.causal

    @model_validator(mode="after")
    def _consistent(self) -> "Hyena":
        if self.kernel % 2 == 0 and not self.causal:
            raise ValueError(f"kernel {self.kernel} is even; one that looks as far to both sides is odd")
        if self.fast_fading > self.slow_fading:
            raise ValueError(f"fast_fading {self.fast_fading} is above slow_fading {self.slow_fading}")
        return self

    def build(self, symbols: int, context: int | None = None) -> "HyenaDenoiser":
        """A freshly initialised network over `symbols` symbols. Raises ConfigError where no length is given."""
        if self.length is None and context is None:
            raise ConfigError("denoiser 'hyena' measures its filters in shares of a length: set denoiser.length")
        return HyenaDenoiser(self, symbols, self.length or max(2, context))


class HyenaDenoiser(Denoiser):
    """The network of `Hyena`."""

    def __init__(self, settings: Hyena, symbols: int, length: int):
        super().__init__(symbols, settings.width, left_to_right=settings.causal)
        self.blocks = nn.ModuleList(Block(settings, length) for _ in range(settings.depth))
        self.norm = nn.LayerNorm(settings.width)
        initialise(self, 2 * settings.depth)

    def trunk(self, h: Float[Tensor, "B L D"], present: Bool[Tensor, "B L"], time: None) -> Float[Tensor, "B L D"]:
        inside = present.unsqueeze(1).to(h.dtype)
        for block in self.blocks:
            h = self.through(block, h, inside)
        return self.norm(h)

    def step(
        self, h: Float[Tensor, "B n D"], place: int, memories: Mapping[int, Memory], time: None
    ) -> Float[Tensor, "B n D"]:
        for number, block in enumerate(self.blocks):
            h = block(h, None, memories[number])
        return self.norm(h)


class Block(nn.Module):
    """The Hyena operator, then a feed-forward layer, each added to the residual stream."""

    def __init__(self, settings: Hyena, length: int):
        super().__init__()
        width = settings.width
        self.norm_operator, self.operator = nn.LayerNorm(width), Operator(settings, length)
        self.norm_feedforward = nn.LayerNorm(width)
        self.in_proj, self.out_proj = nn.Linear(width, settings.hidden), nn.Linear(settings.hidden, width)
        self.dropout = nn.Dropout(settings.dropout)

    def forward(
        self, h: Float[Tensor, "B L D"], inside: Float[Tensor, "B 1 L"] | None, memory: Memory | None = None
    ) -> Float[Tensor, "B L D"]:
        x = self.norm_operator(h)
        h = h + self.dropout(self.operator(x, inside) if memory is None else self.operator.step(x, memory))
        x = F.gelu(self.in_proj(self.norm_feedforward(h)), approximate="tanh")
        return h + self.dropout(self.out_proj(x))


class Operator(nn.Module):
    """The Hyena recurrence of order N (Poli et al. 2023, arXiv:2302.10866, def. 3.1, as HyenaDNA computes it).

    Projections x_0 .. x_{N-1} and v of the input, each through a short convolution; then for x_{N-1} down to x_1

        v = filter * (v x_n) + skip (v x_n)            and x_0 v goes through out_proj.

    Pads are zero before each convolution.
    """

    def __init__(self, settings: Hyena, length: int):
        super().__init__()
        width, self.steps = settings.width, settings.order - 1
        inner = (settings.order + 1) * width
        self.length, self.causal = length, settings.causal
        self.in_proj = nn.Linear(width, inner, bias=False)
        self.short_conv = nn.Conv1d(inner, inner, settings.kernel, groups=inner)
        self.filter = Filter(settings, self.steps * width, length)
        self.skip = nn.Parameter(torch.randn(self.steps * width))
        self.out_proj = nn.Linear(width, width)

    def forward(self, h: Float[Tensor, "B L D"], inside: Float[Tensor, "B 1 L"]) -> Float[Tensor, "B L D"]:
        past = self.short_conv.kernel_size[0] - 1
        ends = (past, 0) if self.causal else (past // 2, past // 2)
        x = self.short_conv(F.pad(self.in_proj(h).transpose(1, 2) * inside, ends))
        *gates, v = x.chunk(self.steps + 2, 1)
        filters = self.filter(min(h.shape[1], self.length)).chunk(self.steps, 1)
        skips = self.skip[:, None].chunk(self.steps)
        for gate, sides, skip in zip(gates[:0:-1], filters, skips, strict=True):
            u = v * gate * inside
            v = long_convolution(u, *sides) + u * skip
        return self.out_proj((v * gates[0]).transpose(1, 2))

    def step(self, h: Float[Tensor, "B n D"], memory: Memory) -> Float[Tensor, "B n D"]:
        """The next positions from the left; for one, the sum over those before it costs as many products as there
        are, several are convolved with them."""
        if "filters" not in memory.of_all:
            memory.of_all["filters"] = self.filter(self.length)[0].flip(-1)  # the farthest first, as they are kept
        z, short, taps = self.in_proj(h).transpose(1, 2), self.short_conv, self.short_conv.kernel_size[0]
        if "projections" not in memory.of_rows:
            memory.of_rows["projections"] = z.new_zeros(*z.shape[:2], taps - 1)
        z = memory.extended("projections", z, 2, most=taps - 1).unfold(2, taps, 1) * short.weight
        *gates, v = (z.sum(3) + short.bias[:, None]).chunk(self.steps + 2, 1)
        filters, skips = memory.of_all["filters"].chunk(self.steps), self.skip[:, None].chunk(self.steps)
        for number, (gate, filtered, skip) in enumerate(zip(gates[:0:-1], filters, skips, strict=True)):
            u = v * gate
            kept = memory.extended(f"inputs {number}", u.to(filtered.dtype), 2, most=self.length - 1)
            near = filtered[:, -kept.shape[2] :]
            if u.shape[2] == 1:
                v = (kept * near).sum(2, keepdim=True) + u * skip
            else:
                v = long_convolution(kept, near.flip(-1))[..., -u.shape[2] :] + u * skip
        return self.out_proj((v * gates[0]).transpose(1, 2))


class Filter(nn.Module):
    """Filters as a function of the offset: sines of linear maps, faded with the distance.

    Poli et al. 2023 (arXiv:2302.10866, sec. 3.3); as HyenaDNA has it, all layers share how often their sines turn.
    Starts from N(0, .02) and biases of zero, which is a smooth filter, as published; its matrices have no weight decay.
    """

    def __init__(self, settings: Hyena, channels: int, length: int):
        super().__init__()
        width = settings.filter_width
        self.length, self.bands, self.floor = length, settings.bands, settings.floor
        self.fading = settings.slow_fading, settings.fast_fading
        sizes = [2 * settings.bands + 1, *[width] * (settings.filter_depth + 1)]
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in itertools.pairwise(sizes))
        self.last = nn.Linear(width, channels if settings.causal else 2 * channels, bias=False)
        self.sides = 1 if settings.causal else 2
        self.frequency = nn.Parameter(torch.full((width,), settings.frequency))
        for layer in (*self.layers, self.last):
            nn.init.normal_(layer.weight, std=0.02)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)

    def forward(self, count: int) -> Float[Tensor, "sides C F"]:
        """The filters at offsets 0 .. count - 1: to letters before, and to letters after unless causal."""
        like = torch.promote_types(self.frequency.dtype, torch.float32)
        offset = torch.arange(count, device=self.frequency.device, dtype=like)[:, None]
        share = offset / (self.length - 1)
        turns = torch.linspace(1e-4, self.bands - 1, self.bands, device=offset.device, dtype=like)
        angle = 2 * math.pi / self.length * offset * turns
        x = torch.cat([share, angle.cos(), -angle.sin()], -1)
        for layer in self.layers:
            x = torch.sin(self.frequency * (linear_in_full(x, layer.weight) + layer.bias))
        sides = linear_in_full(x, self.last.weight).unflatten(-1, (self.sides, -1))
        slow, fast = (-math.log(FADED) / where for where in self.fading)
        rate = torch.linspace(slow, fast, sides.shape[-1], device=offset.device, dtype=like)
        return (sides * (torch.exp(-share * rate) + self.floor)[:, None]).permute(1, 2, 0)
