"""The selective scan of Mamba: one function, whichever path computes it."""

from jaxtyping import Float
from torch import Tensor

from seqdiff.denoisers.scan import reference

__all__ = ["selective_scan"]


def selective_scan(
    u: Float[Tensor, "B D L"],
    delta: Float[Tensor, "B D L"],
    A: Float[Tensor, "D N"],
    B: Float[Tensor, "B N L"],
    C: Float[Tensor, "B N L"],
    D: Float[Tensor, "D"] | None = None,
    z: Float[Tensor, "B D L"] | None = None,
    delta_bias: Float[Tensor, "D"] | None = None,
    delta_softplus: bool = False,
    *,
    reverse: bool = False,
) -> Float[Tensor, "B D L"]:
    """Scan a sequence with a state that chooses what it keeps.

    With d_t = softplus(delta_t + delta_bias) (or without softplus or bias), for every channel and N states:

        h_t = exp(d_t A) h_{t-1} + d_t u_t B_t          (h_0 = 0)
        y_t = sum over states of C_t h_t  +  D u_t,     times silu(z_t)

    (Gu & Dao 2023, arXiv:2312.00752, eqs. 2a, 2b and 4). Arguments mean what they mean in mamba-ssm's
    `selective_scan_fn`, for input-dependent B and C shared by all channels. `reverse` scans from the last
    position to the first, and nothing needs to be flipped. Tensors may be views in any layout; memory
    ordered (B, L, D) is the fast one.

    >>> import torch
    >>> one = torch.ones(1, 1, 3)
    >>> selective_scan(one, one, torch.zeros(1, 1), one, one).tolist()
    [[[1.0, 2.0, 3.0]]]
    >>> selective_scan(one, one, torch.zeros(1, 1), one, one, reverse=True).tolist()
    [[[3.0, 2.0, 1.0]]]
    """
    return reference.selective_scan(u, delta, A, B, C, D, z, delta_bias, delta_softplus, reverse=reverse)
