"""The selective scan and the layer around it on CPUs: the fused kernels as torch operators with gradients.

float32 inside, whatever comes in. Operators are of torch.library, so that torch.compile sees one node each; the
backward passes are written by hand, since what surrounds the kernels (projections, sums over directions) is cheaper
computed in place than by autograd. There are first derivatives only.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from seqdiff.denoisers.kernels import convolution
from seqdiff.denoisers.scan import fused, reference
from seqdiff.denoisers.scan.reference import Direction


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
    """What `seqdiff.denoisers.scan.selective_scan` says, by the fused kernels."""
    tensors = [u, delta, A, B, C, D, z, delta_bias, initial_state]
    keep = torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors)
    with torch.autocast("cpu", enabled=False):
        x, step, A, B, C, D, gates, bias, state = (t if t is None else t.float() for t in tensors)
        x, step, B, C = (t.transpose(1, 2) for t in (x, step, B, C))
        gates = None if gates is None else gates.transpose(1, 2)
        out, last, *_ = torch.ops.seqdiff.fused_scan(
            x, step, A, B, C, D, gates, bias, state, delta_softplus, reverse, keep
        )
    out = out.transpose(1, 2).to(u.dtype)
    return (out, last) if return_last_state else out


def mix(
    xz: Float[Tensor, "B L 2*E"],
    inside: Float[Tensor, "B L 1"] | None,
    forward: Direction,
    backward: Direction | None,
    out_proj: Float[Tensor, "W E"],
) -> Float[Tensor, "B L W"]:
    """What `seqdiff.denoisers.scan.mix` says, by the fused kernels; with more taps than they know, the scan alone."""
    if forward.conv_weight.shape[-1] > convolution.TAPS:
        return reference.mix(xz, inside, forward, backward, out_proj, scan=selective_scan)
    parameters = [*forward, *(backward or [None] * len(forward))]
    keep = torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in (xz, *parameters))
    with torch.autocast("cpu", enabled=False):
        full = [t if t is None else t.float() for t in (xz, inside, *parameters)]
        y, *_ = torch.ops.seqdiff.fused_mix(*full, keep)
    return F.linear(y.to(xz.dtype), out_proj)


@torch.library.custom_op(
    "seqdiff::fused_scan",
    mutates_args=(),
    device_types="cpu",
    schema="(Tensor u, Tensor delta, Tensor A, Tensor B, Tensor C, Tensor? D, Tensor? z, Tensor? bias, Tensor? state,"
    " bool soft, bool reverse, bool keep) -> (Tensor, Tensor, Tensor, Tensor)",
)
def fused_scan(u, delta, A, B, C, D, z, bias, state, soft, reverse, keep):
    """The gated output (rows, L, D), the last state, and for the backward pass the kept states and the output before
    the gate. u, delta, z (rows, L, D); A (D, N); B, C (rows, L, N); state (rows, D, N)."""
    u, delta, B, C = map(fused.inner, (u, delta, B, C))
    y, kept, last = fused.scan_forward(u, delta, A, B, C, D, bias, None, soft, reverse, keep, state, ends=True)
    if z is None:
        return y, last, kept, y.new_empty(0)
    out = torch.empty_like(y)
    fused.gated(y, None, fused.inner(z), out)
    return out, last, kept, y if keep else y.new_empty(0)


@torch.library.custom_op(
    "seqdiff::fused_scan_backward",
    mutates_args=(),
    device_types="cpu",
    schema="(Tensor u, Tensor delta, Tensor A, Tensor B, Tensor C, Tensor? D, Tensor? z, Tensor? bias, Tensor kept,"
    " Tensor y, Tensor? dout, Tensor? dlast, bool soft, bool reverse)"
    " -> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)",
)
def fused_scan_backward(u, delta, A, B, C, D, z, bias, kept, y, dout, dlast, soft, reverse):
    """Gradients of u, delta, A, B, C, D, z, bias and the initial state."""
    dout = torch.zeros_like(u) if dout is None else dout
    u, delta, B, C, dout = map(fused.inner, (u, delta, B, C, dout))
    dz = u.new_empty(0)
    if z is not None:
        dz = torch.empty_like(y)
        dout = fused.gated_back(dout, y, fused.inner(z), dz)
    du, ddelta, lines, dA, dD, dbias, _, dstate = fused.scan_backward(
        u, delta, A, B, C, D, bias, None, soft, reverse, kept, dout, dlast, ends=True
    )
    dB, dC = (part.clone() for part in lines.chunk(2, -1))
    return du, ddelta, dA.contiguous(), dB, dC, dD.contiguous(), dz, dbias.contiguous(), dstate.contiguous()


_MIX = ", ".join(
    f"{kind} {name}_{way}"
    for way, kind in (("f", "Tensor"), ("b", "Tensor?"))
    for name in ("conv", "cb", "x", "dt", "db", "A", "D")
)


@torch.library.custom_op(
    "seqdiff::fused_mix",
    mutates_args=(),
    device_types="cpu",
    schema=f"(Tensor xz, Tensor? inside, {_MIX}, bool keep)" + " -> (" + ", ".join(["Tensor"] * 9) + ")",
)
def fused_mix(xz, inside, *rest):
    """y (rows, L, E) before out_proj, and for the backward pass: x, the sum before the gate, and of each direction the
    convolved x, [dt | B | C], and the kept states, which are empty of a direction that there is not."""
    *parameters, keep = rest
    xz = xz.contiguous()
    x, z = xz.chunk(2, -1)
    if inside is not None:
        x = x * inside
    ways = _ways(parameters)
    entering = fused.convolved(x, inside, *ways)
    (first, *saved), *other = [
        fused.one_way(u, way, bool(reverse), keep) for reverse, (u, way) in enumerate(zip(entering, ways, strict=True))
    ]
    second, *saved_too = other[0] if other else (None, *(x.new_empty(0) for _ in saved))
    out = torch.empty_like(first)
    fused.gated(first, second, z, out)
    if not keep:
        return out, *(out.new_empty(0) for _ in range(8))
    return out, x.new_empty(0) if inside is None else x, first, *saved, *saved_too


@torch.library.custom_op(
    "seqdiff::fused_mix_backward",
    mutates_args=(),
    device_types="cpu",
    schema=f"(Tensor dout, Tensor xz, Tensor? inside, {_MIX}, Tensor x, Tensor y, Tensor uf, Tensor lf, Tensor kf,"
    " Tensor ub, Tensor lb, Tensor kb) -> (" + ", ".join(["Tensor"] * 15) + ")",
)
def fused_mix_backward(dout, xz, inside, *rest):
    """Gradients of xz and of the parameters of both directions, empty where there is none."""
    parameters, (x, y, *saved) = rest[:14], rest[14:]
    ways = _ways(parameters)
    xz = xz.contiguous()
    if inside is None:
        x = xz.chunk(2, -1)[0]
    dxz = xz.new_empty(xz.shape)
    dx, dz = dxz.chunk(2, -1)
    dy = fused.gated_back(fused.inner(dout), y, xz.chunk(2, -1)[1], dz)
    back = [fused.one_way_back(dy, way, *saved[3 * i :][:3], bool(i)) for i, way in enumerate(ways)]
    dus = [du if inside is None else du.mul_(inside) for du, *_ in back]
    convolutions = fused.convolved_back(x, dus, dx, *ways)
    if inside is not None:
        dx *= inside
    gradients = []
    for of_convolution, (_, *of_scan) in zip(convolutions, back, strict=True):
        gradients += [*of_convolution, *of_scan]
    return dxz, *gradients, *(xz.new_empty(0) for _ in parameters[len(gradients) :])


@fused_scan.register_fake
def _(u, delta, A, B, C, D, z, bias, state, soft, reverse, keep):
    layout = fused.layout_of(u, A, None)
    out = u.new_empty(u.shape)
    kept = u.new_empty((layout.rows, layout.chunks, *layout.square) if keep else 0)
    return out, u.new_empty(u.shape[0], *A.shape), kept, u.new_empty(u.shape if keep and z is not None else 0)


@fused_scan_backward.register_fake
def _(u, delta, A, B, C, D, z, bias, kept, y, dout, dlast, soft, reverse):
    like = [u.new_empty(t.shape) for t in (u, delta, A, B, C)]
    wide = u.new_empty(u.shape[-1])
    gates = u.new_empty(u.shape if z is not None else 0)
    return *like, wide, gates, torch.empty_like(wide), u.new_empty(u.shape[0], *A.shape)


@fused_mix.register_fake
def _(xz, inside, *rest):
    *parameters, keep = rest
    y = xz.new_empty(*xz.shape[:2], xz.shape[2] // 2)
    if not keep:
        return y, *(xz.new_empty(0) for _ in range(8))
    saved = []
    for direction in _ways(parameters):
        layout = fused.layout_of(y, direction.A_log, direction.dt_proj)
        lines = y.new_empty(*y.shape[:2], sum(direction.sizes))
        saved += [torch.empty_like(y), lines, y.new_empty(layout.rows, layout.chunks, *layout.square)]
    saved += [y.new_empty(0) for _ in range(6 - len(saved))]
    return y, y.new_empty(y.shape if inside is not None else 0), torch.empty_like(y), *saved


@fused_mix_backward.register_fake
def _(dout, xz, inside, *rest):
    return xz.new_empty(xz.shape), *(xz.new_empty(0 if t is None else t.shape) for t in rest[:14])


def _ways(parameters) -> list[Direction]:
    """The directions that there are: from the left, and from the right where it has parameters."""
    ways = parameters[:7], parameters[7:14]
    return [Direction(*way) for way in ways if way[0] is not None]


def _keep_scan(ctx, inputs, output):
    ctx.set_materialize_grads(False)
    *tensors, _, ctx.soft, ctx.reverse, _ = inputs
    ctx.save_for_backward(*tensors, output[2], output[3])


def _scan_gradients(ctx, dout, dlast, *_):
    *tensors, kept, y = ctx.saved_tensors
    gradients = torch.ops.seqdiff.fused_scan_backward(*tensors, kept, y, dout, dlast, ctx.soft, ctx.reverse)
    needed = zip(gradients, ctx.needs_input_grad)
    return *(gradient if needs else None for gradient, needs in needed), None, None, None


fused_scan.register_autograd(_scan_gradients, setup_context=_keep_scan)


def _keep_mix(ctx, inputs, output):
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*inputs[:-1], *output[1:])


def _mix_gradients(ctx, dout, *_):
    with torch.autocast("cpu", enabled=False):
        dxz, *gradients = torch.ops.seqdiff.fused_mix_backward(dout, *ctx.saved_tensors)
    needed = ctx.needs_input_grad[2:-1]
    return dxz, None, *(gradient if needs else None for gradient, needs in zip(gradients, needed, strict=True)), None


fused_mix.register_autograd(_mix_gradients, setup_context=_keep_mix)
