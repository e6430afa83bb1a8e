"""Fill first, then have second thoughts: letters are masked again, a few at a time, and refilled given all others.

`random` picks them without looking at them and refills them one at a time. That is block Gibbs sampling: for a model
with consistent conditionals it leaves the law p as it is, and every move brings what was filled in large steps nearer
to it. (Refilled at once, two letters would not be drawn from p any more: that is not offered.)

`least-certain` picks letters that are improbable given all others, each with probability in proportion to 1 / mu (the
informed corrector: Zhao et al. 2024, arXiv:2407.21243, with Gumbel noise at temperature 1). It is a heuristic: the
choice looks at the letters, so that p itself drifts away under it, towards its modes. A few moves repair the errors of
letters that were drawn together; many of them are no sampler of p.
"""

from typing import Annotated, ClassVar, Literal

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field, model_validator
from torch import Tensor

from seqdiff.diffusion import categorical
from seqdiff.diffusion.denoise import Denoise, is_hollow
from seqdiff.diffusion.samplers.ancestral import Ancestral
from seqdiff.diffusion.samplers.filling import Filled, Filling, Sampler, positions_in_turn, uniforms
from seqdiff.streams import Streams

LOOKED_AT = 8
"""Letters that one pass of a network that is not hollow scores, for each that is then refilled."""


class Correct(Sampler):
    """A predictor, then `moves` that each redraw `positions` of the filled letters, never of the given ones.

    Passes a move: `random` one a letter; `least-certain` one in all if the network is hollow, since then one pass says
    how probable every letter is given the others. With other networks that is said of masks alone: one pass scores
    some letters, chosen at random, by masking them, and the chosen ones are refilled one at a time.
    `log_weight` is no importance weight.
    """

    kind: Literal["correct"] = "correct"
    revisits: ClassVar[bool] = True
    predictor: Literal["ancestral", "exact"] = "ancestral"
    steps: Annotated[int, Field(ge=1)] | None = None
    """Of the ancestral predictor; None: as many as the row has masks, at most 128."""
    choose: Literal["random", "least-certain"] = "random"
    moves: Annotated[int, Field(ge=1)] = 16
    positions: Annotated[int, Field(ge=1)] = 1
    """Letters a move redraws; all filled ones where there are fewer."""

    @model_validator(mode="after")
    def _consistent(self) -> "Correct":
        if self.predictor == "exact" and self.steps is not None:
            raise ValueError("steps is for the ancestral predictor: exact takes one pass a letter")
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
        when, what = uniforms(rng, filling.targets, 2)
        if self.predictor == "exact":
            turns = positions_in_turn(filling.targets, filling.freedom, when)
        else:
            turns = Ancestral(steps=self.steps).turns(filling.targets, filling.freedom, when)
        filling.follow(turns, what)
        rows = filling.targets.any(1).nonzero()[:, 0]
        for _ in range(self.moves if len(rows) else 0):
            draws = uniforms(rng, filling.targets, 3)
            if self.choose == "random":
                chosen = self.pick(filling.targets, draws[0])
                self._refill(filling, chosen, draws[0], draws[1])
            elif is_hollow(denoise):
                logits, targets = filling.look(rows), filling.targets[rows]
                certainty = filling.certainty(rows, targets, logits)
                chosen = self.pick(targets, certainty - gumbel(draws[0][rows]))
                filling.accept(rows, chosen, filling.propose(rows, chosen, logits, draws[1][rows]))
            else:
                chosen = self._least_certain_of_some(filling, rows, draws[0], draws[2])
                self._refill(filling, chosen, draws[0], draws[1])
        return filling.filled()

    def pick(self, among: Bool[Tensor, "R L"], keys: Float[Tensor, "R L"], share: int = 1) -> Bool[Tensor, "R L"]:
        """The letters of a move, or `share` times as many: those with the lowest keys."""
        return categorical.lowest(torch.full((len(among),), share * self.positions), among, keys)

    def _least_certain_of_some(
        self, filling: Filling, rows: Int[Tensor, "R"], noise: Float[Tensor, "B L"], keys: Float[Tensor, "B L"]
    ) -> Bool[Tensor, "B L"]:
        """Hide some letters at random, and pick those that one pass finds least probable given the ones not hidden."""
        hidden = self.pick(filling.targets[rows], keys[rows], LOOKED_AT)
        certainty = filling.certainty(rows, hidden, filling.look(rows, hidden))
        chosen = torch.zeros_like(filling.targets)
        chosen[rows] = self.pick(hidden, certainty - gumbel(noise[rows]))
        return chosen

    def _refill(
        self, filling: Filling, chosen: Bool[Tensor, "B L"], keys: Float[Tensor, "B L"], what: Float[Tensor, "B L"]
    ) -> None:
        """Mask the chosen letters and draw them anew, one a pass."""
        filling.remask(torch.arange(len(chosen)), chosen)
        filling.follow(positions_in_turn(chosen, filling.freedom, keys), what)


def gumbel(uniforms: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """-log(-log u): added to scores, the largest is drawn in proportion to exp(score).

    >>> gumbel(torch.tensor([0.0, 0.5], dtype=torch.float64)).isfinite().tolist()
    [True, True]
    """
    return -(-uniforms.clamp(min=torch.finfo(uniforms.dtype).tiny).log()).log()
