"""Samplers: `(denoise, tokens, evidence=None, *, rng) -> Filled`. A new one is one file and one name in the union."""

from typing import Annotated

from pydantic import Field

from seqdiff.diffusion.samplers.ancestral import Ancestral
from seqdiff.diffusion.samplers.confident import Confident
from seqdiff.diffusion.samplers.exact import Exact
from seqdiff.diffusion.samplers.filling import Filled
from seqdiff.diffusion.samplers.particles import Particles

Finish = Annotated[Ancestral | Exact | Confident, Field(discriminator="kind")]
SamplerConfig = Annotated[Ancestral | Exact | Confident | Particles, Field(discriminator="kind")]
Particles.model_rebuild(_types_namespace={"Finish": Finish})

__all__ = ["Ancestral", "Confident", "Exact", "Filled", "Particles", "SamplerConfig"]
