"""A trained network in use."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from seqdiff.denoisers import Denoiser
from seqdiff.denoisers.block_causal import Past
from seqdiff.denoisers.reader import Reader
from seqdiff.diffusion.processes import Process


class Frozen:
    """A denoiser in use: no gradients, float32 logits, tokens moved to its device and logits back.

    It says of itself what the mathematics asks (`seqdiff.diffusion.denoise`), also what it was trained by and what that
    has learned.
    """

    def __init__(self, denoiser: Denoiser, device: torch.device, process: Process):
        self.network = denoiser.to(device).eval()
        self.device, self.process, self.learned = device, process, denoiser.learned
        self.symbols, self.hollow, self.left_to_right = denoiser.symbols, denoiser.hollow, denoiser.left_to_right
        self.equivariant, self.reach, self.takes_time = denoiser.equivariant, denoiser.reach, denoiser.takes_time

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
        moved = None if time is None else time.to(self.device)
        return self.network(tokens.to(self.device), moved, **told).float().to(tokens.device)

    def reader(self, rows: int, labels: Int[Tensor, "B"] | None = None) -> "FrozenReader":
        """What reads so many rows from the left. Raises ValueError for a network that does not read left to right."""
        return FrozenReader(self, rows, labels)


class FrozenReader:
    """A network that reads (`denoisers.reader`) in use: letters are moved to its device; logits stay there, float32."""

    @torch.no_grad()
    def __init__(self, frozen: Frozen, rows: int, labels: Int[Tensor, "B"] | None):
        self._device = frozen.device
        self._reader = Reader(frozen.network, rows, labels=None if labels is None else labels.to(frozen.device))

    @property
    def logits(self) -> Float[Tensor, "B K"]:
        return self._reader.logits.float()

    @torch.no_grad()
    def read(self, letters: Int[Tensor, "B n"]) -> Float[Tensor, "B n K"]:
        return self._reader.read(letters.to(self._device)).float()

    @torch.no_grad()
    def take(self, rows: Int[Tensor, "N"]) -> None:
        self._reader.take(rows.to(self._device))
