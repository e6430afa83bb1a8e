"""A transformer: every position looks at every other."""

from collections.abc import Mapping
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from pydantic import Field, model_validator
from torch import Tensor, nn

from seqdiff.denoisers.denoiser import Denoiser, Network, columns_of
from seqdiff.denoisers.grid import Grid, GridEmbedding, grid_angles, places_of
from seqdiff.denoisers.layers import SwiGLU, TimeEmbedding, initialise, rotary_angles, rotate
from seqdiff.denoisers.reader import Memory

Angles = tuple[Float[Tensor, "L H"], Float[Tensor, "L H"]]


class Transformer(Network):
    """Pre-norm transformer with rotary positions and gated feed-forward layers (Touvron et al. 2023, arXiv:2302.13971).

    Attention costs the square of the length. With `time_conditioning` each layer is shifted, scaled and gated
    by an embedding of the time (adaLN: Peebles & Xie 2022, arXiv:2212.09748), which processes need whose
    posterior depends on time; masked diffusion does not.
    """

    kind: Literal["transformer"] = "transformer"
    width: Annotated[int, Field(ge=2)] = 256
    """Channels of the residual stream."""
    depth: Annotated[int, Field(ge=1)] = 6
    """Blocks of one attention and one feed-forward layer."""
    heads: Annotated[int, Field(ge=1)] = 4
    """Attention heads; width / heads must be even."""
    hidden: Annotated[int, Field(ge=1)] = 704
    """Channels inside a feed-forward layer; 8/3 of the width costs what a plain one of 4 costs."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of a layer's output that is dropped in training."""
    time_conditioning: bool = False
    """Whether the network is told the time."""
    learned_positions: bool = False
    """Whether each position of the context has a learned vector of its own, as the columns of a family may want it. The
    network is then for rows of that one length."""
    causal: bool = False
    """Whether a position sees the letters before it alone: a network for left-to-right models."""
    grid: Grid | None = None
    """Rows, columns and channels of the images that are its data: positions are then those of a pixel, rotary ones of
    row and column, beside a learned vector for each row, column and channel. The network is for images of that size."""

    block_length: Annotated[int, Field(ge=1)] | None = None
    """Letters of a block, for block diffusion: a position sees its own block and the clean letters of those before."""

    @property
    def left_to_right(self) -> bool:
        return self.causal

    @property
    def blocks(self) -> int | None:
        return self.block_length

    @property
    def takes_time(self) -> bool:
        return self.time_conditioning

    @model_validator(mode="after")
    def _heads_fit(self) -> "Transformer":
        if self.width % (2 * self.heads):
            raise ValueError(f"width {self.width} does not divide into {self.heads} heads of even width")
        if self.causal and self.block_length is not None:
            raise ValueError("causal and block_length say differently what a position sees: set one of them")
        return self

    @model_validator(mode="after")
    def _grid_fits(self) -> "Transformer":
        if self.grid is not None and self.learned_positions:
            raise ValueError("grid has learned positions of its own: set learned_positions=false")
        if self.grid is not None and self.width % (4 * self.heads):
            raise ValueError(
                f"width {self.width} does not divide into {self.heads} heads of a width that halves into even numbers, "
                "one for rows and one for columns"
            )
        return self

    def build(self, symbols: int, context: int | None = None) -> "TransformerDenoiser":
        """A freshly initialised network over `symbols` symbols."""
        if self.grid is not None:
            places_of(self.grid, context)
        from seqdiff.denoisers.block_causal import BlockCausalDenoiser  # which is one of these

        network = TransformerDenoiser if self.block_length is None else BlockCausalDenoiser
        return network(self, symbols, columns_of(context, self.kind) if self.learned_positions else None)


