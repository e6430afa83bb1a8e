"""What is known of the masked positions: which must be filled, and with which symbols.

Evidence that a mask is one of a set (an IUPAC code) is drawn by restricting mu to the set and renormalising.
That alone is only approximate; the product W of the normalisers Z, collected as `log_weight`, makes it exact:
E[W] is the probability of the evidence in every order that does not look at values still unknown, and samples
weighted by W follow the exact conditional. Revealing constrained positions first, smallest set first, keeps W
nearly constant.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor


@dataclass(frozen=True)
class Evidence:
    """A batch that is ready to be filled. `freedom` (B, L) is the number of symbols a position may become."""

    tokens: Int[Tensor, "B L"]
    """Input with the positions filled that have a single allowed symbol."""
    unfilled: Bool[Tensor, "B L"]
    """Masks that are to be drawn. A mask with no allowed symbol is not among them: it stays as masked context."""
    allowed: Bool[Tensor, "B L K"] | None
    freedom: Int[Tensor, "B L"]

    @classmethod
    def of(cls, tokens: Int[Tensor, "B L"], allowed: Bool[Tensor, "B L K"] | None, symbols: int) -> "Evidence":
        """Settles what needs no network. Known tokens and pads are never touched, whatever `allowed` says there.

        >>> allowed = torch.tensor([[[True, True], [False, True], [False, False]]])
        >>> evidence = Evidence.of(torch.tensor([[2, 2, 2]]), allowed, symbols=2)
        >>> evidence.tokens.tolist(), evidence.unfilled.tolist()
        ([[2, 1, 2]], [[True, False, False]])
        """
        masks = tokens == symbols
        if allowed is None:
            return cls(tokens.clone(), masks, None, torch.full_like(tokens, symbols))
        if allowed.shape != (*tokens.shape, symbols):
            raise ValueError(f"allowed is {tuple(allowed.shape)}, not {(*tokens.shape, symbols)}")
        freedom = allowed.sum(-1)
        settled = torch.where(masks & (freedom == 1), allowed.int().argmax(-1), tokens)
        return cls(settled, masks & (freedom > 1), allowed, freedom)

    @property
    def constrained(self) -> Bool[Tensor, "B L"]:
        """Masks to be drawn from a part of the symbols: their log Z goes into `log_weight`."""
        if self.allowed is None:
            return torch.zeros_like(self.unfilled)
        return self.unfilled & (self.freedom < self.allowed.shape[-1])
