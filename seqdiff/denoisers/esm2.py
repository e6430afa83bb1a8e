"""ESM-2 (Lin et al. 2023, doi 10.1126/science.ade2574), and its older relatives ESM-1b and ESM-1v.

The network reads <cls> before a sequence and <eos> after it; it puts both there itself, around the letters of each row.
"""

from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from pydantic import Field, model_validator
from torch import Tensor, nn

from seqdiff.denoisers.denoiser import Denoiser, Network
from seqdiff.denoisers.layers import initialise, rotary_angles, rotate
from seqdiff.errors import ConfigError

TRAINED_MASKS = 0.12
"""Share of masks that ESM saw in training: 80 % of the 15 % it had to guess."""

Angles = tuple[Float[Tensor, "L H"], Float[Tensor, "L H"]]


class Esm2(Network):
    """A pre-norm transformer with biases and GELU, for the weights of ESM. Attention costs the square of the length.

    As published (width, depth, heads): 8M 320, 6, 20; 35M 480, 12, 20; 150M 640, 30, 20; 650M 1280, 33, 20; 3B 2560,
    36, 40; `hidden` is four times the width.
    """

    kind: Literal["esm2"] = "esm2"
    width: Annotated[int, Field(ge=2)] = 480
    """Channels of the residual stream."""
    depth: Annotated[int, Field(ge=1)] = 12
    """Blocks of one attention and one feed-forward layer."""
    heads: Annotated[int, Field(ge=1)] = 20
    """Attention heads; width / heads must be even."""
    hidden: Annotated[int, Field(ge=1)] = 1920
    """Channels inside a feed-forward layer."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of a layer's output that is dropped in training."""
    token_dropout: bool = True
    """A mask is zeros, and the rest of the row, <cls> and <eos> too, is scaled by .88 / (its share that is no mask)."""
    positions: Literal["rotary", "learned"] = "rotary"
    """`learned`: a vector for each position is added to the letters, as in ESM-1b and ESM-1v."""
    longest: Annotated[int, Field(ge=1)] | None = None
    """Letters of the longest sequence there are learned positions for; not of rotary ones, which go on."""
    norm_embedding: bool = False
    """Layer norm of the embedded letters, as in ESM-1b."""
    norm_epsilon: Annotated[float, Field(gt=0)] = 1e-5
    """What layer norms add to the variance."""
    tie_embedding: bool = True
    """Whether the head is the embedding, beside a bias."""

    @model_validator(mode="after")
    def _consistent(self) -> "Esm2":
        if self.width % (2 * self.heads):
            raise ValueError(f"width {self.width} does not divide into {self.heads} heads of even width")
        if (self.positions == "learned") != (self.longest is not None):
            raise ValueError("longest belongs to positions: learned, which needs it")
        return self

    def build(self, symbols: int, context: int | None = None) -> "Esm2Denoiser":
        """A freshly initialised network over `symbols` symbols. ConfigError for a context beyond learned positions."""
        if self.longest is not None and context is not None and context > self.longest:
            raise ConfigError(
                f"data.context: this network has learned positions for {self.longest:,} letters, not for {context:,}: "
                f"set data.context={self.longest}"
            )
        return Esm2Denoiser(self, symbols)


class Esm2Denoiser(Denoiser):
    """The network of `Esm2`. Its hidden states are what ESM calls its last ones, after the final norm."""

    def __init__(self, settings: Esm2, symbols: int):
        super().__init__(symbols, settings.width, tie_embedding=settings.tie_embedding)
        width, epsilon = settings.width, settings.norm_epsilon
        self.head_width = width // settings.heads
        self.embedding = Vocabulary(symbols, width, token_dropout=settings.token_dropout)
        places = None if settings.longest is None else settings.longest + 2
        self.place_embedding = None if places is None else nn.Embedding(places, width)
        self.norm_embedding = nn.LayerNorm(width, eps=epsilon) if settings.norm_embedding else None
        self.blocks = nn.ModuleList(Block(settings) for _ in range(settings.depth))
        self.norm = nn.LayerNorm(width, eps=epsilon)
        self.head_dense, self.head_norm = nn.Linear(width, width), nn.LayerNorm(width, eps=epsilon)
        self.head_bias = nn.Parameter(torch.zeros(symbols))
        initialise(self, 2 * settings.depth)

    def trunk(self, h: Float[Tensor, "B L+2 D"], present: Bool[Tensor, "B L"], time: None) -> Float[Tensor, "B L D"]:
        first, last = ends(present)
        if self.place_embedding is not None:
            place = torch.arange(h.shape[1], device=h.device) - first[:, None]
            h = h + self.place_embedding(place.clamp(0, self.place_embedding.num_embeddings - 1))
        if self.norm_embedding is not None:
            h = self.norm_embedding(h)
        seen = framed(present, first, last)[:, None, None, :]
        angles = rotary_angles(h.shape[1], self.head_width, h) if self.place_embedding is None else None
        for block in self.blocks:
            h = self.through(block, h, seen, angles)
        return self.norm(h)[:, 1:-1]

    def logits(self, hidden: Float[Tensor, "B L D"]) -> Float[Tensor, "B L K"]:
        return super().logits(self.head_norm(F.gelu(self.head_dense(hidden)))) + self.head_bias


