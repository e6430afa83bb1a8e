"""What is known of the masked positions: which must be filled, and how likely each symbol makes what was observed.

The evidence at a position is a likelihood l(v) = P(what was observed | the letter is v). An IUPAC code is one of 0 and
1, a base that was called with an error probability e has 1 - e for the called base and e / 3 for the others. It is
drawn by restricting mu to l: q(v) = mu(v) l(v) / Z with Z = sum_v mu(v) l(v). That alone is only approximate; the
product W of the Z, collected as `log_weight`, makes it exact: E[W] is the probability of the evidence in every order
that does not look at values still unknown, and samples weighted by W follow the exact conditional. Revealing
constrained positions first, the most restricted first, keeps W nearly constant.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Float64, Int, Int64
from torch import Tensor


@dataclass(frozen=True)
class Evidence:
    """A batch that is ready to be filled."""

    tokens: Int[Tensor, "B L"]
    """Input with the positions filled that have a single possible symbol."""
    unfilled: Bool[Tensor, "B L"]
    """Masks that are to be drawn. A mask with no possible symbol is not among them: it stays as masked context."""
    likelihood: Float64[Tensor, "B L K"] | None
    """l(v) at each position, not normalised; None: nothing is known of any mask."""
    freedom: Int64[Tensor, "B L"]
    """Rank of how free a position is: by exp(entropy of l / sum l), the number of symbols of a set. Ranks say which of
    two positions is the more restricted, nothing else."""

    @classmethod
    def of(
        cls, tokens: Int[Tensor, "B L"], evidence: Bool[Tensor, "B L K"] | Float[Tensor, "B L K"] | None, symbols: int
    ) -> "Evidence":
        """Settles what needs no network. Known tokens and pads are never touched, whatever `evidence` says there.

        >>> sets = torch.tensor([[[True, True], [False, True], [False, False]]])
        >>> evidence = Evidence.of(torch.tensor([[2, 2, 2]]), sets, symbols=2)
        >>> evidence.tokens.tolist(), evidence.unfilled.tolist()
        ([[2, 1, 2]], [[True, False, False]])

        Raises ValueError for evidence of another shape, or with values that are negative or no numbers.
        """
        masks = tokens == symbols
        if evidence is None:
            return cls(tokens.clone(), masks, None, torch.zeros_like(tokens, dtype=torch.int64))
        if evidence.shape != (*tokens.shape, symbols):
            raise ValueError(f"evidence is {tuple(evidence.shape)}, not {(*tokens.shape, symbols)}")
        likelihood = evidence.double()
        if not bool((likelihood >= 0).all() & likelihood.isfinite().all()):
            raise ValueError("evidence is a likelihood: 0 or more, and finite")
        possible = (likelihood > 0).sum(-1)
        settled = torch.where(masks & (possible == 1), likelihood.argmax(-1), tokens)
        return cls(settled.to(tokens.dtype), masks & (possible > 1), likelihood, freedom(likelihood))

    @property
    def constrained(self) -> Bool[Tensor, "B L"]:
        """Masks to be drawn of which something is known: their log Z goes into `log_weight`."""
        if self.likelihood is None:
            return torch.zeros_like(self.unfilled)
        return self.unfilled & (self.likelihood != 1).any(-1)


def freedom(likelihood: Float64[Tensor, "*shape K"]) -> Int64[Tensor, "*shape"]:
    """Ranks of exp(entropy of l / sum l): lower is more restricted; equal to 9 digits is equal.

    >>> sets = torch.tensor([[1, 0, 1, 0], [1, 1, 1, 1], [0, 1, 0, 0], [0.97, 0.01, 0.01, 0.01]], dtype=torch.float64)
    >>> freedom(sets).tolist()
    [2, 3, 0, 1]
    """
    shares = likelihood / likelihood.sum(-1, keepdim=True).clamp(min=torch.finfo(torch.float64).tiny)
    effective = torch.special.entr(shares).sum(-1).exp().round(decimals=9)
    return torch.unique(effective, return_inverse=True)[1]
