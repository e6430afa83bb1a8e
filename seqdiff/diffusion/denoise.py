"""What the mathematics asks of a network: a callable from tokens to logits, and how precise its answers are."""

from collections.abc import Callable
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


@runtime_checkable
class Reading(Protocol):
    """Rows that a left-to-right network reads from the left, all at one pace (`seqdiff.denoisers.reader.Reader`)."""

    @property
    def logits(self) -> Float[Tensor, "B K"]:
        """Of the letter that comes next."""

    def read(self, letters: Int[Tensor, "B n"]) -> Float[Tensor, "B n K"]:
        """Go on by n letters; the logits of what comes after each of them."""

    def take(self, rows: Int[Tensor, "N"]) -> None:
        """Go on with these of the rows."""


def symbols(denoise: Denoise, tokens: Int[Tensor, "B L"]) -> int:
    """K, which makes K the mask and K+1 the pad.

    Asked from `denoise.symbols`, also inside a wrapper (`.module`) or of the object whose method this is; a callable
    that does not say is called once on one row of symbol 0 and its logits are counted.

    >>> symbols(lambda tokens: torch.zeros(*tokens.shape, 4), torch.tensor([[4, 4, 4]]))
    4
    """
    for owner in (denoise, getattr(denoise, "__self__", None)):
        if (known := _says(owner, "symbols")) is not None:
            return int(known)
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


def takes_time(denoise: Denoise) -> bool:
    """Whether the network must be told the time: `denoise.takes_time`.

    >>> takes_time(lambda tokens: torch.zeros(*tokens.shape, 4))
    False
    """
    return bool(_says(denoise, "takes_time"))


def is_left_to_right(denoise: Denoise) -> bool:
    """Whether the logits at a position depend on the letters before it alone: `denoise.left_to_right`.

    >>> is_left_to_right(lambda tokens: torch.zeros(*tokens.shape, 4))
    False
    """
    return bool(_says(denoise, "left_to_right"))


def reading(denoise: Denoise, rows: int) -> Reading:
    """What reads so many rows from the left, `denoise.reader(rows)`. Raises ValueError for a network that cannot."""
    begin = _says(denoise, "reader")
    if begin is None:
        raise ValueError(f"{type(denoise).__name__} does not read letter by letter")
    return begin(rows)


def process_of(denoise: Denoise) -> Any:
    """The process that the network was trained by, `denoise.process`; None where it does not say."""
    return _says(denoise, "process")


def learned(denoise: Denoise) -> Any:
    """What the process has learned besides the network, `denoise.learned`; None where it learns nothing."""
    return _says(denoise, "learned")


def _says(denoise: Any, claim: str) -> Any:
    """What the network says of itself, looked for inside wrappers; None where it says nothing."""
    while not hasattr(denoise, claim) and hasattr(denoise, "module"):
        denoise = denoise.module
    return getattr(denoise, claim, None)


class TimeFree:
    """A denoiser that is told the time, as one that is not: it is told the `time` at which on average as many letters
    are masked as here, and gives logits of the symbols alone, not of the mask."""

    def __init__(self, module: Denoise, time: Callable[[Float[Tensor, "B"]], Float[Tensor, "B"]]):
        self.module, self.time, self.takes_time = module, time, False

    def __call__(self, tokens: Int[Tensor, "B L"], time: None = None) -> Float[Tensor, "B L K"]:
        size = symbols(self.module, tokens)
        if not takes_time(self.module):
            return self.module(tokens)[..., :size]
        return self.module(tokens, self.time(masked_share(tokens, size)).float())[..., :size]


def masked_share(tokens: Int[Tensor, "B L"], size: int) -> Float[Tensor, "B"]:
    """Masks as a share of what is no pad, of each row; 1 of rows without letters.

    >>> masked_share(torch.tensor([[0, 4, 4, 5]]), 4)
    tensor([0.6667])
    """
    masks, present = (tokens == size).sum(1), (tokens <= size).sum(1)
    return torch.where(present > 0, masks / present.clamp(min=1), 1.0)


def precise(values: Tensor) -> Tensor:
    """The same values in float32 or better: log-probabilities are never taken in half precision.

    >>> precise(torch.zeros(1, dtype=torch.bfloat16)).dtype, precise(torch.zeros(1, dtype=torch.float64)).dtype
    (torch.float32, torch.float64)
    """
    return values.to(torch.promote_types(values.dtype, torch.float32))


def widest(device: torch.device) -> torch.dtype:
    """float64, on devices that have it (Apple's MPS has not)."""
    return torch.float32 if device.type == "mps" else torch.float64
