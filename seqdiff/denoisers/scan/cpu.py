"""The selective scan and the layer around it on CPUs: the fused kernels as torch operators with gradients.

float32 inside, whatever comes in. Operators are of torch.library, so that torch.compile sees one node each; the
backward passes are written by hand, since what surrounds the kernels (projections, sums over directions) is cheaper
computed in place than by autograd. Results do not depend on the number of threads.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from seqdiff.denoisers.kernels import convolution, gate
from seqdiff.denoisers.kernels import scan as kernels
from seqdiff.denoisers.kernels.launch import run
from seqdiff.denoisers.scan import reference
from seqdiff.denoisers.scan.reference import Direction

TASKS = 16
"""Pieces that the channels of few rows are cut into, at least: what many threads can share."""


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
    backward: Direction,
    out_proj: Float[Tensor, "W E"],
) -> Float[Tensor, "B L W"]:
    """What `seqdiff.denoisers.scan.mix` says, by the fused kernels; a convolution of many taps in plain torch."""
    if forward.conv_weight.shape[-1] > convolution.TAPS:
        return reference.mix(xz, inside, forward, backward, out_proj)
    parameters = [*forward, *backward]
    keep = torch.is_grad_enabled() and any(t.requires_grad for t in (xz, *parameters))
    with torch.autocast("cpu", enabled=False):
        full = [t if t is None else t.float() for t in (xz, inside, *parameters)]
        y, *_ = torch.ops.seqdiff.fused_mix(*full, keep)
    return F.linear(y.to(xz.dtype), out_proj)


class Layout(NamedTuple):
    """How a scan is cut: rows and positions, channels in blocks, blocks in groups, states and steps padded."""

    rows: int
    length: int
    channels: int
    states: int
    rank: int

    @property
    def blocks(self) -> int:
        return -(-self.channels // kernels.CHANNELS)

    @property
    def groups(self) -> int:
        return max(1, min(self.blocks, -(-TASKS // self.rows)))

    @property
    def all_states(self) -> int:
        return -(-self.states // kernels.TOGETHER) * kernels.TOGETHER

    @property
    def chunks(self) -> int:
        return -(-self.length // kernels.STEPS)

    @property
    def square(self) -> tuple[int, int, int]:
        """The state of one row: (blocks, states, CHANNELS)."""
        return self.blocks, self.all_states, kernels.CHANNELS

    def blocked(self, x: Float[Tensor, "*B D n"], size: int) -> Float[Tensor, "*B blocks size CHANNELS"]:
        """Channels in blocks and innermost, both padded with zeros."""
        x = F.pad(x, (0, size - x.shape[-1], 0, self.blocks * kernels.CHANNELS - self.channels))
        return x.unflatten(-2, (self.blocks, kernels.CHANNELS)).transpose(-1, -2).contiguous()

    def unblocked(self, x: Float[Tensor, "*B blocks size CHANNELS"], size: int) -> Float[Tensor, "*B D n"]:
        """The way back."""
        return x.transpose(-1, -2).flatten(-3, -2)[..., : self.channels, :size]


def scan_forward(u, delta, A, B, C, D, bias, W, state, soft, reverse, keep):
    """y (rows, L, D), the last state (rows, D, N), and the state before each chunk, none unless `keep`.

    delta is (rows, L, D), or (rows, L, R) with W (D, R), whose product is the step. Innermost strides are 1.
    """
    layout = _layout(u, A, W)
    square = layout.square
    y = u.new_empty(u.shape)
    last = u.new_empty(layout.rows, *square)
    kept = u.new_empty((layout.rows, layout.chunks, *square) if keep else 0)
    rates, w, skip, bias = _blocked_parameters(layout, A, W, D, bias)
    initial = None if state is None else layout.blocked(state, layout.all_states)
    run(
        kernels.forward,
        layout.rows * layout.groups,
        kernels.forward_scratch(-(-layout.blocks // layout.groups), layout.all_states),
        layout.groups, layout.length, layout.channels, layout.states, layout.all_states, layout.rank, int(soft),
        int(reverse), *_rows(u), *_rows(delta), *_rows(B), *_rows(C), rates, w, bias, skip, initial, y, last,
        kept if keep else None,
    )  # fmt: skip
    return y, layout.unblocked(last, layout.states).contiguous(), kept


def scan_backward(u, delta, A, B, C, D, bias, W, kept, dy, dlast, soft, reverse):
    """Gradients (u, delta or None, [dt | B | C] in rows of R + 2N, A, D, bias, W or None, the initial state)."""
    layout = _layout(u, A, W)
    rows, blocks, groups, rank = layout.rows, layout.blocks, layout.groups, layout.rank
    square = layout.square
    du = u.new_empty(u.shape)
    ddelta = u.new_empty(u.shape) if W is None else None
    dlines = u.new_empty(groups, rows, layout.length, rank + 2 * layout.states)
    drates = u.new_empty(rows, *square)
    dw = u.new_empty(rows, blocks, rank, kernels.CHANNELS)
    dskip, dbias = u.new_empty(2, rows, blocks, 1, kernels.CHANNELS)
    dinitial = u.new_empty(rows, *square)
    rates, w, skip, bias = _blocked_parameters(layout, A, W, D, bias)
    last = None if dlast is None else layout.blocked(dlast, layout.all_states)
    run(
        kernels.backward,
        rows * groups,
        kernels.backward_scratch(-(-blocks // groups), layout.all_states, rank),
        groups, layout.length, layout.channels, layout.states, layout.all_states, rank, int(soft), int(reverse),
        *_rows(u), *_rows(delta), *_rows(B), *_rows(C), rates, w, bias, skip, kept, *_rows(dy), last,
        du, ddelta, dlines, drates, dw, dskip, dbias, dinitial,
    )  # fmt: skip
    parts = ((drates, layout.states), (dskip, 1), (dbias, 1), (dw, rank))
    dA, dD, dbias, dW = (layout.unblocked(part.sum(0), size) for part, size in parts)
    dlines = dlines.sum(0) if groups > 1 else dlines[0]
    return du, ddelta, dlines, dA, dD[:, 0], dbias[:, 0], dW, layout.unblocked(dinitial, layout.states)


def _layout(u: Tensor, A: Tensor, W: Tensor | None) -> Layout:
    return Layout(*u.shape, states=A.shape[1], rank=0 if W is None else W.shape[1])


def _blocked_parameters(layout: Layout, A, W, D, bias):
    zero = A.new_zeros(layout.channels)
    rates = layout.blocked(A * kernels.LOG2_E, layout.all_states)
    w = None if W is None else layout.blocked(W, layout.rank)
    skip, bias = (layout.blocked((zero if t is None else t)[:, None], 1) for t in (D, bias))
    return rates, w, skip, bias


def _rows(x: Float[Tensor, "B L n"]) -> tuple[Tensor, int, int]:
    """A tensor as a kernel takes it: where it is, and how far apart its rows and its positions are."""
    assert x.stride(2) == 1 or x.shape[2] == 1
    return x, x.stride(0), x.stride(1)


def _inner(x: Tensor) -> Tensor:
    """The tensor with its last dimension contiguous."""
    return x if x.stride(-1) == 1 or x.shape[-1] == 1 else x.contiguous()


@torch.library.custom_op(
    "seqdiff::fused_scan",
    mutates_args=(),
    schema="(Tensor u, Tensor delta, Tensor A, Tensor B, Tensor C, Tensor? D, Tensor? z, Tensor? bias, Tensor? state,"
    " bool soft, bool reverse, bool keep) -> (Tensor, Tensor, Tensor, Tensor)",
)
def fused_scan(u, delta, A, B, C, D, z, bias, state, soft, reverse, keep):
    """The gated output (rows, L, D), the last state, and for the backward pass the kept states and the output before
    the gate. u, delta, z (rows, L, D); A (D, N); B, C (rows, L, N); state (rows, D, N)."""
    u, delta, B, C = map(_inner, (u, delta, B, C))
    y, last, kept = scan_forward(u, delta, A, B, C, D, bias, None, state, soft, reverse, keep)
    if z is None:
        return y, last, kept, y.new_empty(0)
    out = torch.empty_like(y)
    _gate(y, None, _inner(z), out)
    return out, last, kept, y if keep else y.new_empty(0)


@torch.library.custom_op(
    "seqdiff::fused_scan_backward",
    mutates_args=(),
    schema="(Tensor u, Tensor delta, Tensor A, Tensor B, Tensor C, Tensor? D, Tensor? z, Tensor? bias, Tensor kept,"
    " Tensor y, Tensor? dout, Tensor? dlast, bool soft, bool reverse)"
    " -> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)",
)
def fused_scan_backward(u, delta, A, B, C, D, z, bias, kept, y, dout, dlast, soft, reverse):
    """Gradients of u, delta, A, B, C, D, z, bias and the initial state."""
    dout = torch.zeros_like(u) if dout is None else dout
    u, delta, B, C, dout = map(_inner, (u, delta, B, C, dout))
    dz = u.new_empty(0)
    if z is not None:
        dz = torch.empty_like(y)
        dout = _gate_back(dout, y, _inner(z), dz)
    du, ddelta, lines, dA, dD, dbias, _, dstate = scan_backward(
        u, delta, A, B, C, D, bias, None, kept, dout, dlast, soft, reverse
    )
    dB, dC = (part.clone() for part in lines.chunk(2, -1))
    return du, ddelta, dA.contiguous(), dB, dC, dD.contiguous(), dz, dbias.contiguous(), dstate.contiguous()


def _gate(first: Tensor, second: Tensor | None, z: Tensor, out: Tensor) -> None:
    """out = (first + second) silu(z); `first` becomes the sum."""
    rows, channels = first.numel() // first.shape[-1], first.shape[-1]
    z = z if _even(z) else z.contiguous()
    other = first if second is None else second
    run(
        gate.forward,
        -(-rows // gate.SLAB),
        0,
        rows,
        channels,
        first,
        other,
        int(second is not None),
        z,
        z.stride(1),
        out,
    )


def _gate_back(dout: Tensor, y: Tensor, z: Tensor, dz: Tensor) -> Tensor:
    """The gradient of y, contiguous; that of z is written to `dz`, which may be a view."""
    rows, channels = y.numel() // y.shape[-1], y.shape[-1]
    z, dout = (t if _even(t) else t.contiguous() for t in (z, dout))
    dy = torch.empty_like(y)
    run(
        gate.backward, -(-rows // gate.SLAB), 0, rows, channels, dout, dout.stride(1), y, z, z.stride(1), dy, dz,
        dz.stride(1),
    )  # fmt: skip
    return dy


def _even(x: Float[Tensor, "B L n"]) -> bool:
    """Whether all positions of all rows are equally far apart."""
    return x.shape[0] == 1 or x.stride(0) == x.shape[1] * x.stride(1)


_MIX = ", ".join(f"Tensor {name}_{way}" for way in "fb" for name in ("conv", "cb", "x", "dt", "db", "A", "D"))


@torch.library.custom_op(
    "seqdiff::fused_mix",
    mutates_args=(),
    schema=f"(Tensor xz, Tensor? inside, {_MIX}, bool keep)" + " -> (" + ", ".join(["Tensor"] * 9) + ")",
)
def fused_mix(xz, inside, *rest):
    """y (rows, L, E) before out_proj, and for the backward pass: x, the sum before the gate, and of each direction the
    convolved x, [dt | B | C], and the kept states."""
    *parameters, keep = rest
    xz = xz.contiguous()
    x, z = xz.chunk(2, -1)
    if inside is not None:
        x = x * inside
    ways = Direction(*parameters[:7]), Direction(*parameters[7:])
    of_ways = [_one_way(u, way, i > 0, keep) for i, (u, way) in enumerate(zip(_convolved(x, inside, *ways), ways))]
    (first, *of_forward), (second, *of_backward) = of_ways
    out = torch.empty_like(first)
    _gate(first, second, z, out)
    if not keep:
        return out, *(out.new_empty(0) for _ in range(8))
    return out, x.new_empty(0) if inside is None else x, first, *of_forward, *of_backward


def _convolved(x, inside, forward: Direction, backward: Direction) -> list[Tensor]:
    """What enters the scan in each direction."""
    rows, length, channels = x.shape
    out = [x.new_empty(rows, length, channels) for _ in range(2)]
    weights = (w for way in (forward, backward) for w in (_taps(way.conv_weight), way.conv_bias))
    tasks = rows * -(-length // convolution.SLAB)
    run(convolution.forward, tasks, convolution.scratch(channels), length, channels, *_rows(x), *weights, *out)
    return out if inside is None else [u.mul_(inside) for u in out]


def _one_way(u, way: Direction, reverse: bool, keep: bool):
    """The output of a direction before the gate, what entered its scan, [dt | B | C], and the kept states."""
    lines = F.linear(u, way.x_proj)
    low, B, C = lines.split(way.sizes, -1)
    y, _, kept = scan_forward(u, low, way.A, B, C, way.D, way.dt_bias, way.dt_proj, None, True, reverse, keep)
    return y, u, lines, kept


@torch.library.custom_op(
    "seqdiff::fused_mix_backward",
    mutates_args=(),
    schema=f"(Tensor dout, Tensor xz, Tensor? inside, {_MIX}, Tensor x, Tensor y, Tensor uf, Tensor lf, Tensor kf,"
    " Tensor ub, Tensor lb, Tensor kb) -> (" + ", ".join(["Tensor"] * 15) + ")",
)
def fused_mix_backward(dout, xz, inside, *rest):
    """Gradients of xz and of the parameters of both directions."""
    parameters, (x, y, *saved) = rest[:14], rest[14:]
    ways = Direction(*parameters[:7]), Direction(*parameters[7:])
    xz = xz.contiguous()
    if inside is None:
        x = xz.chunk(2, -1)[0]
    dxz = torch.empty_like(xz)
    dx, dz = dxz.chunk(2, -1)
    dy = _gate_back(_inner(dout), y, xz.chunk(2, -1)[1], dz)
    (du, *of_forward), (dv, *of_backward) = (
        _one_way_back(dy, way, *saved[3 * i : 3 * i + 3], i > 0) for i, way in enumerate(ways)
    )
    if inside is not None:
        du *= inside
        dv *= inside
    forward, backward = _convolved_back(x, du, dv, dx, *ways)
    if inside is not None:
        dx *= inside
    return dxz, *forward, *of_forward, *backward, *of_backward


def _one_way_back(dy, way: Direction, u, lines, kept, reverse: bool):
    """Gradients of what enters a direction's scan, and of x_proj, dt_proj, dt_bias, A_log and D."""
    low, B, C = lines.split(way.sizes, -1)
    A = way.A
    du, _, dlines, dA, dD, dbias, ddt_proj, _ = scan_backward(
        u, low, A, B, C, way.D, way.dt_bias, way.dt_proj, kept, dy, None, True, reverse
    )
    flat = dlines.flatten(0, 1)
    dx_proj = flat.t() @ u.flatten(0, 1)
    du.view(-1, du.shape[-1]).addmm_(flat, way.x_proj)
    return du, dx_proj, ddt_proj.contiguous(), dbias.contiguous(), (dA * A).contiguous(), dD.contiguous()


