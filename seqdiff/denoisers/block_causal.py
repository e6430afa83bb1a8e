"""A transformer of blocks: of its own block a position sees noised letters, of the blocks before the clean ones.

Block diffusion (Arriola et al. 2025, arXiv:2503.09573, sec. 3.3) needs all blocks of a row noised at once, each of them
given clean letters before it: one pass over [noised ; clean], 2L positions of which both halves have places 0..L-1.
"""

from collections.abc import MutableMapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from seqdiff.denoisers.transformer import Transformer, TransformerDenoiser

Past = MutableMapping[str, Tensor]
"""What the network keeps of the blocks before: tensors with a row for each row, empty to begin with."""


class BlockCausalDenoiser(TransformerDenoiser):
    """The network of `Transformer` with a `block_length`. Blocks are counted from the first letter of a row that is no
    pad; a position sees its own block and those before it.

    There are three ways to ask it, which agree: where two see the same letters they answer the same.
    - `network(tokens)`: the letters of the blocks before are those of `tokens`.
    - `network(noised, clean=letters)`: those of `letters`, for all blocks of the row in one pass.
    - `network(tokens, past=past)`: `tokens` follow the blocks whose keys and values are in `past`, and end in the block
      that is asked for; those of the blocks before that one are added to `past`. A block costs a pass over itself.
    """

    def __init__(self, settings: Transformer, symbols: int, columns: int | None):
        super().__init__(settings, symbols, columns)
        self.block_length = settings.block_length

    def forward(
        self,
        tokens: Int[Tensor, "B L"],
        time: Float[Tensor, "B"] | None = None,
        labels: Int[Tensor, "B"] | None = None,
        *,
        clean: Int[Tensor, "B L"] | None = None,
        past: Past | None = None,
    ) -> Float[Tensor, "B L K"]:
        """Logits at `tokens`."""
        return self.logits(self.hidden(tokens, time, labels, clean=clean, past=past))

    def hidden(
        self,
        tokens: Int[Tensor, "B L"],
        time: Float[Tensor, "B"] | None = None,
        labels: Int[Tensor, "B"] | None = None,
        *,
        clean: Int[Tensor, "B L"] | None = None,
        past: Past | None = None,
    ) -> Float[Tensor, "B L D"]:
        """Raises ValueError for both `clean` and `past`, and for a past that does not end where a block does."""
        if clean is not None and past is not None:
            raise ValueError("give the clean letters of the same blocks, or the past of the blocks before: not both")
        self.check_time(time)
        length = tokens.shape[1]
        first = past["present"].shape[1] if past else 0
        if first % self.block_length:
            raise ValueError(f"a past of {first:,} letters is not one of whole blocks of {self.block_length}")
        halves = [tokens] if clean is None else [tokens, clean]
        h = torch.cat([self.placed(self.embedding(half), first) for half in halves], 1)
        label = self.label_of(labels, len(tokens), tokens.device)
        h = h if label is None else h + label
        present = torch.cat(halves, 1) != self.pad
        angles = tuple(part[first:].repeat(len(halves), 1) for part in self.angles(first + length, h))
        condition = None if time is None else F.silu(self.time(time))
        seen, memories = self.attended(present, clean is not None), [None] * len(self.blocks)
        if past is not None:
            keep = (length - 1) // self.block_length * self.block_length
            before = Kept(past, "", keep).extended("present", present, 1)[:, :first]
            seen = torch.cat([before[:, None, None].expand(-1, -1, length, -1), seen], -1)
            memories = [Kept(past, f"{number}.", keep) for number in range(len(self.blocks))]
        for block, memory in zip(self.blocks, memories, strict=True):
            h = self.through(block, h, seen, angles, condition, memory)
        return self.norm(h[:, :length])

    def attended(self, present: Bool[Tensor, "B N"], halved: bool) -> Bool[Tensor, "B 1 N N"]:
        """Which of the positions (second index) each (first index) sees.

        Of `halved` ones the first half is noised: seen from its own half within its block, and never from the other.
        """
        length = present.shape[1] // 2 if halved else present.shape[1]
        before = (~present[:, :length]).cumprod(1).sum(1, keepdim=True)
        place = torch.arange(length, device=present.device) - before
        block = torch.div(place, self.block_length, rounding_mode="floor")
        mine, other = block[:, :, None], block[:, None, :]
        seen = other <= mine
        if halved:
            seen = torch.cat(
                [torch.cat([other == mine, other < mine], 2), torch.cat([torch.zeros_like(seen), seen], 2)], 1
            )
        # A pad, which nobody sees, sees itself: attention over nothing is not a number.
        itself = torch.eye(present.shape[1], dtype=torch.bool, device=present.device)
        return (seen & present[:, None, :] | itself)[:, None]


class Kept(NamedTuple):
    """A layer's part of the past (`reader.Memory` of left-to-right networks)."""

    past: Past
    name: str
    keep: int
    """Of the new letters, how many are kept."""

    def extended(self, name: str, new: Tensor, dim: int) -> Tensor:
        """What is kept under a name with the new positions behind it."""
        before = self.past.get(self.name + name)
        now = new if before is None else torch.cat([before, new], dim)
        self.past[self.name + name] = now.narrow(dim, 0, now.shape[dim] - new.shape[dim] + self.keep)
        return now
