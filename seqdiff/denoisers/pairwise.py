"""Site biases and pairwise couplings: a Potts model of the columns of a family, as a masked denoiser.

    logit_i(a) = b_i(a) + sum over visible j of J_ij(a, x_j),   J_ij(a, c) = J_ji(c, a),   J_ii = 0

With every other column visible this is the conditional of a Potts model, and training by the cost of all columns given
all others would be pseudo-likelihood (Ekeberg et al. 2013, doi:10.1103/PhysRevE.87.012707, eq. 8). Here masked columns
contribute nothing, and training asks for every column given any number of others: the diffusion bound.

The network is hollow: nothing at a position depends on the letter there, so `process.estimator: hollow` scores every
letter of every row.
"""

import math
from collections.abc import Iterator
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor, nn

from seqdiff.denoisers.denoiser import Denoiser, Network, columns_of


class Pairwise(Network):
    """A Potts model: 1/2 L (L - 1) K^2 couplings and L K biases, for rows of the L columns of one family.

    >>> network = Pairwise().build(symbols=21, context=40)
    >>> sum(weights.numel() for weights in network.parameters())
    344820
    """

    kind: Literal["pairwise"] = "pairwise"
    prior: Annotated[float, Field(ge=0)] = 0.002
    """Strength of the normal prior on the weights, whose cost in nats is prior (L - 1) (K - 1) J^2 of each coupling and
    prior b^2 of each bias; the form, and 0.01 as default, are those of EVcouplings (Hopf et al. 2019,
    doi:10.1093/bioinformatics/bty862). It is weighed against the effective number of sequences, so that one value does
    for small and large families. Masks in training are a regulariser too, so less of it is needed here."""

    @property
    def hollow(self) -> bool:
        return True

    @property
    def takes_labels(self) -> bool:
        return False

    @property
    def gives_mask_logit(self) -> bool:
        return False

    def build(self, symbols: int, context: int | None = None) -> "PairwiseDenoiser":
        """A network for rows of `context` columns, with no coupling yet. Raises ConfigError without a context."""
        return PairwiseDenoiser(self, symbols, columns_of(context, self.kind))


class PairwiseDenoiser(Denoiser):
    """The network of `Pairwise`.

    Couplings are kept as a binary tree over the columns: `couplings[n]` couples all columns of the left half of node n
    with all of its right half, and the halves are nodes themselves. So every pair of columns is coupled once, in both
    directions by the same numbers, and no column with itself, whatever the numbers are.
    """

    hollow = True

    def __init__(self, settings: Pairwise, symbols: int, columns: int):
        super().__init__(symbols, 1, tie_embedding=True)
        self.columns = columns
        self.embedding = Letters(symbols)
        self.nodes = list(_nodes(0, columns))
        self.couplings = nn.ParameterList(
            torch.zeros((middle - start) * symbols, (stop - middle) * symbols) for start, middle, stop in self.nodes
        )
        # Divided by sqrt(L), so that a bias moves about as fast as the sum of L couplings at the same learning rate.
        self.bias = nn.Parameter(torch.zeros(columns, symbols))
        self.scale = math.sqrt(columns)
        self._prior = settings.prior

    def precisions(self) -> Iterator[tuple[nn.Parameter, float]]:
        if self._prior:
            yield self.bias, 2 * self._prior * self.columns
            for block in self.couplings:
                yield block, 2 * self._prior * (self.columns - 1) * (self.symbols - 1)

    def trunk(self, h: Float[Tensor, "B L K"], present: Bool[Tensor, "B L"], time: None) -> Float[Tensor, "B L K"]:
        """What the visible letters of other columns say for each symbol. A short row has the first columns."""
        length = h.shape[1]
        if length > self.columns:
            raise ValueError(f"this network is for rows of {self.columns:,} columns, not of {length:,}")
        letters = F.pad(h, (0, 0, 0, self.columns - length)).flatten(1)
        said = self._said(letters, 0, self.columns, iter(self.couplings))
        return said.unflatten(1, (self.columns, self.symbols))[:, :length]

    def _said(
        self, letters: Float[Tensor, "B n"], start: int, stop: int, blocks: Iterator[Tensor]
    ) -> Float[Tensor, "B n"]:
        """What the letters of columns start..stop say to each other; `blocks` are those of the nodes from there on."""
        if stop - start == 1:
            return torch.zeros_like(letters)
        middle = (start + stop) // 2
        block = next(blocks)
        left, right = letters.split([(middle - start) * self.symbols, (stop - middle) * self.symbols], 1)
        return torch.cat(
            [
                self._said(left, start, middle, blocks) + right @ block.T,
                self._said(right, middle, stop, blocks) + left @ block,
            ],
            1,
        )

    def logits(self, hidden: Float[Tensor, "B L K"]) -> Float[Tensor, "B L K"]:
        """The biases and what the other columns say, in float32 at least."""
        dtype = torch.promote_types(self.bias.dtype, torch.float32)
        return hidden.to(dtype) + self.scale * self.bias[: hidden.shape[1]].to(dtype)

    def blocks(self) -> Iterator[tuple[int, int, int, Float[Tensor, "m n K K"]]]:
        """Of every node its start, middle and end, and the couplings J_ij(a, c) of i before the middle with j after."""
        for (start, middle, stop), block in zip(self.nodes, self.couplings, strict=True):
            pairs = block.detach().view(middle - start, self.symbols, stop - middle, self.symbols)
            yield start, middle, stop, pairs.permute(0, 2, 1, 3)

    def potts(self) -> tuple[Float[Tensor, "L K"], Float[Tensor, "L L K K"]]:
        """The biases b_i(a), and the couplings J_ij(a, c), zero for i = j."""
        symbols, columns = self.symbols, self.columns
        coupling = self.bias.new_zeros(columns, columns, symbols, symbols)
        for start, middle, stop, pairs in self.blocks():
            coupling[start:middle, middle:stop] = pairs
            coupling[middle:stop, start:middle] = pairs.permute(1, 0, 3, 2)
        return self.scale * self.bias.detach(), coupling


class Letters(nn.Module):
    """Each letter as itself, (B, L, K) zeros and a one; masks and pads are zeros alone."""

    def __init__(self, symbols: int):
        super().__init__()
        self.symbols = symbols
        self.register_buffer("like", torch.zeros(()), persistent=False)

    def forward(self, tokens: Int[Tensor, "B L"]) -> Float[Tensor, "B L K"]:
        return F.one_hot(tokens, self.symbols + 2)[..., : self.symbols].to(self.like.dtype)


def _nodes(start: int, stop: int) -> Iterator[tuple[int, int, int]]:
    """Start, middle and end of every node of the tree.

    >>> list(_nodes(0, 3))
    [(0, 1, 3), (1, 2, 3)]
    """
    if stop - start > 1:
        middle = (start + stop) // 2
        yield start, middle, stop
        yield from _nodes(start, middle)
        yield from _nodes(middle, stop)
