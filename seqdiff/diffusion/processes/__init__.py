"""Processes: how a batch is corrupted and what is learned from it, `loss(denoise, batch, rng) -> Loss(nats, count)`.

A new one is one file; with the second member `ProcessConfig` becomes a union told apart by `kind`.
"""

from seqdiff.diffusion.processes.masked import Loss, Masked

ProcessConfig = Masked

__all__ = ["Loss", "Masked", "ProcessConfig"]
