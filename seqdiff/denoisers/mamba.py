"""Mamba read in both directions, or in one: a selective state space from the left, one from the right.

Parameter names and shapes are mamba-ssm's (Mamba-1), so that weights move freely; the two directions share
in_proj and out_proj, which are computed once and stored once.
"""

import math
from collections.abc import Mapping
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor, nn

from seqdiff.denoisers.denoiser import Denoiser, Network
from seqdiff.denoisers.layers import initialise
from seqdiff.denoisers.reader import Memory
from seqdiff.denoisers.residual import EPSILON, add_norm
from seqdiff.denoisers.scan import Direction, mix, selective_scan


class BiMamba(Network):
    """What every network of Mamba layers is made of."""

    width: Annotated[int, Field(ge=1)] = 128
    """Channels of the residual stream."""
    depth: Annotated[int, Field(ge=1)] = 4
    """Layers, each of which reads both ways; left to right it reads one."""
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
    """A Mamba network (Gu & Dao 2023, arXiv:2312.00752) for any alphabet, in both directions unless it is causal. Cost
    is linear in length."""

    kind: Literal["mamba"] = "mamba"
    causal: bool = False
    """Whether a position sees the letters before it alone: a network for left-to-right models."""

    @property
    def left_to_right(self) -> bool:
        return self.causal

    def build(self, symbols: int, context: int | None = None) -> "MambaDenoiser":
        """A freshly initialised network over `symbols` symbols."""
        return MambaDenoiser(self, symbols)


class MambaDenoiser(Denoiser):
    """The network of `Mamba`."""

    pads_leave_no_trace = True

    def __init__(self, settings: BiMamba, symbols: int):
        super().__init__(
            symbols, settings.width, tie_embedding=settings.tie_embedding, left_to_right=settings.left_to_right
        )
        self.layers = nn.ModuleList(Layer(settings) for _ in range(settings.depth))
        self.norm_f = nn.RMSNorm(settings.width, eps=EPSILON)
        initialise(self, settings.depth)

    def trunk(self, h: Float[Tensor, "B L D"], present: Bool[Tensor, "B L"], time: None) -> Float[Tensor, "B L D"]:
        inside = pads(present, h.dtype)
        stream = None
        for layer in self.layers:
            h, stream = self.through(layer, h, stream, inside)
        return add_norm(h, stream, self.norm_f.weight)[0]

    def step(
        self, h: Float[Tensor, "B n D"], place: int, memories: Mapping[int, Memory], time: None
    ) -> Float[Tensor, "B n D"]:
        stream = None
        for number, layer in enumerate(self.layers):
            h, stream = layer(h, stream, None, memories[number])
        return add_norm(h, stream, self.norm_f.weight)[0]


class Layer(nn.Module):
    """The residual stream with the update before added, and the next update: mixer(norm(stream))."""

    def __init__(self, settings: BiMamba):
        super().__init__()
        self.norm = nn.RMSNorm(settings.width, eps=EPSILON)
        self.mixer = Mixer(settings)

    def forward(
        self,
        update: Float[Tensor, "B L D"],
        stream: Float[Tensor, "B L D"] | None,
        inside: Float[Tensor, "B L 1"] | None,
        memory: Memory | None = None,
    ) -> tuple[Float[Tensor, "B L D"], Float[Tensor, "B L D"]]:
        h, stream = add_norm(update, stream, self.norm.weight)
        return self.mixer(h, inside) if memory is None else self.mixer.step(h, memory), stream


class Mixer(nn.Module):
    """fwd(h) + flip(rev(flip h)): the sum of both directions, without a flip; left to right fwd(h) alone.

    Schiff et al. 2024 (Caduceus, arXiv:2403.03234), sec. 3.1 "BiMamba". The directions share in_proj and out_proj,
    which are linear, so each is computed once.
    """

    def __init__(self, settings: BiMamba):
        super().__init__()
        inner = settings.expansion * settings.width
        self.in_proj = nn.Linear(settings.width, 2 * inner, bias=False)
        self.mamba_fwd = Mamba1(settings)
        self.mamba_rev = None if settings.left_to_right else Mamba1(settings)
        self.out_proj = nn.Linear(inner, settings.width, bias=False)

    def forward(self, h: Float[Tensor, "B L D"], inside: Float[Tensor, "B L 1"] | None) -> Float[Tensor, "B L D"]:
        backward = None if self.mamba_rev is None else self.mamba_rev.direction()
        return mix(self.in_proj(h), inside, self.mamba_fwd.direction(), backward, self.out_proj.weight)

    def step(self, h: Float[Tensor, "B n D"], memory: Memory) -> Float[Tensor, "B n D"]:
        """The next positions from the left, with the state and the last letters of those before."""
        way = self.mamba_fwd.direction()
        x, z = self.in_proj(h).transpose(1, 2).chunk(2, 1)
        taps = way.conv_weight.shape[-1]
        if "letters" not in memory.of_rows:
            memory.of_rows["letters"] = x.new_zeros(*x.shape[:2], taps - 1)
        x = memory.extended("letters", x, 2, most=taps - 1).unfold(2, taps, 1) * way.conv_weight
        x = F.silu(x.sum(3) + way.conv_bias[:, None])
        low, B, C = F.linear(x.mT, way.x_proj).split(way.sizes, -1)
        y, memory.of_rows["state"] = selective_scan(
            x, F.linear(low, way.dt_proj).mT, way.A, B.mT, C.mT, way.D, z, way.dt_bias, True,
            initial_state=memory.of_rows.get("state"), return_last_state=True,
        )  # fmt: skip
        return self.out_proj(y.mT)


class Mamba1(nn.Module):
    """What a direction has of its own: causal convolution, step sizes and B, C from x, decay rates, skip."""

    def __init__(self, settings: BiMamba):
        super().__init__()
        inner, states = settings.expansion * settings.width, settings.states
        rank = math.ceil(settings.width / 16)
        self.conv1d = nn.Conv1d(inner, inner, settings.kernel, groups=inner)
        self.x_proj = nn.Linear(inner, rank + 2 * states, bias=False)
        self.dt_proj = nn.Linear(rank, inner)
        self.A_log = nn.Parameter(torch.arange(1.0, states + 1).log().repeat(inner, 1))
        self.D = nn.Parameter(torch.ones(inner))

    def direction(self) -> Direction:
        """The parameters as the scan takes them."""
        conv, steps = self.conv1d, self.dt_proj
        return Direction(conv.weight, conv.bias, self.x_proj.weight, steps.weight, steps.bias, self.A_log, self.D)


def pads(present: Bool[Tensor, "B L"], dtype: torch.dtype) -> Float[Tensor, "B L 1"] | None:
    """1 at real positions and 0 at pads, or None without pads, where that can be known without waiting."""
    if present.device.type == "cpu" and not torch.compiler.is_compiling() and present.all():
        return None
    return present.unsqueeze(-1).to(dtype)
