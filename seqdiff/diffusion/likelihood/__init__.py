"""How probable sequences are under a denoiser: bounds, chain rules and differences, each with its standard error."""

from seqdiff.diffusion.likelihood.elbo import Elbo, elbo
from seqdiff.diffusion.likelihood.passes import masked_nats
from seqdiff.diffusion.likelihood.ratio import Ratio, lengths, site_marginals, split, substitutions
from seqdiff.diffusion.likelihood.score import Score

ScorerConfig = Elbo
"""A union told apart by `kind` as soon as there is a second scorer."""

__all__ = [
    "Elbo", "Ratio", "Score", "ScorerConfig", "elbo", "lengths", "masked_nats", "site_marginals", "split",
    "substitutions",
]  # fmt: skip
