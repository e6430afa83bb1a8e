"""The most certain positions first.

`choose-then-sample` picks positions by how sure mu is there and then draws their values. One a pass it is exact for
a model with consistent conditionals, since the choice looks at nothing but the context (the scores: Kim et al. 2025,
arXiv:2502.06768).

`sample-then-choose` draws a candidate everywhere and keeps the most probable candidates (Chang et al. 2022,
arXiv:2202.04200; Nie et al. 2025, arXiv:2502.09992). It is a heuristic: the choice looks at the drawn values, which
favours modes even at one position a pass, like a low temperature.
"""

from typing import Annotated, Literal

import torch
from jaxtyping import Bool, Float, Float64, Int, Int64
from pydantic import Field, model_validator
from torch import Tensor

from seqdiff.diffusion import categorical
from seqdiff.diffusion.denoise import Denoise, widest
from seqdiff.diffusion.samplers.filling import Filled, Filling, Sampler, uniforms
from seqdiff.streams import Streams

Score = Literal["entropy", "margin", "probability"]
LARGE = 64
"""More than any doubt (the entropy of K symbols is ln K)."""


class Confident(Sampler):
    """Fills the most certain positions first, by the model's own mu (before temperature and top_p)."""

    kind: Literal["confident"] = "confident"
    score: Score = "entropy"
    """Lowest entropy, largest margin between the two most probable symbols, or largest probability."""
    order: Literal["choose-then-sample", "sample-then-choose"] = "choose-then-sample"
    steps: Annotated[int, Field(ge=1)] | None = None
    """Network passes a row, at most; the positions are shared out evenly."""
    positions: Annotated[int, Field(ge=1)] | None = None
    """Positions a pass, instead of `steps`. With neither it is one."""

    @model_validator(mode="after")
    def _consistent(self) -> "Confident":
        if self.steps is not None and self.positions is not None:
            raise ValueError("give steps or positions (a pass), not both")
        if self.order == "sample-then-choose" and self.score == "entropy":
            raise ValueError(
                "entropy does not look at the sampled value: with order sample-then-choose, score is "
                "probability or margin"
            )
        return self

    def __call__(
        self,
        denoise: Denoise,
        tokens: Int[Tensor, "B L"],
        evidence: Bool[Tensor, "B L K"] | Float[Tensor, "B L K"] | None = None,
        *,
        rng: Streams,
    ) -> Filled:
        filling = Filling(self, denoise, tokens, evidence)
        masks = filling.unfilled.sum(1)
        (once,) = uniforms(rng, filling.unfilled, 1)
        done = 0
        while len(rows := filling.unfilled.any(1).nonzero()[:, 0]):
            logits, left, freedom = filling.look(rows), filling.unfilled[rows], filling.freedom[rows]
            here = logits.device
            mu = torch.softmax(logits[left.to(here)].to(widest(here)), dim=-1)
            count = self.count(masks[rows], done)
            if self.order == "choose-then-sample":
                chosen = choose(count, left, freedom, doubt(mu, self.score).cpu().double())
                proposal = filling.propose(rows, chosen, logits, once[rows])
            else:
                (fresh,) = uniforms(rng.select(rows.tolist()), left, 1)
                proposal = filling.propose(rows, left, logits, fresh)
                doubts = doubt(mu, self.score, proposal.values[left].to(here)).cpu().double()
                chosen = choose(count, left, freedom, doubts)
            filling.accept(rows, chosen, proposal)
            done += 1
        return filling.filled()

    def count(self, masks: Int64[Tensor, "R"], done: int) -> Int64[Tensor, "R"]:
        """Positions to reveal in the next pass of rows that began with `masks` masks and had `done` passes."""
        if self.steps is None:
            return torch.full_like(masks, self.positions or 1)
        return masks // self.steps + (done < masks % self.steps)


def doubt(
    mu: Float64[Tensor, "N K"], score: Score, candidates: Int64[Tensor, "N"] | None = None
) -> Float64[Tensor, "N"]:
    """How unsure mu is of its most probable symbol, or of given candidates.

    >>> mu = torch.tensor([[0.5, 0.25, 0.25]], dtype=torch.float64)
    >>> doubt(mu, "probability").item(), doubt(mu, "margin").item(), doubt(mu, "margin", torch.tensor([1])).item()
    (0.5, 0.75, 1.25)
    """
    if score == "entropy":
        return torch.special.entr(mu).sum(-1)
    which = mu.argmax(-1) if candidates is None else candidates
    picked = mu.gather(-1, which[:, None])[:, 0]
    if score == "probability":
        return 1 - picked
    return 1 - picked + mu.scatter(-1, which[:, None], 0.0).amax(-1)


def choose(
    count: Int64[Tensor, "R"],
    left: Bool[Tensor, "R L"],
    freedom: Int[Tensor, "R L"],
    doubts: Float[Tensor, "N"],
) -> Bool[Tensor, "R L"]:
    """The next `count` positions among those `left` (N of them): the most restricted, then the least doubtful."""
    keys = torch.zeros(left.shape, dtype=torch.float64).masked_scatter(left, doubts)
    return categorical.lowest(count, left, keys + LARGE * freedom)
