"""Processes: how a batch is corrupted and what is learned from it, `loss(denoise, batch, rng) -> Loss(nats, count)`.

A new one is one file and one line in the union. One whose loss is no bound on the likelihood says so with
`bounds_likelihood` and gives `row_sums`, by which it is then validated.
"""

from typing import Annotated

from pydantic import Field

from seqdiff.diffusion.processes.masked import Loss, Masked
from seqdiff.diffusion.processes.mlm import Mlm

ProcessConfig = Annotated[Masked | Mlm, Field(discriminator="kind")]
"""Any process."""

__all__ = ["Loss", "Masked", "Mlm", "ProcessConfig"]