def _convolved_back(x, du, dv, dx, forward: Direction, backward: Direction) -> list[tuple[Tensor, Tensor]]:
    """Gradients of the weight and the bias of each direction's convolution; that of x is written to `dx`."""
    rows, length, channels = x.shape
    tasks, padded = rows * -(-length // convolution.SLAB), convolution.padded(channels)
    weights = (w for way in (forward, backward) for w in (_taps(way.conv_weight), way.conv_bias))
    dtaps = [x.new_empty(tasks, convolution.TAPS, padded) for _ in range(2)]
    dbias = [x.new_empty(tasks, padded) for _ in range(2)]
    run(
        convolution.backward, tasks, convolution.scratch(channels), length, channels, *_rows(x), *weights, du, dv,
        *_rows(dx), *dtaps, *dbias,
    )  # fmt: skip
    size = forward.conv_weight.shape[-1]
    return [
        (taps.sum(0)[-size:, :channels].t().unsqueeze(1).contiguous(), bias.sum(0)[:channels].contiguous())
        for taps, bias in zip(dtaps, dbias)
    ]


def _taps(weight: Float[Tensor, "E 1 K"]) -> Float[Tensor, "TAPS E"]:
    """The kernels with channels innermost, zeros in front of short ones."""
    return F.pad(weight.squeeze(1), (convolution.TAPS - weight.shape[-1], 0)).t().contiguous()


@fused_scan.register_fake
def _(u, delta, A, B, C, D, z, bias, state, soft, reverse, keep):
    layout = _layout(u, A, None)
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
    for way in (0, 1):
        direction = Direction(*parameters[7 * way :][:7])
        layout = _layout(y, direction.A_log, direction.dt_proj)
        lines = y.new_empty(*y.shape[:2], sum(direction.sizes))
        saved += [torch.empty_like(y), lines, y.new_empty(layout.rows, layout.chunks, *layout.square)]
    return y, y.new_empty(y.shape if inside is not None else 0), torch.empty_like(y), *saved


@fused_mix_backward.register_fake
def _(dout, xz, inside, *rest):
    return xz.new_empty(xz.shape), *(xz.new_empty(t.shape) for t in rest[:14])


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
    dxz, *gradients = torch.ops.seqdiff.fused_mix_backward(dout, *ctx.saved_tensors)
    return dxz, None, *gradients, None


fused_mix.register_autograd(_mix_gradients, setup_context=_keep_mix)
