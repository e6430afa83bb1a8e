"""A trained network in use."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from seqdiff.denoisers import Denoiser
from seqdiff.denoisers.alone import Alone
from seqdiff.denoisers.block_causal import Past
from seqdiff.denoisers.reader import Reader
from seqdiff.diffusion.processes import Process

elsewhere: torch.device | None = None
"""The GPU of a worker process: where networks that computed on one are put when they come from another process."""


class Frozen:
    """A denoiser in use: no gradients, float32 logits, tokens moved to its device and logits back.

    On the CPU what it says of a row has the same bits whatever other rows there are and however many threads
    (`denoisers.alone`): rows of several lengths go through the network by length, unless pads leave no trace in it.

    It says of itself what the mathematics asks (`seqdiff.diffusion.denoise`), also what it was trained by and what that
    has learned.
    """

    def __init__(self, denoiser: Denoiser, device: torch.device, process: Process):
        self.network = denoiser.to(device).eval()
        self.device, self.process, self.learned = device, process, denoiser.learned
        self.symbols, self.hollow, self.left_to_right = denoiser.symbols, denoiser.hollow, denoiser.left_to_right
        self.equivariant, self.reach, self.takes_time = denoiser.equivariant, denoiser.reach, denoiser.takes_time
        self._whole = self.device.type == "cuda" or denoiser.pads_leave_no_trace

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        if elsewhere is not None and self.device.type == elsewhere.type:
            self.device = elsewhere
            self.network.to(elsewhere)

    @torch.no_grad()
    def __call__(
        self,
        tokens: Int[Tensor, "B L"],
        time: Float[Tensor, "B"] | None = None,
        labels: Int[Tensor, "B"] | None = None,
        *,
        clean: Int[Tensor, "B L"] | None = None,
        past: Past | None = None,
    ) -> Float[Tensor, "B L K"]:
        """`clean` and `past` are of networks of blocks (`denoisers.block_causal`); a past stays on the device."""
        told = {
            name: value.to(self.device) for name, value in (("labels", labels), ("clean", clean)) if value is not None
        }
        told |= {} if past is None else {"past": past}
        if time is not None:
            told["time"] = time.to(self.device)
        with computed_alone(self.device):
            if self._whole or past is not None:
                return self.network(tokens.to(self.device), **told).float().to(tokens.device)
            return self._by_length(tokens, told)

    def _by_length(self, tokens: Int[Tensor, "B L"], told: dict[str, Tensor]) -> Float[Tensor, "B L K"]:
        """Rows of one length after those of another, without the pads behind them."""
        groups = rows_by_length(tokens, self.network.pad)
        if len(groups) <= 1 and tokens.shape[1] in groups:
            return self.network(tokens, **told).float()
        logits: Tensor | None = None
        for length, rows in groups.items():
            of_rows = {name: value[rows, :length] if value.ndim == 2 else value[rows] for name, value in told.items()}
            found = self.network(tokens[rows, :length], **of_rows).float()
            if logits is None:
                logits = found.new_zeros(*tokens.shape, found.shape[-1])
            logits[rows, :length] = found
        return logits

    def reader(self, rows: int, labels: Int[Tensor, "B"] | None = None) -> "FrozenReader":
        """What reads so many rows from the left. Raises ValueError for a network that does not read left to right."""
        return FrozenReader(self, rows, labels)


def computed_alone(device: torch.device) -> AbstractContextManager[object]:
    """In which a network on that device computes each row as if there were no other, where it can."""
    return Alone() if device.type == "cpu" else nullcontext()


def rows_by_length(tokens: Int[Tensor, "B L"], pad: int) -> dict[int, Int[Tensor, "_"]]:
    """The rows that end at each place; one letter at least is left of a row of nothing but pads."""
    places = torch.arange(1, tokens.shape[1] + 1)
    lengths = ((tokens != pad) * places).amax(1).clamp(min=1) if tokens.numel() else tokens.new_zeros(0)
    return {int(length): (lengths == length).nonzero()[:, 0] for length in lengths.unique()}


class FrozenReader:
    """A network that reads (`denoisers.reader`) in use: letters are moved to its device; logits stay there, float32."""

    @torch.no_grad()
    def __init__(self, frozen: Frozen, rows: int, labels: Int[Tensor, "B"] | None):
        self._device = frozen.device
        with computed_alone(self._device):
            self._reader = Reader(frozen.network, rows, labels=None if labels is None else labels.to(frozen.device))

    @property
    def logits(self) -> Float[Tensor, "B K"]:
        return self._reader.logits.float()

    @torch.no_grad()
    def read(self, letters: Int[Tensor, "B n"]) -> Float[Tensor, "B n K"]:
        with computed_alone(self._device):
            return self._reader.read(letters.to(self._device)).float()

    @torch.no_grad()
    def take(self, rows: Int[Tensor, "N"]) -> None:
        self._reader.take(rows.to(self._device))
