"""The selective scan in plain torch: any device, any length, float32 and float64, first derivatives.

The recurrence of Mamba (Gu & Dao 2023, arXiv:2312.00752, eqs. 2a, 2b and 4, with B discretised by Euler as
its public code does):

    h_t = exp(delta_t A) h_{t-1} + delta_t u_t B_t        y_t = sum over states of C_t h_t

Time runs first here, (L, B, D), and states stand in the middle, (B, N, D), so that the innermost loop
of every torch kernel is a long contiguous one. Steps are taken in chunks: what does not depend on the
state is computed for the whole chunk, the recurrence then costs one fused multiply-add a step. Only the
state before each chunk is kept; the backward pass computes the chunk anew.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

CHUNK = 16
"""Steps a chunk: enough to hide Python, few enough that a chunk of (steps, B, N, D) stays in the cache."""


class Direction(NamedTuple):
    """The parameters of a Mamba layer in one direction: E channels, N states, K taps, R the rank of the step sizes."""

    conv_weight: Float[Tensor, "E 1 K"]
    conv_bias: Float[Tensor, "E"]
    x_proj: Float[Tensor, "R+2*N E"]
    dt_proj: Float[Tensor, "E R"]
    dt_bias: Float[Tensor, "E"]
    A_log: Float[Tensor, "E N"]
    D: Float[Tensor, "E"]

    @property
    def A(self) -> Float[Tensor, "E N"]:
        """-exp(A_log), in float32 at least: it stands in an exponent, times a step, for as long as the sequence is."""
        return -torch.exp(self.A_log.to(torch.promote_types(self.A_log.dtype, torch.float32)))

    @property
    def sizes(self) -> list[int]:
        """How many rows of x_proj are the low-rank step, B and C."""
        return [self.dt_proj.shape[1], *[self.A_log.shape[1]] * 2]


def mix(
    xz: Float[Tensor, "B L 2*E"],
    inside: Float[Tensor, "B L 1"] | None,
    forward: Direction,
    backward: Direction | None,
    out_proj: Float[Tensor, "W E"],
    *,
    scan: Callable[..., Tensor] | None = None,
) -> Float[Tensor, "B L W"]:
    """What `seqdiff.denoisers.scan.mix` says, in plain torch, but for a `scan` that another path brings."""
    scan = scan or selective_scan
    x, z = xz.chunk(2, -1)
    if inside is not None:
        inside = inside.to(x.dtype)
        x = x * inside
    y = _mix_one_way(scan, x, z, inside, forward, reverse=False)
    if backward is not None:
        y = y + _mix_one_way(scan, x, z, inside, backward, reverse=True)
    return F.linear(y, out_proj)


def _mix_one_way(scan, x, z, inside, direction: Direction, *, reverse: bool) -> Float[Tensor, "B L E"]:
    x = F.silu(causal_convolution(x, direction.conv_weight, direction.conv_bias, reverse=reverse))
    if inside is not None:
        x = x * inside
    low_rank, B, C = F.linear(x, direction.x_proj).split(direction.sizes, -1)
    step = F.linear(low_rank, direction.dt_proj)
    x, step, z, B, C = (part.transpose(1, 2) for part in (x, step, z, B, C))
    y = scan(x, step, direction.A, B, C, direction.D, z, direction.dt_bias, True, reverse=reverse)
    return y.transpose(1, 2)


def causal_convolution(
    x: Float[Tensor, "B L E"], weight: Float[Tensor, "E 1 K"], bias: Float[Tensor, "E"], *, reverse: bool
) -> Float[Tensor, "B L E"]:
    """Each position with the K - 1 before it in the direction of reading, one kernel a channel."""
    if not x.shape[1]:
        return x
    past = weight.shape[-1] - 1
    x = F.pad(x, (0, 0, 0, past) if reverse else (0, 0, past, 0))
    kernel = (weight.flip(-1) if reverse else weight).unsqueeze(2)
    # Two dimensions, since torch knows images with channels last and sequences without.
    image = F.conv2d(x.transpose(1, 2).unsqueeze(2), kernel, bias, groups=len(weight))
    return image.squeeze(2).transpose(1, 2)


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
    """What `seqdiff.denoisers.scan.selective_scan` says, in plain torch.

    Computed in float32, in float64 where u is, whatever the autocast: y has the type of u, the state that of the
    computation.
    """
    dtype = torch.promote_types(u.dtype, torch.float32)
    with torch.autocast(u.device.type, enabled=False):
        x, step, A, B, C = (tensor.to(dtype) for tensor in (u, delta, A, B, C))
        state = None if initial_state is None else initial_state.to(dtype).transpose(1, 2)
        if delta_bias is not None:
            step = step + delta_bias.to(dtype)[:, None]
        if delta_softplus:
            step = F.softplus(step)
        given = (x, step, A, B, C) if state is None else (x, step, A, B, C, state)
        keep = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in given)
        x_, step_, B_, C_ = (tensor.permute(2, 0, 1) for tensor in (x, step, B, C))
        y, last, _ = torch.ops.seqdiff.recurrence(x_, step_, A.t(), B_, C_, state, reverse, keep)
        y = y.permute(1, 2, 0)
        if D is not None:
            y = y + x * D.to(dtype)[:, None]
        if z is not None:
            y = y * F.silu(z.to(dtype))
        y = y.to(u.dtype)
        return (y, last.transpose(1, 2)) if return_last_state else y


@torch.library.custom_op(
    "seqdiff::recurrence",
    mutates_args=(),
    schema="(Tensor u, Tensor delta, Tensor A, Tensor B, Tensor C, Tensor? state, bool reverse, bool keep)"
    " -> (Tensor, Tensor, Tensor)",
)
def recurrence(u, delta, A, B, C, state, reverse, keep):
    """y (L, B, D), the last state (B, N, D), and the state before each chunk (chunks, B, N, D), none unless `keep`.

    u, delta (L, B, D); A (N, D); B, C (L, B, N); state (B, N, D), before the first step, zeros if None. An
    operator of its own, so that torch.compile sees one node and not a loop over time.
    """
    length, rows, width = u.shape
    chunks = _chunks(length, reverse)
    y = u.new_empty(rows, length, width).transpose(0, 1)
    before = u.new_empty(len(chunks) if keep else 0, rows, A.shape[0], width)
    state = u.new_zeros(rows, A.shape[0], width) if state is None else state
    for i, chunk in enumerate(chunks):
        if keep:
            before[i] = state
        _, states = _states(u[chunk], delta[chunk], A, B[chunk], state, reverse)
        state = states[0 if reverse else -1]
        y[chunk] = (C[chunk].unsqueeze(2) @ states).squeeze(2)
    return y, state.clone(memory_format=torch.contiguous_format), before


@torch.library.custom_op(
    "seqdiff::recurrence_backward",
    mutates_args=(),
    schema="(Tensor u, Tensor delta, Tensor A, Tensor B, Tensor C, Tensor before, Tensor grad, Tensor grad_last,"
    " bool reverse) -> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)",
)
def recurrence_backward(u, delta, A, B, C, before, grad, grad_last, reverse):
    """Gradients of u, delta, A, B, C and the first state from those of y and the last, as `recurrence` lays them out.

    With g_t the gradient of h_t: g_t = C_t dy_t + exp(delta_{t+1} A) g_{t+1}, against the scan's direction.
    """
    du, ddelta, dB, dC = (_rows_outside(tensor) for tensor in (u, delta, B, C))
    dA = torch.zeros_like(A)
    carry = grad_last
    for i, chunk in reversed(list(enumerate(_chunks(len(u), reverse)))):
        decay, states = _states(u[chunk], delta[chunk], A, B[chunk], before[i], reverse)
        dC[chunk] = (states @ grad[chunk].unsqueeze(3)).squeeze(3)
        g = C[chunk].unsqueeze(3) * grad[chunk].unsqueeze(2)
        for step, keep in zip(_against(g, reverse), _against(decay, reverse), strict=True):
            step.add_(carry)
            carry = step * keep
        dB[chunk] = (g @ (u[chunk] * delta[chunk]).unsqueeze(3)).squeeze(3)
        dinput = (B[chunk].unsqueeze(2) @ g).squeeze(2)
        du[chunk] = dinput * delta[chunk]
        # The gradient of delta_t A, in place of the decay: g_t exp(delta_t A) h_{t-1}.
        decay.mul_(g)
        along = _against(decay, reverse)[::-1], [before[i], *_against(states, reverse)[:0:-1]]
        for exponent, previous in zip(*along, strict=True):
            exponent.mul_(previous)
        ddelta[chunk] = torch.mul(decay, A, out=g).sum(2).addcmul_(dinput, u[chunk])
        dA += decay.mul_(delta[chunk].unsqueeze(2)).sum((0, 1))
    return du, ddelta, dA, dB, dC, carry.clone(memory_format=torch.contiguous_format)


def _chunks(length: int, reverse: bool) -> list[slice]:
    """Slices of time in the order of the scan."""
    chunks = [slice(start, min(start + CHUNK, length)) for start in range(0, length, CHUNK)]
    return chunks[::-1] if reverse else chunks


def _against(steps: Tensor, reverse: bool) -> tuple[Tensor, ...]:
    """The steps of a chunk from the last of the scan to its first."""
    return steps.unbind(0) if reverse else steps.unbind(0)[::-1]


def _states(u, delta, A, B, state, reverse) -> tuple[Tensor, Tensor]:
    """exp(delta A) and the states of one chunk, both (steps, B, N, D), from the state before it."""
    decay = (delta.unsqueeze(2) * A).exp_()
    states = (delta * u).unsqueeze(2) * B.unsqueeze(3)
    for step, keep in zip(_against(states, reverse)[::-1], _against(decay, reverse)[::-1], strict=True):
        state = step.addcmul_(keep, state)
    return decay, states


def _rows_outside(tensor: Tensor) -> Tensor:
    """An empty (L, B, ...) tensor whose memory is (B, L, ...), as the network around the scan has it."""
    length, rows, *rest = tensor.shape
    return tensor.new_empty(rows, length, *rest).transpose(0, 1)


@recurrence.register_fake
def _(u, delta, A, B, C, state, reverse, keep):
    states = u.shape[1], A.shape[0], u.shape[2]
    chunks = -(-u.shape[0] // CHUNK) if keep else 0
    return _rows_outside(u), u.new_empty(states), u.new_empty(chunks, *states)


@recurrence_backward.register_fake
def _(u, delta, A, B, C, before, grad, grad_last, reverse):
    outside = [_rows_outside(tensor) for tensor in (u, delta, B, C)]
    return *outside[:2], torch.empty_like(A), *outside[2:], u.new_empty(grad_last.shape)


def _keep_for_backward(ctx, inputs, output):
    *tensors, state, ctx.reverse, _ = inputs
    ctx.stateful = state is not None
    ctx.save_for_backward(*tensors, output[2])


def _backward(ctx, grad, grad_last, _):
    *grads, first = torch.ops.seqdiff.recurrence_backward(*ctx.saved_tensors, grad, grad_last, ctx.reverse)
    return *grads, first if ctx.stateful else None, None, None


recurrence.register_autograd(_backward, setup_context=_keep_for_backward)
