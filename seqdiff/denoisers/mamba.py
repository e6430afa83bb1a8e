"""Mamba read in both directions: a selective state space from the left, one from the right.

Parameter names and shapes are mamba-ssm's (Mamba-1), so that weights move freely; the two directions share
in_proj and out_proj, which are computed once and stored once.
"""

import math
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor, nn

from seqdiff.denoisers.denoiser import Denoiser, Network
from seqdiff.denoisers.layers import initialise
from seqdiff.denoisers.scan import selective_scan


class BiMamba(Network):
    """What every network of bidirectional Mamba layers is made of."""

    width: Annotated[int, Field(ge=1)] = 128
    """Channels of the residual stream."""
    depth: Annotated[int, Field(ge=1)] = 4
    """Layers, each of which reads both ways."""
    states: Annotated[int, Field(ge=1)] = 16
    """States a channel."""
    kernel: Annotated[int, Field(ge=1)] = 4
    """Taps of the causal convolution before the scan."""
    expansion: Annotated[int, Field(ge=1)] = 2
    """Channels of the scan, in widths."""
    tie_embedding: bool = False
    """Use the embedding of a symbol as its row of the head, as the published Caduceus does. The head then
    does not start at zero, and the first loss is not ln K."""


class Mamba(BiMamba):
    """A bidirectional Mamba network (Gu & Dao 2023, arXiv:2312.00752) for any alphabet; cost is linear in length."""

    kind: Literal["mamba"] = "mamba"

    def build(self, symbols: int) -> "MambaDenoiser":
        """A freshly initialised network over `symbols` symbols."""
        return MambaDenoiser(self, symbols)


class MambaDenoiser(Denoiser):
    """The network of `Mamba`."""

    def __init__(self, settings: BiMamba, symbols: int):
        super().__init__(symbols, settings.width, tie_embedding=settings.tie_embedding)
        self.layers = nn.ModuleList(Layer(settings) for _ in range(settings.depth))
        self.norm_f = nn.RMSNorm(settings.width, eps=1e-5)
        initialise(self, settings.depth)

    def trunk(self, h: Float[Tensor, "B L D"], present: Bool[Tensor, "B L"], time: None) -> Float[Tensor, "B L D"]:
        inside = present.unsqueeze(-1).to(h.dtype)
        for layer in self.layers:
            h = layer(h, inside)
        return self.norm_f(h)


class Layer(nn.Module):
    """h + mixer(norm(h))."""

    def __init__(self, settings: BiMamba):
        super().__init__()
        self.norm = nn.RMSNorm(settings.width, eps=1e-5)
        self.mixer = Mixer(settings)

    def forward(self, h: Float[Tensor, "B L D"], inside: Float[Tensor, "B L 1"]) -> Float[Tensor, "B L D"]:
        return h + self.mixer(self.norm(h), inside)


class Mixer(nn.Module):
    """fwd(h) + flip(rev(flip h)): the sum of both directions, without a flip.

    Schiff et al. 2024 (Caduceus, arXiv:2403.03234), sec. 3.1 "BiMamba". `out_proj` is linear, so the sum of the
    directions goes through it once.
    """

    def __init__(self, settings: BiMamba):
        super().__init__()
        inner = settings.expansion * settings.width
        self.in_proj = nn.Linear(settings.width, 2 * inner, bias=False)
        self.mamba_fwd = Direction(settings, reverse=False)
        self.mamba_rev = Direction(settings, reverse=True)
        self.out_proj = nn.Linear(inner, settings.width, bias=False)

    def forward(self, h: Float[Tensor, "B L D"], inside: Float[Tensor, "B L 1"]) -> Float[Tensor, "B L D"]:
        h = h * inside
        # Two products, so that x and z each lie whole in memory.
        x, z = (F.linear(h, part) for part in self.in_proj.weight.chunk(2))
        return self.out_proj(self.mamba_fwd(x, z, inside) + self.mamba_rev(x, z, inside))


class Direction(nn.Module):
    """The selective state space of one direction: causal convolution, step sizes and B, C from x, scan, gate.

    What enters the scan is set to zero at pads, so its state stays exactly zero until the first real position.
    """

    def __init__(self, settings: BiMamba, *, reverse: bool):
        super().__init__()
        inner, states = settings.expansion * settings.width, settings.states
        self.rank = math.ceil(settings.width / 16)
        self.reverse = reverse
        self.conv1d = nn.Conv1d(inner, inner, settings.kernel, groups=inner)
        self.x_proj = nn.Linear(inner, self.rank + 2 * states, bias=False)
        self.dt_proj = nn.Linear(self.rank, inner)
        self.A_log = nn.Parameter(torch.arange(1.0, states + 1).log().repeat(inner, 1))
        self.D = nn.Parameter(torch.ones(inner))

    def forward(
        self, x: Float[Tensor, "B L E"], z: Float[Tensor, "B L E"], inside: Float[Tensor, "B L 1"]
    ) -> Float[Tensor, "B L E"]:
        x = F.silu(self.causal(x)) * inside
        low_rank, B, C = self.x_proj(x).split([self.rank, *[self.A_log.shape[1]] * 2], -1)
        step = F.linear(low_rank, self.dt_proj.weight)
        x, step, z, B, C = (part.transpose(1, 2) for part in (x, step, z, B, C))
        A = -torch.exp(self.A_log)
        y = selective_scan(x, step, A, B, C, self.D, z, self.dt_proj.bias, True, reverse=self.reverse)
        return y.transpose(1, 2)

    def causal(self, x: Float[Tensor, "B L E"]) -> Float[Tensor, "B L E"]:
        """Each position with the `kernel - 1` before it in the direction of reading, channels last."""
        past, weight = self.conv1d.kernel_size[0] - 1, self.conv1d.weight
        x = F.pad(x, (0, 0, 0, past) if self.reverse else (0, 0, past, 0))
        kernel = (weight.flip(-1) if self.reverse else weight).unsqueeze(2)
        image = F.conv2d(x.transpose(1, 2).unsqueeze(2), kernel, self.conv1d.bias, groups=len(weight))
        return image.squeeze(2).transpose(1, 2)
