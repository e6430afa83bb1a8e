"""A trained network in use."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from seqdiff.denoisers import Denoiser
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
    ) -> Float[Tensor, "B L K"]:
        told = {} if labels is None else {"labels": labels.to(self.device)}
        moved = None if time is None else time.to(self.device)
        return self.network(tokens.to(self.device), moved, **told).float().to(tokens.device)
