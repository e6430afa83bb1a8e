"""How probable a sequence is: a bound on -log p, with its standard error.

The any-order bound (see `processes/masked.py`) with its last term, all n letters masked, split off and computed
once, exactly:

    bound = S(all) / n + (n - 1) E over k uniform in 1..n-1, U a random set of k letters, of S(U) / k

and k drawn from strata of 1..n-1 (`design.py`). It holds for the letters `scored` given the others that are known;
letters that are neither stay masked throughout and are summed over. No clamp, no step size.

A hollow network, whose output at a letter does not see it, answers for every letter in each pass, masked or not.
Then the bound is n times the mean over k uniform in 0..n of the mean cost of all n letters (`processes/masked.py`):
the same number from a fraction of the passes.

Of few letters all masks are taken, each with its weight 1 / (k choose(n, k)): then the bound has no error.
"""

import math
from collections.abc import Iterator
from typing import Annotated, Literal

import torch
from jaxtyping import Bool, Int
from pydantic import Field
from torch import Tensor

from seqdiff.config import Config
from seqdiff.diffusion.denoise import Denoise, symbols
from seqdiff.diffusion.likelihood.design import Design, Draw, measured
from seqdiff.diffusion.likelihood.score import Score
from seqdiff.streams import Streams


class Elbo(Config):
    """The bound from `replicates` independent repeats of `strata` masks, each one network pass a row."""

    kind: Literal["elbo"] = "elbo"
    strata: Annotated[int, Field(ge=1)] = 16
    replicates: Annotated[int, Field(ge=1)] = 4
    antithetic: bool | None = None
    """Masks in complementary pairs. Default: where the network is hollow; of others it only makes the error larger."""

    @classmethod
    def of_draws(cls, draws: int, hollow: bool) -> "Elbo":
        """`draws` masks, divided so that the standard error has ten degrees of freedom or so at 32.

        Draws of a hollow network come in pairs, of which there are half as many: they are repeated more often.
        """
        replicates = 4 if hollow and draws >= 8 else 2
        return cls(strata=max(1, draws // replicates), replicates=replicates)

    def __call__(
        self,
        denoise: Denoise,
        tokens: Int[Tensor, "B L"],
        scored: Bool[Tensor, "B L"],
        rng: Streams,
        *,
        batch_size: int = 32,
    ) -> Score:
        """See `elbo`. Raises SeqdiffError if the logits are not numbers; training judges that for itself."""
        return elbo(
            denoise,
            tokens,
            scored,
            rng,
            strata=self.strata,
            replicates=self.replicates,
            antithetic=self.antithetic,
            batch_size=batch_size,
        ).checked()


def elbo(
    denoise: Denoise,
    tokens: Int[Tensor, "B L"],
    scored: Bool[Tensor, "B L"],
    rng: Streams,
    *,
    strata: int = 16,
    replicates: int = 4,
    antithetic: bool | None = None,
    batch_size: int = 32,
) -> Score:
    """Bound on -log p(scored letters | other known letters), nats, for each row; unknown letters are not scored.

    The masks are drawn from the row's stream, so two networks (or a sequence with other neighbours, padding or
    `batch_size`) are compared on the same masks. `batch_size` rows at most go through the network at once; a row
    takes 1 + strata * replicates passes (hollow: strata * replicates); where its n scored letters have no more than
    strata * replicates masks, these 2^n - 1.
    """
    assert len(rng) == len(tokens), "one stream a row"
    known = tokens.cpu()
    scored = scored.cpu() & (known < symbols(denoise, tokens))
    n = scored.sum(1)
    design = Design.of(denoise, strata, replicates, antithetic)

    def draws() -> Iterator[Draw]:
        for row, size in enumerate(n.tolist()):
            stream = rng.select([row])
            u, keys = stream.rand(replicates, design.units)[0], stream.rand(replicates, design.units, size)[0]
            yield from design.draws(row, scored[row], u, keys)

    constant, terms, calls = measured(denoise, known, scored, draws(), design, batch_size, tokens.device)
    found = [
        (0.0, 0.0, math.inf) if design.takes_all(size) else design.estimate(row)
        for row, size in zip(terms, n.tolist(), strict=True)
    ]
    nats, se, df = torch.tensor(found, dtype=torch.float64).reshape(-1, 3).unbind(1)
    return Score(constant + nats, se, df, n, calls)
