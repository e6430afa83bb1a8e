"""What the mathematics asks of a network: a callable from tokens to logits, and how precise its answers are."""

from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor


@runtime_checkable
class Denoise(Protocol):
    """tokens (B, L) int64 -> logits (B, L, K): at each mask, log mu up to a constant; elsewhere never read.

    Inputs are 0..K-1 for symbols, K for a mask, K+1 for a pad. Where the posterior depends on time (not in masked
    diffusion with one schedule for all symbols) `time` (B,) says how far the row is corrupted.
    """

    def __call__(
        self, tokens: Int[Tensor, "B L"], time: Float[Tensor, "B"] | None = None
    ) -> Float[Tensor, "B L K"]: ...


def symbols(denoise: Denoise, tokens: Int[Tensor, "B L"]) -> int:
    """K, which makes K the mask and K+1 the pad.

    Asked from `denoise.symbols`, also inside a wrapper (`.module`) or of the object whose method this is; a callable
    that does not say is called once on one row of symbol 0 and its logits are counted.

    >>> symbols(lambda tokens: torch.zeros(*tokens.shape, 4), torch.tensor([[4, 4, 4]]))
    4
    """
    for owner in (denoise, getattr(denoise, "module", None), getattr(denoise, "__self__", None)):
        if hasattr(owner, "symbols"):
            return int(owner.symbols)
    with torch.no_grad():
        return int(denoise(tokens.new_zeros(1, max(1, tokens.shape[1]))).shape[-1])


def is_hollow(denoise: Denoise) -> bool:
    """Whether the logits at a position never depend on the letter there: `denoise.hollow`, looked for inside wrappers.

    >>> is_hollow(lambda tokens: torch.zeros(*tokens.shape, 4))
    False
    """
    return bool(_says(denoise, "hollow"))


def is_equivariant(denoise: Denoise) -> bool:
    """Whether the reverse complement of a sequence gets the reverse complement of its logits: `denoise.equivariant`.

    >>> is_equivariant(lambda tokens: torch.zeros(*tokens.shape, 4))
    False
    """
    return bool(_says(denoise, "equivariant"))


def reach(denoise: Denoise) -> int | None:
    """How many positions to each side can change a prediction, `denoise.reach`; None where it does not say.

    >>> reach(lambda tokens: torch.zeros(*tokens.shape, 4))
    """
    return _says(denoise, "reach")


def learned(denoise: Denoise) -> Any:
    """What the process has learned besides the network, `denoise.learned`; None where it learns nothing."""
    return _says(denoise, "learned")


def _says(denoise: Denoise, claim: str) -> Any:
    """What the network says of itself, looked for inside wrappers; None where it says nothing."""
    network = denoise
    while not hasattr(network, claim) and hasattr(network, "module"):
        network = network.module
    return getattr(network, claim, None)


def precise(values: Tensor) -> Tensor:
    """The same values in float32 or better: log-probabilities are never taken in half precision.

    >>> precise(torch.zeros(1, dtype=torch.bfloat16)).dtype, precise(torch.zeros(1, dtype=torch.float64)).dtype
    (torch.float32, torch.float64)
    """
    return values.to(torch.promote_types(values.dtype, torch.float32))


def widest(device: torch.device) -> torch.dtype:
    """float64, on devices that have it (Apple's MPS has not)."""
    return torch.float32 if device.type == "mps" else torch.float64
