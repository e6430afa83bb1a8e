"""Layers that networks share, and the one function that says how a network starts."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

STEP_RANGE = (1e-3, 1e-1)
"""Mamba's first step sizes are log-uniform between these (Gu & Dao 2023, arXiv:2312.00752, sec. 3.6)."""


def initialise(network: nn.Module, additions: int) -> None:
    """Set the first weights of a network in whose residual stream `additions` layers add up.

    - embeddings: N(0, .02);
    - a layer named `out_proj` writes into the residual stream: kaiming-uniform(a = sqrt 5), which is torch's
      own start, divided by sqrt(additions) (Radford et al. 2019; the public Caduceus does the same);
    - `modulation`, what time does to a layer: zero (Peebles & Xie 2022, arXiv:2212.09748, adaLN-Zero);
    - `dt_proj`, Mamba's step sizes: weight U(-r, r) with r = rank^-1/2, bias such that softplus(bias) is
      log-uniform in `STEP_RANGE`;
    - all else keeps torch's start. Heads, A_log and D have a fixed one where they are defined.

    Draws from torch's global generator, which training seeds.
    """
    for name, module in network.named_modules():
        match name.rpartition(".")[2]:
            case "out_proj":
                with torch.no_grad():
                    module.weight /= math.sqrt(additions)
            case "modulation":
                nn.init.zeros_(module.weight)
                nn.init.zeros_(module.bias)
            case "dt_proj":
                nn.init.uniform_(module.weight, -(module.in_features**-0.5), module.in_features**-0.5)
                low, high = map(math.log, STEP_RANGE)
                step = torch.empty_like(module.bias).uniform_(low, high).exp()
                with torch.no_grad():
                    module.bias.copy_(step + torch.log(-torch.expm1(-step)))
        if isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=0.02)


class SwiGLU(nn.Module):
    """out_proj(silu(gate x) * up x) (Shazeer 2020, arXiv:2002.05202, eq. 6)."""

    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.in_proj = nn.Linear(width, 2 * hidden, bias=False)
        self.out_proj = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Float[Tensor, "*B D"]) -> Float[Tensor, "*B D"]:
        gate, up = self.in_proj(x).chunk(2, -1)
        return self.out_proj(F.silu(gate) * up)


def rotary_angles(length: int, width: int, like: Tensor) -> tuple[Float[Tensor, "L H"], Float[Tensor, "L H"]]:
    """Cosine and sine of position times frequency, H = width / 2 frequencies from 1 down to 1/10,000.

    Su et al. 2021, arXiv:2104.09864, eq. 15; computed in float32 at least.
    """
    dtype = torch.promote_types(like.dtype, torch.float32)
    frequency = 1e4 ** -(torch.arange(0, width, 2, device=like.device, dtype=dtype) / width)
    angle = torch.arange(length, device=like.device, dtype=dtype)[:, None] * frequency
    return angle.cos(), angle.sin()


def rotate(
    x: Float[Tensor, "B heads L W"], angles: tuple[Float[Tensor, "L H"], Float[Tensor, "L H"]]
) -> Float[Tensor, "B heads L W"]:
    """Turn the pairs (x_i, x_{i + W/2}) by their angle, so that products see relative positions only.

    Su et al. 2021, arXiv:2104.09864, eq. 34, with halves in place of neighbours as pairs.
    """
    cosine, sine = angles
    first, second = x.chunk(2, -1)
    turned = torch.cat([first * cosine - second * sine, second * cosine + first * sine], -1)
    return turned.to(x.dtype)


class TimeEmbedding(nn.Module):
    """Time in [0, 1] as sines and cosines of many frequencies, then two linear layers.

    Frequencies of 1,000 t as in Peebles & Xie 2022 (arXiv:2212.09748).
    """

    def __init__(self, width: int, waves: int = 128):
        super().__init__()
        self.waves = waves
        self.first = nn.Linear(2 * waves, width)
        self.second = nn.Linear(width, width)

    def forward(self, time: Float[Tensor, "B"]) -> Float[Tensor, "B D"]:
        dtype = self.first.weight.dtype
        ladder = torch.arange(self.waves, device=time.device, dtype=torch.float64) / self.waves
        angle = 1000 * time.double()[:, None] * 1e4**-ladder
        return self.second(F.silu(self.first(torch.cat([angle.cos(), angle.sin()], -1).to(dtype))))
