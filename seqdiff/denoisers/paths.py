"""Which path computes the selective scan, and why: plain torch, the CPU kernels, or mamba-ssm.

Every path gives the same answer. `reference` is plain torch and runs everywhere; `cpu` is our fused kernels;
`cuda` is mamba-ssm's. The best one that is there is taken, unless the environment says SEQDIFF_PATH=reference, cpu
or cuda. float64 is for checking and goes to the reference always.
"""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal, NamedTuple, TypeVar, get_args

import torch

from seqdiff.denoisers import kernels
from seqdiff.errors import ConfigError

logger = logging.getLogger("seqdiff")

VARIABLE = "SEQDIFF_PATH"
Name = Literal["reference", "cpu", "cuda"]
Answer = TypeVar("Answer")


class Path(NamedTuple):
    """A path, and one clause for a person on why it was taken."""

    name: Name
    why: str


_forced: Name | None = None
_said: set[str] = set()


def choose(device: torch.device, dtype: torch.dtype) -> Path:
    """The path for tensors of this device and dtype. Cheap, since every layer asks.

    Raises ConfigError where SEQDIFF_PATH is no path, or one that cannot be taken here.
    """
    wanted = _forced or os.environ.get(VARIABLE) or "auto"
    if wanted not in ("auto", *get_args(Name)):
        raise ConfigError(f"{VARIABLE}={wanted}: choose one of auto, {', '.join(get_args(Name))}")
    if dtype == torch.float64:
        return Path("reference", "float64 is computed in plain torch")
    if wanted == "reference":
        return Path("reference", "it was asked for")
    own: Name | None = device.type if device.type in ("cpu", "cuda") else None
    reason = f"tensors are on {device.type}" if own is None or wanted not in ("auto", own) else unavailable(own)
    if reason is None:
        return Path(own, described(own))
    if wanted != "auto":
        raise ConfigError(f"{VARIABLE}={wanted} cannot be: {reason}")
    _say(reason)
    return Path("reference", reason)


def constant(asked: Callable[..., Answer]) -> Callable[..., Answer]:
    """Mark a function that the compiler runs when it traces, to keep the answer: packages do not come and go.

    It is torch.compiler.assume_constant_result, which imports the whole compiler to set this one attribute: a third of
    the start of every command, and a failure where nothing can be written.
    """
    asked._dynamo_marked_constant = True
    return asked


@constant
def unavailable(name: Name) -> str | None:
    """Why a path cannot be taken in this process, or None when it can."""
    match name:
        case "cpu":
            return kernels.unavailable()
        case "cuda":
            from seqdiff.denoisers.scan import cuda

            return cuda.unavailable()
        case _:
            return None


@constant
def described(name: Name) -> str:
    """What a path that can be taken computes with."""
    if name == "cuda":
        from seqdiff.denoisers.scan import cuda

        return cuda.described()
    return "fused kernels" if name == "cpu" else "plain torch"


@constant
def _say(reason: str) -> None:
    """Say once in a process that the slow path is taken, and why."""
    if reason not in _said:
        _said.add(reason)
        logger.warning("the selective scan runs in plain torch, which is many times slower: %s", reason)


@contextmanager
def use(name: Name) -> Iterator[None]:
    """Compute everything by this path, for tests and benchmarks. Raises ConfigError when it cannot be taken."""
    global _forced
    if reason := unavailable(name):
        raise ConfigError(f"the path {name} cannot be taken: {reason}")
    before, _forced = _forced, name
    try:
        yield
    finally:
        _forced = before
