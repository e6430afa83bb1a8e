"""How probable sequences are under a denoiser: bounds, chain rules and differences, each with its standard error.

A scorer is `(denoise, tokens, scored, rng, *, batch_size) -> Score`. A new one is one file and one name in the union.
"""

from typing import Annotated

from pydantic import Field

from seqdiff.diffusion.likelihood.chain import Chain
from seqdiff.diffusion.likelihood.elbo import Elbo, elbo
from seqdiff.diffusion.likelihood.passes import masked_nats
from seqdiff.diffusion.likelihood.pseudo import Pseudo
from seqdiff.diffusion.likelihood.ratio import Ratio, lengths, site_marginals, split, substitutions
from seqdiff.diffusion.likelihood.score import Score
from seqdiff.diffusion.likelihood.spacing import Spacing, spacing

ScorerConfig = Annotated[Elbo | Chain | Pseudo, Field(discriminator="kind")]

__all__ = [
    "Chain",
    "Elbo",
    "Pseudo",
    "Ratio",
    "Score",
    "ScorerConfig",
    "Spacing",
    "elbo",
    "lengths",
    "masked_nats",
    "site_marginals",
    "spacing",
    "split",
    "substitutions",
]
