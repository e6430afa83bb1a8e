"""Caduceus PS as its authors published it: the rival of the benchmark and the oracle of the tests.

Schiff et al. 2024 (arXiv:2403.03234), sec. 3.2, laid out like modeling_caduceus.py and modeling_rcps.py of their
code. Channels are doubled and the second half is the reverse complement of the first; every norm, every mixer and
the head flip that half to read it and flip it back. A mixer is two whole Mambas a strand, one of which reads the
flipped sequence; they share the weights of in_proj and out_proj but each multiplies with them for itself.

The weights are those of a network of ours, whose names and shapes are theirs.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

COMPLEMENT = [3, 2, 1, 0, 4, 5]
"""The complement of each input id: A, C, G, T, mask, pad."""

Scan = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]
"""x (B, L, E), delta (B, L, E) after softplus, A (E, N), B (B, L, N), C (B, L, N), D (E) -> y (B, L, E) before the
gate: `MambaBlock.selective_scan` of mambapy, less its self."""


def sequential(x: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
    """The scan by its definition, a step at a time."""
    state, y = 0, []
    # Unbound, not indexed: the gradient of every x[:, t] would be as large as x.
    for x_t, delta_t, B_t, C_t in zip(*(one.unbind(1) for one in (x, delta, B, C)), strict=True):
        state = torch.exp(delta_t[..., None] * A) * state + (delta_t * x_t)[..., None] * B_t[:, None]
        y.append((state @ C_t[..., None]).squeeze(-1))
    return torch.stack(y, 1) + D * x


def published_ps(network: nn.Module, tokens: Tensor, scan: Scan, *, fused: bool = False) -> Tensor:
    """Logits (B, L, 4) for tokens (B, L). `fused` is their `fused_add_norm`, whose block swaps the halves."""
    complement = torch.tensor(COMPLEMENT, device=tokens.device)
    embedding, head = network.embedding.weight, network.head.weight
    hidden = torch.cat([embedding[tokens], reverse_complement(embedding[complement[tokens.flip(1)]])], -1)
    residual = torch.zeros_like(hidden)
    for layer in network.layers:
        first, second = (residual + hidden).chunk(2, -1)
        if fused:
            first, second = second, first
        residual = torch.cat([first, second], -1)
        normed = both_strands(lambda h, norm=layer.norm: rms_norm(h, norm.weight), residual)
        hidden = both_strands(lambda h, mixer=layer.mixer: bimamba(h, mixer, scan), normed)
    final = both_strands(lambda h: rms_norm(h, network.norm_f.weight), residual + hidden)
    first, second = final.chunk(2, -1)
    return F.linear(first, head) + F.linear(second.flip(-1), head[complement[:4]])


def reverse_complement(h: Tensor) -> Tensor:
    """Of hidden states (B, L, D): the order of positions and of channels turned round."""
    return h.flip(-2, -1)


def both_strands(part: Callable[[Tensor], Tensor], h: Tensor) -> Tensor:
    """`part` of the first half of the channels and, flipped there and back, of the second."""
    first, second = h.chunk(2, -1)
    return torch.cat([part(first), reverse_complement(part(reverse_complement(second)))], -1)


def rms_norm(h: Tensor, weight: Tensor) -> Tensor:
    return F.rms_norm(h, weight.shape, weight, eps=1e-5)


def bimamba(h: Tensor, mixer: nn.Module, scan: Scan) -> Tensor:
    """The tied mixer: one Mamba on the sequence, another on its mirror image, added."""
    return mamba(h, mixer, mixer.mamba_fwd, scan) + mamba(h.flip(1), mixer, mixer.mamba_rev, scan).flip(1)


def mamba(h: Tensor, mixer: nn.Module, direction: nn.Module, scan: Scan) -> Tensor:
    """Mamba-1 from in_proj to out_proj, line by line the forward of mambapy's MambaBlock."""
    x, z = F.linear(h, mixer.in_proj.weight).chunk(2, -1)
    weight, bias = direction.conv1d.weight, direction.conv1d.bias
    x = F.conv1d(x.transpose(1, 2), weight, bias, padding=weight.shape[-1] - 1, groups=len(weight))
    x = F.silu(x[..., : h.shape[1]].transpose(1, 2))
    states = direction.A_log.shape[1]
    low_rank, B, C = F.linear(x, direction.x_proj.weight).split([direction.dt_proj.weight.shape[1], states, states], -1)
    delta = (direction.dt_proj.weight @ low_rank.transpose(1, 2)).transpose(1, 2)
    delta = F.softplus(delta + direction.dt_proj.bias)
    y = scan(x, delta, -torch.exp(direction.A_log), B, C, direction.D)
    return F.linear(y * F.silu(z), mixer.out_proj.weight)
