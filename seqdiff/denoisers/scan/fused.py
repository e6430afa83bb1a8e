"""The kernels on tensors: scans, convolutions and gates with their gradients, before autograd knows of them.

Tensors are float32 and ordered (rows, L, channels), with channels side by side. What the kernels compute does not
depend on the number of threads; the matrix products between them are torch's.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from seqdiff.denoisers import alone
from seqdiff.denoisers.kernels import convolution, gate
from seqdiff.denoisers.kernels import scan as kernels
from seqdiff.denoisers.kernels.launch import run
from seqdiff.denoisers.kernels.steps import CHANNELS, LOG2_E, TOGETHER
from seqdiff.denoisers.scan.reference import Direction

TASKS = 16
"""Tasks that few rows are cut into, where there are channels enough: what many threads can share."""


class Layout(NamedTuple):
    """How a scan is cut: rows and positions, channels in blocks, blocks in groups, states and steps padded."""

    rows: int
    length: int
    channels: int
    states: int
    rank: int

    @property
    def blocks(self) -> int:
        return -(-self.channels // CHANNELS)

    @property
    def groups(self) -> int:
        return max(1, min(self.blocks, -(-TASKS // max(1, self.rows))))

    @property
    def all_states(self) -> int:
        return -(-self.states // TOGETHER) * TOGETHER

    @property
    def chunks(self) -> int:
        return -(-self.length // kernels.STEPS)

    @property
    def square(self) -> tuple[int, int, int]:
        """The state of one row: (blocks, states, CHANNELS)."""
        return self.blocks, self.all_states, CHANNELS

    def blocked(self, x: Float[Tensor, "*B D n"], size: int) -> Float[Tensor, "*B blocks size CHANNELS"]:
        """Channels in blocks and innermost, both padded with zeros."""
        x = F.pad(x, (0, size - x.shape[-1], 0, self.blocks * CHANNELS - self.channels))
        return x.unflatten(-2, (self.blocks, CHANNELS)).transpose(-1, -2).contiguous()

    def unblocked(self, x: Float[Tensor, "*B blocks size CHANNELS"], size: int) -> Float[Tensor, "*B D n"]:
        """The way back."""
        return x.transpose(-1, -2).flatten(-3, -2)[..., : self.channels, :size]


def scan_forward(u, delta, A, B, C, D, bias, W, soft, reverse, keep, state=None, *, ends=False):
    """y (rows, L, D), the state before each chunk, none unless `keep`, and the last state (rows, D, N) if `ends`.

    delta is (rows, L, D), or (rows, L, R) with W (D, R), whose product is the step. Innermost strides are 1.
    """
    layout = layout_of(u, A, W)
    square = layout.square
    y = u.new_empty(u.shape)
    last = u.new_empty(layout.rows, *square) if ends else None
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
    return y, kept, layout.unblocked(last, layout.states).contiguous() if ends else None


def scan_backward(u, delta, A, B, C, D, bias, W, soft, reverse, kept, dy, dlast=None, *, ends=False):
    """Gradients (u, delta or None, [dt | B | C] in rows of R + 2N, A, D, bias, W, the initial state if `ends`)."""
    layout = layout_of(u, A, W)
    rows, blocks, groups, rank = layout.rows, layout.blocks, layout.groups, layout.rank
    square = layout.square
    du = u.new_empty(u.shape)
    ddelta = u.new_empty(u.shape) if W is None else None
    dlines = u.new_empty(groups, rows, layout.length, rank + 2 * layout.states)
    drates = u.new_empty(rows, *square)
    dw = u.new_empty(rows, blocks, rank, CHANNELS)
    dskip, dbias = u.new_empty(2, rows, blocks, 1, CHANNELS)
    dinitial = u.new_empty(rows, *square) if ends else None
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
    dstate = layout.unblocked(dinitial, layout.states) if ends else None
    return du, ddelta, dlines, dA, dD[:, 0], dbias[:, 0], dW, dstate


def layout_of(u: Tensor, A: Tensor, W: Tensor | None) -> Layout:
    return Layout(*u.shape, states=A.shape[1], rank=0 if W is None else W.shape[1])


def _blocked_parameters(layout: Layout, A, W, D, bias):
    zero = A.new_zeros(layout.channels)
    rates = layout.blocked(A * LOG2_E, layout.all_states)
    w = None if W is None else layout.blocked(W, layout.rank)
    skip, bias = (layout.blocked((zero if t is None else t)[:, None], 1) for t in (D, bias))
    return rates, w, skip, bias


def _rows(x: Float[Tensor, "B L n"]) -> tuple[Tensor, int, int]:
    """A tensor as a kernel takes it: where it is, and how far apart its rows and its positions are."""
    assert x.stride(2) == 1 or x.shape[2] == 1
    return x, x.stride(0), x.stride(1)


def inner(x: Tensor) -> Tensor:
    """The tensor with its last dimension contiguous."""
    return x if x.stride(-1) == 1 or x.shape[-1] == 1 else x.contiguous()


def gated(first: Tensor, second: Tensor | None, z: Tensor, out: Tensor) -> None:
    """out = (first + second) silu(z); `first` becomes the sum. z may be a view, the others are contiguous."""
    rows, channels = first.shape[0] * first.shape[1], first.shape[2]
    other, both = (first, 0) if second is None else (second, 1)
    run(gate.forward, -(-rows // gate.SLAB), 0, rows, channels, first, other, both, *_evenly(z), out)


def gated_back(dout: Tensor, y: Tensor, z: Tensor, dz: Tensor) -> Tensor:
    """The gradient of y, contiguous; that of z is written to `dz`, which may be half of a contiguous tensor."""
    rows, channels = y.shape[0] * y.shape[1], y.shape[2]
    dy = torch.empty_like(y)
    run(
        gate.backward, -(-rows // gate.SLAB), 0, rows, channels, *_evenly(dout), y, *_evenly(z), dy, dz,
        _apart(dz),
    )  # fmt: skip
    return dy


def _evenly(x: Float[Tensor, "B L n"]) -> tuple[Tensor, int]:
    """A tensor whose positions, those of all rows in a line, are equally far apart, and how far."""
    if _apart(x) is None:
        x = x.clone(memory_format=torch.contiguous_format)
    return x, _apart(x)


def _apart(x: Float[Tensor, "B L n"]) -> int | None:
    """How far apart the positions of all rows are, None where that differs."""
    if x.shape[1] == 1:  # what torch says of the stride of one position means nothing
        return x.stride(0)
    return x.stride(1) if x.shape[0] == 1 or x.stride(0) == x.shape[1] * x.stride(1) else None


def convolved(x, inside, *ways: Direction) -> list[Tensor]:
    """What enters the scan in each direction: the forward one, or both."""
    rows, length, channels = x.shape
    # The kernel knows two directions. It computes one that is not asked for, a small part of the layer, all the same.
    out = [x.new_empty(rows, length, channels) for _ in range(2)]
    weights = (w for way in (ways[0], ways[-1]) for w in (_taps(way.conv_weight), way.conv_bias))
    tasks = rows * -(-length // convolution.SLAB)
    run(convolution.forward, tasks, convolution.scratch(channels), length, channels, *_rows(x), *weights, *out)
    return out[: len(ways)] if inside is None else [u.mul_(inside) for u in out[: len(ways)]]


def one_way(u, way: Direction, reverse: bool, keep: bool):
    """The output of a direction before the gate, what entered its scan, [dt | B | C], and the kept states."""
    lines = alone.linear(u, way.x_proj).contiguous() if alone.active() else F.linear(u, way.x_proj)
    low, B, C = lines.split(way.sizes, -1)
    y, kept, _ = scan_forward(u, low, way.A, B, C, way.D, way.dt_bias, way.dt_proj, True, reverse, keep)
    return y, u, lines, kept


def one_way_back(dy, way: Direction, u, lines, kept, reverse: bool):
    """Gradients of what enters a direction's scan, and of x_proj, dt_proj, dt_bias, A_log and D."""
    low, B, C = lines.split(way.sizes, -1)
    A = way.A
    du, _, dlines, dA, dD, dbias, ddt_proj, _ = scan_backward(
        u, low, A, B, C, way.D, way.dt_bias, way.dt_proj, True, reverse, kept, dy
    )
    flat = dlines.flatten(0, 1)
    dx_proj = flat.t() @ u.flatten(0, 1)
    du.view(-1, du.shape[-1]).addmm_(flat, way.x_proj)
    return du, dx_proj, ddt_proj.contiguous(), dbias.contiguous(), (dA * A).contiguous(), dD.contiguous()