class Vocabulary(nn.Embedding):
    """Letters, mask, pad, <cls> and <eos>: a row of L tokens becomes L + 2 vectors, of which <cls> takes the place
    before the first letter and <eos> the one after the last; what is beyond them is never seen."""

    def __init__(self, symbols: int, width: int, *, token_dropout: bool):
        super().__init__(symbols + 4, width)
        self.symbols, self.token_dropout = symbols, token_dropout

    def forward(self, tokens: Int[Tensor, "B L"]) -> Float[Tensor, "B L+2 D"]:
        present = tokens <= self.symbols
        first, last = ends(present)
        mask, pad, before, after = range(self.symbols, self.symbols + 4)
        row = F.pad(tokens, (1, 1), value=pad)
        row = row.scatter(1, first[:, None], before).scatter(1, last[:, None] + 2, after)
        h = super().forward(row)
        if not self.token_dropout:
            return h
        masks = row == mask
        share = masks.sum(1) / (present.sum(1) + 2).to(h.dtype)
        return h.masked_fill(masks.unsqueeze(-1), 0) * ((1 - TRAINED_MASKS) / (1 - share))[:, None, None]


class Block(nn.Module):
    """Attention, then a feed-forward layer, each added to the residual stream."""

    def __init__(self, settings: Esm2):
        super().__init__()
        width, epsilon = settings.width, settings.norm_epsilon
        self.norm_attention = nn.LayerNorm(width, eps=epsilon)
        self.attention = Attention(width, settings.heads)
        self.norm_feedforward = nn.LayerNorm(width, eps=epsilon)
        self.in_proj, self.out_proj = nn.Linear(width, settings.hidden), nn.Linear(settings.hidden, width)
        self.dropout = nn.Dropout(settings.dropout)

    def forward(
        self, h: Float[Tensor, "B L D"], seen: Bool[Tensor, "B 1 1 L"], angles: Angles | None
    ) -> Float[Tensor, "B L D"]:
        h = h + self.dropout(self.attention(self.norm_attention(h), seen, angles))
        return h + self.dropout(self.out_proj(F.gelu(self.in_proj(self.norm_feedforward(h)))))


class Attention(nn.Module):
    """Multi-head attention, with rotary positions where there are angles; nobody looks at a pad."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.in_proj, self.out_proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(
        self, x: Float[Tensor, "B L D"], seen: Bool[Tensor, "B 1 1 L"], angles: Angles | None
    ) -> Float[Tensor, "B L D"]:
        heads = self.in_proj(x).unflatten(-1, (3, self.heads, -1))
        query, key, value = (part.transpose(1, 2) for part in torch.unbind(heads, 2))
        if angles is not None:
            query, key = rotate(query, angles), rotate(key, angles)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=seen)
        return self.out_proj(mixed.transpose(1, 2).flatten(2))


def ends(present: Bool[Tensor, "B L"]) -> tuple[Int[Tensor, "B"], Int[Tensor, "B"]]:
    """The first and the last position that is no pad; of a row of pads alone the first and last of all.

    >>> [end.tolist() for end in ends(torch.tensor([[False, True, True, False], [False, False, False, False]]))]
    [[1, 0], [2, 3]]
    """
    present = present.byte()
    return present.argmax(1), present.shape[1] - 1 - present.flip(1).argmax(1)


def framed(present: Bool[Tensor, "B L"], first: Int[Tensor, "B"], last: Int[Tensor, "B"]) -> Bool[Tensor, "B L+2"]:
    """Which of the places of a row with its <cls> and <eos> are taken."""
    seen = F.pad(present, (1, 1))
    return seen.scatter(1, first[:, None], True).scatter(1, last[:, None] + 2, True)