class TransformerDenoiser(Denoiser):
    """The network of `Transformer`."""

    def __init__(self, settings: Transformer, symbols: int, columns: int | None):
        super().__init__(symbols, settings.width, left_to_right=settings.causal, columns=columns)
        self.takes_time = settings.time_conditioning
        self.grid = settings.grid
        if self.grid is not None:
            self.columns = places_of(self.grid)
            self.places = GridEmbedding(self.grid, settings.width)
        self.head_width = settings.width // settings.heads
        self.time = TimeEmbedding(settings.width) if self.takes_time else None
        self.blocks = nn.ModuleList(Block(settings) for _ in range(settings.depth))
        self.norm = nn.RMSNorm(settings.width, eps=1e-5)
        initialise(self, 2 * settings.depth)

    def placed(self, h: Float[Tensor, "B L D"], first: int = 0) -> Float[Tensor, "B L D"]:
        h = super().placed(h, first)
        return h if self.grid is None else h + self.places(first, first + h.shape[1])

    def angles(self, length: int, like: Tensor) -> Angles:
        """By which queries and keys turn at so many places from the first on."""
        if self.grid is not None:
            return grid_angles(self.grid, length, self.head_width, like)
        return rotary_angles(length, self.head_width, like)

    def trunk(
        self, h: Float[Tensor, "B L D"], present: Bool[Tensor, "B L"], time: Float[Tensor, "B"] | None
    ) -> Float[Tensor, "B L D"]:
        seen = None
        if not self.left_to_right:
            # Some attention kernels answer NaN where there is nothing to attend to: a row of nothing but pads.
            seen = (present | ~present.any(1, keepdim=True))[:, None, None, :]
        angles = self.angles(h.shape[1], h)
        condition = None if time is None else F.silu(self.time(time))
        for block in self.blocks:
            h = self.through(block, h, seen, angles, condition)
        return self.norm(h)

    def step(
        self, h: Float[Tensor, "B n D"], place: int, memories: Mapping[int, Memory], time: Float[Tensor, "B"] | None
    ) -> Float[Tensor, "B n D"]:
        end = place + h.shape[1]
        cosine, sine = self.angles(end, h)
        condition = None if time is None else F.silu(self.time(time))
        seen = None
        if h.shape[1] > 1:
            seen = torch.ones(h.shape[1], end, dtype=torch.bool, device=h.device).tril(place)[None, None]
        for number, block in enumerate(self.blocks):
            h = block(h, seen, (cosine[place:], sine[place:]), condition, memories[number])
        return self.norm(h)


class Block(nn.Module):
    """Attention, then a feed-forward layer, each added to the residual stream."""

    def __init__(self, settings: Transformer):
        super().__init__()
        width = settings.width
        self.norm_attention = nn.RMSNorm(width, eps=1e-5)
        self.attention = Attention(width, settings.heads)
        self.norm_feedforward = nn.RMSNorm(width, eps=1e-5)
        self.feedforward = SwiGLU(width, settings.hidden)
        self.dropout = nn.Dropout(settings.dropout)
        self.modulation = nn.Linear(width, 6 * width) if settings.time_conditioning else None

    def forward(
        self,
        h: Float[Tensor, "B L D"],
        seen: Bool[Tensor, "B 1 1 L"] | None,
        angles: Angles,
        condition: Float[Tensor, "B D"] | None,
        memory: Memory | None = None,
    ) -> Float[Tensor, "B L D"]:
        if condition is None:
            h = h + self.dropout(self.attention(self.norm_attention(h), seen, angles, memory))
            return h + self.dropout(self.feedforward(self.norm_feedforward(h)))
        # Scales and gates are kept as their difference from one: zero modulation is the block without time.
        shift, scale, gate, shift2, scale2, gate2 = self.modulation(condition).unsqueeze(1).chunk(6, -1)
        x = self.norm_attention(h) * (1 + scale) + shift
        h = h + (1 + gate) * self.dropout(self.attention(x, seen, angles, memory))
        x = self.norm_feedforward(h) * (1 + scale2) + shift2
        return h + (1 + gate2) * self.dropout(self.feedforward(x))


class Attention(nn.Module):
    """Multi-head attention with rotary positions. Each position looks at those that are `seen`, which pads are not;
    with None at those up to itself, the last one after those of a memory."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.in_proj = nn.Linear(width, 3 * width, bias=False)
        self.out_proj = nn.Linear(width, width, bias=False)

    def forward(
        self,
        x: Float[Tensor, "B L D"],
        seen: Bool[Tensor, "B 1 1 L"] | None,
        angles: Angles,
        memory: Memory | None = None,
    ) -> Float[Tensor, "B L D"]:
        heads = self.in_proj(x).unflatten(-1, (3, self.heads, -1))
        query, key, value = (part.transpose(1, 2) for part in torch.unbind(heads, 2))
        query, key = rotate(query, angles), rotate(key, angles)
        if memory is not None:
            key, value = memory.extended("key", key, 2), memory.extended("value", value, 2)
        causal = seen is None and memory is None
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=seen, is_causal=causal)
        return self.out_proj(mixed.transpose(1, 2).flatten(2))