def convolved_back(x, dus, dx, *ways: Direction) -> list[tuple[Tensor, Tensor]]:
    """Gradients of the weight and the bias of each direction's convolution; that of x is written to `dx`."""
    rows, length, channels = x.shape
    du, dv = dus if len(ways) == 2 else (dus[0], torch.zeros_like(dus[0]))
    tasks, padded = rows * -(-length // convolution.SLAB), convolution.padded(channels)
    weights = (w for way in (ways[0], ways[-1]) for w in (_taps(way.conv_weight), way.conv_bias))
    dtaps = [x.new_empty(tasks, convolution.TAPS, padded) for _ in range(2)]
    dbias = [x.new_empty(tasks, padded) for _ in range(2)]
    run(
        convolution.backward, tasks, convolution.scratch(channels), length, channels, *_rows(x), *weights, du, dv,
        *_rows(dx), *dtaps, *dbias,
    )  # fmt: skip
    size = ways[0].conv_weight.shape[-1]
    return [
        (taps.sum(0)[-size:, :channels].t().unsqueeze(1).contiguous(), bias.sum(0)[:channels].contiguous())
        for taps, bias, _ in zip(dtaps, dbias, ways)
    ]


def _taps(weight: Float[Tensor, "E 1 K"]) -> Float[Tensor, "TAPS E"]:
    """The kernels with channels innermost, zeros in front of short ones."""
    return F.pad(weight.squeeze(1), (convolution.TAPS - weight.shape[-1], 0)).t().contiguous()
