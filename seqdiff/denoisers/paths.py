"""Which path computes the selective scan, and why: plain torch, the CPU kernels, or mamba-ssm.

Every path gives the same answer. `reference` is plain torch and runs everywhere; `cpu` is our fused kernels;
`cuda` is mamba-ssm's. The best one that is there is taken, unless the environment says
SEQDIFF_PATH = reference | cpu | cuda. Numbers in float64 are for checking and go to the reference always.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, NamedTuple, get_args

import torch

from seqdiff.denoisers import kernels
from seqdiff.errors import ConfigError

logger = logging.getLogger("seqdiff")

VARIABLE = "SEQDIFF_PATH"
Name = Literal["reference", "cpu", "cuda"]


class Path(NamedTuple):
    """A path, and one clause for a person on why it was taken."""

    name: Name
    why: str


_forced: Name | None = None
_warned: set[str] = set()


def choose(device: torch.device, dtype: torch.dtype) -> Path:
    """The path for tensors of this device and dtype. Raises ConfigError where SEQDIFF_PATH asks for what cannot be."""
    wanted = _forced or os.environ.get(VARIABLE) or "auto"
    if wanted not in ("auto", *get_args(Name)):
        raise ConfigError(f"{VARIABLE}={wanted}: choose one of auto, {', '.join(get_args(Name))}")
    if dtype == torch.float64:
        return Path("reference", "numbers are float64")
    if wanted == "reference":
        return Path("reference", "it was asked for")
    fitting: Name = "cuda" if device.type == "cuda" else "cpu"
    reason = unavailable(fitting)
    if wanted != "auto":
        if wanted != fitting:
            raise ConfigError(f"{VARIABLE}={wanted}: tensors are on {device.type}; say auto, reference or {fitting}")
        if reason:
            raise ConfigError(f"{VARIABLE}={wanted}: {reason}")
    if reason is None:
        return Path(fitting, "")
    if reason not in _warned:
        _warned.add(reason)
        logger.warning("the selective scan runs in plain torch, many times slower: %s", reason)
    return Path("reference", reason)


def unavailable(name: Name) -> str | None:
    """Why a path cannot be used here, or None when it can."""
    match name:
        case "cpu":
            return kernels.unavailable()
        case "cuda":
            return "mamba-ssm is not used yet"
        case _:
            return None


@contextmanager
def use(name: Name) -> Iterator[None]:
    """Compute everything by this path, for tests and benchmarks. Raises ConfigError when it cannot be used."""
    global _forced
    if reason := unavailable(name):
        raise ConfigError(f"the path {name} cannot be used: {reason}")
    before, _forced = _forced, name
    try:
        yield
    finally:
        _forced = before
