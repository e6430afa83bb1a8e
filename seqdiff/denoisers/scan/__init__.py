"""The selective scan of Mamba and the layer around it: one function each, whichever path computes them."""

from types import ModuleType

from jaxtyping import Float
from torch import Tensor

from seqdiff.denoisers import paths
from seqdiff.denoisers.scan import reference
from seqdiff.denoisers.scan.reference import Direction

__all__ = ["Direction", "mix", "selective_scan"]


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
    initial_state: Float[Tensor, "B D N"] | None = None,
    return_last_state: bool = False,
) -> Float[Tensor, "B D L"] | tuple[Float[Tensor, "B D L"], Float[Tensor, "B D N"]]:
    """Scan a sequence with a state that chooses what it keeps.

    With d_t = softplus(delta_t + delta_bias) (or without softplus or bias), for every channel and N states:

        h_t = exp(d_t A) h_{t-1} + d_t u_t B_t          (h_0 = initial_state, or 0)
        y_t = sum over states of C_t h_t  +  D u_t,     times silu(z_t)

    (Gu & Dao 2023, arXiv:2312.00752, eqs. 2a, 2b and 4). Arguments mean what they mean in mamba-ssm's
    `selective_scan_fn`, for input-dependent B and C shared by all channels. `reverse` scans from the last
    position to the first, and nothing needs to be flipped. With `return_last_state` the answer is (y, the state
    after the last step of the scan); given as the next call's `initial_state`, a long sequence can be scanned
    piece by piece. Gradients flow through both, first derivatives only. The answer has the type of u; the state is
    float32 at least. Tensors may be views in any layout; memory ordered (B, L, D) is the fast one on CPUs. Raises
    ValueError where the sizes do not fit.

    >>> import torch
    >>> one = torch.ones(1, 1, 3)
    >>> selective_scan(one, one, torch.zeros(1, 1), one, one).tolist()
    [[[1.0, 2.0, 3.0]]]
    >>> selective_scan(one, one, torch.zeros(1, 1), one, one, reverse=True).tolist()
    [[[3.0, 2.0, 1.0]]]
    """
    (rows, channels, length), states = u.shape, A.shape[1]
    _fit(
        delta=(delta, u.shape), A=(A, (channels, states)), B=(B, (rows, states, length)), C=(C, (rows, states, length)),
        D=(D, (channels,)), z=(z, u.shape), delta_bias=(delta_bias, (channels,)),
        initial_state=(initial_state, (rows, channels, states)),
    )  # fmt: skip
    return _path(u).selective_scan(
        u, delta, A, B, C, D, z, delta_bias, delta_softplus,
        reverse=reverse, initial_state=initial_state, return_last_state=return_last_state,
    )  # fmt: skip


def mix(
    xz: Float[Tensor, "B L 2*E"],
    inside: Float[Tensor, "B L 1"] | None,
    forward: Direction,
    backward: Direction | None,
    out_proj: Float[Tensor, "W E"],
) -> Float[Tensor, "B L W"]:
    """Mix along a sequence, from the left and from the right: a bidirectional Mamba layer after its in_proj.

    Without `backward` from the left alone: a Mamba layer. In each direction, for x, z the halves of xz:

        x' = silu(causal convolution of x)      dt, B, C = x_proj x'      y = selective_scan(x', dt_proj dt, ..., z)

    and y, the sum of both, goes through out_proj once. `inside` is 1 at real positions and 0 at pads: there x is
    set to zero before and after the convolution, so that states stay exactly zero up to the first real position;
    None says that there are no pads.
    """
    inner = xz.shape[2] // 2
    _fit(inside=(inside, (*xz.shape[:2], 1)), out_proj=(out_proj, (out_proj.shape[0], inner)))
    for way in (forward,) if backward is None else (forward, backward):
        taps, (_, rank), (_, states) = way.conv_weight.shape[-1], way.dt_proj.shape, way.A_log.shape
        sizes = (
            (inner, 1, taps),
            (inner,),
            (rank + 2 * states, inner),
            (inner, rank),
            (inner,),
            (inner, states),
            (inner,),
        )
        _fit(**{name: (tensor, size) for name, tensor, size in zip(way._fields, way, sizes, strict=True)})
    return _path(xz).mix(xz, inside, forward, backward, out_proj)


def _fit(**given: tuple[Tensor | None, tuple[int, ...]]) -> None:
    """Raise ValueError for a tensor of another size than it should have: the kernels see addresses alone."""
    for name, (tensor, size) in given.items():
        if tensor is not None and tensor.shape != size:
            raise ValueError(f"{name} has size {tuple(tensor.shape)} where {tuple(size)} fits the others")


def _path(tensor: Tensor) -> ModuleType:
    """The module that computes for such a tensor."""
    match paths.choose(tensor.device, tensor.dtype).name:
        case "cpu":
            from seqdiff.denoisers.scan import cpu

            return cpu
        case "cuda":
            from seqdiff.denoisers.scan import cuda

            return cuda
        case _:
            return reference
