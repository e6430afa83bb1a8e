"""Processes: how sequences are corrupted, what is learned from that, and what it says of a sequence.

A new one is one file with a `Process` (its loss, its bound, its samplers) and one line in the union; the contract tests
pick it up from here.
"""

from typing import Annotated

from pydantic import Field

from seqdiff.config import classes
from seqdiff.diffusion.processes.anyorder import AnyOrder
from seqdiff.diffusion.processes.autoregressive import Autoregressive
from seqdiff.diffusion.processes.block import Block
from seqdiff.diffusion.processes.discrete import Discrete
from seqdiff.diffusion.processes.genmasked import GenMasked
from seqdiff.diffusion.processes.masked import Masked
from seqdiff.diffusion.processes.mlm import Mlm
from seqdiff.diffusion.processes.process import Bound, Loss, Process
from seqdiff.diffusion.processes.score import Score
from seqdiff.diffusion.processes.uniform import Uniform
from seqdiff.diffusion.samplers import Sampler

ProcessConfig = Annotated[
    Masked
    | Mlm
    | Discrete
    | GenMasked
    | Score
    | Uniform
    | Autoregressive
    | AnyOrder
    | Block,
    Field(discriminator="kind"),
]  # fmt: skip
"""Any process."""

SAMPLERS: dict[str, type[Sampler]] = {
    sampler.model_fields["kind"].default: sampler for process in classes(ProcessConfig) for sampler in process.samplers
}
"""By kind, those that are of one process alone."""

__all__ = [
    "SAMPLERS",
    "AnyOrder",
    "Autoregressive",
    "Block",
    "Bound",
    "Discrete",
    "GenMasked",
    "Loss",
    "Masked",
    "Mlm",
    "Process",
    "ProcessConfig",
    "Score",
    "Uniform",
]
