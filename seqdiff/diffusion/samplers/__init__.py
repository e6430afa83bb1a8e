"""Samplers: `(denoise, tokens, evidence=None, *, rng) -> Filled`. A new one is one file and one name in the union."""

from typing import Annotated

from pydantic import Field

from seqdiff.diffusion.samplers.ancestral import Ancestral
from seqdiff.diffusion.samplers.confident import Confident
from seqdiff.diffusion.samplers.exact import Exact
from seqdiff.diffusion.samplers.filling import Filled

SamplerConfig = Annotated[Ancestral | Exact | Confident, Field(discriminator="kind")]

__all__ = ["Ancestral", "Confident", "Exact", "Filled", "SamplerConfig"]
