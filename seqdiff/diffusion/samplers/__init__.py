"""Samplers: `(denoise, tokens, evidence=None, *, rng) -> Filled`. A new one is one file and one name in the union."""

from typing import Annotated

from pydantic import Field

from seqdiff.diffusion.samplers.ancestral import Ancestral
from seqdiff.diffusion.samplers.best import Best
from seqdiff.diffusion.samplers.bounded import Bounded
from seqdiff.diffusion.samplers.confident import Confident
from seqdiff.diffusion.samplers.correct import Correct
from seqdiff.diffusion.samplers.exact import Exact
from seqdiff.diffusion.samplers.filling import Filled, Sampler
from seqdiff.diffusion.samplers.particles import Particles
from seqdiff.diffusion.samplers.remask import Remask

Finish = Annotated[Ancestral | Exact | Confident | Bounded | Remask | Correct, Field(discriminator="kind")]
SamplerConfig = Annotated[
    Ancestral | Exact | Confident | Bounded | Remask | Correct | Particles | Best, Field(discriminator="kind")
]
Particles.model_rebuild(_types_namespace={"Finish": Finish})

PRESETS: dict[str, Sampler] = {"fast": Ancestral(steps=32)}
"""Samplers by a name that is not their kind. `fast`: 32 steps of random positions, whatever the length. What is lost by
drawing letters together depends on the share of them that a step reveals, and at 1/32 it was within the error of one
letter a call on DNA; at equal calls the surest positions instead (`bounded`, `confident`) lost as much or more, for
they are neighbours (tests/benchmarks/bench_samplers.py, docs/samplers.png). `exact` is a kind: one letter a call.
"""

__all__ = [
    "PRESETS",
    "Ancestral",
    "Best",
    "Bounded",
    "Confident",
    "Correct",
    "Exact",
    "Filled",
    "Particles",
    "Remask",
    "Sampler",
    "SamplerConfig",
]
