"""The selective scan in plain torch: any device, any length, float32 and float64, first derivatives.

The recurrence of Mamba (Gu & Dao 2023, arXiv:2312.00752, eqs. 2a, 2b and 4, with B discretised by Euler as
its public code does):

    h_t = exp(delta_t A) h_{t-1} + delta_t u_t B_t        y_t = sum over states of C_t h_t

Time runs first here, (L, B, D), and states stand in the middle, (B, N, D), so that the innermost loop
of every torch kernel is a long contiguous one. Steps are taken in chunks: what does not depend on the
state is computed for the whole chunk, the recurrence then costs one fused multiply-add a step. Only the
state before each chunk is kept; the backward pass computes the chunk anew.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

CHUNK = 16
"""Steps a chunk: enough to hide Python, few enough that a chunk of (steps, B, N, D) stays in the cache."""


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
    """What `seqdiff.denoisers.scan.selective_scan` says, in plain torch.

    Computed in float32, in float64 where u is; the answer has the type of u.
    """
    dtype = torch.promote_types(u.dtype, torch.float32)
    with torch.autocast(u.device.type, enabled=False):
        x, step, A, B, C = (tensor.to(dtype) for tensor in (u, delta, A, B, C))
        if delta_bias is not None:
            step = step + delta_bias.to(dtype)[:, None]
        if delta_softplus:
            step = F.softplus(step)
        keep = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (x, step, A, B, C))
        y, _ = torch.ops.seqdiff.recurrence(
            x.permute(2, 0, 1), step.permute(2, 0, 1), A.t(), B.permute(2, 0, 1), C.permute(2, 0, 1), reverse, keep
        )
        y = y.permute(1, 2, 0)
        if D is not None:
            y = y + x * D.to(dtype)[:, None]
        if z is not None:
            y = y * F.silu(z.to(dtype))
        return y.to(u.dtype)


@torch.library.custom_op(
    "seqdiff::recurrence",
    mutates_args=(),
    schema="(Tensor u, Tensor delta, Tensor A, Tensor B, Tensor C, bool reverse, bool keep) -> (Tensor, Tensor)",
)
def recurrence(u, delta, A, B, C, reverse, keep):
    """y (L, B, D), and the state before each chunk (chunks, B, N, D), none of them unless `keep`.

    u, delta (L, B, D); A (N, D); B, C (L, B, N). An operator of its own, so that torch.compile sees one
    node and not a loop over time.
    """
    length, rows, width = u.shape
    chunks = _chunks(length, reverse)
    y = u.new_empty(rows, length, width).transpose(0, 1)
    before = u.new_empty(len(chunks) if keep else 0, rows, A.shape[0], width)
    state = u.new_zeros(rows, A.shape[0], width)
    for i, chunk in enumerate(chunks):
        if keep:
            before[i] = state
        _, states = _states(u[chunk], delta[chunk], A, B[chunk], state, reverse)
        state = states[0 if reverse else -1]
        y[chunk] = (C[chunk].unsqueeze(2) @ states).squeeze(2)
    return y, before


@torch.library.custom_op(
    "seqdiff::recurrence_backward",
    mutates_args=(),
    schema="(Tensor u, Tensor delta, Tensor A, Tensor B, Tensor C, Tensor before, Tensor grad, bool reverse)"
    " -> (Tensor, Tensor, Tensor, Tensor, Tensor)",
)
def recurrence_backward(u, delta, A, B, C, before, grad, reverse):
    """Gradients of u, delta, A, B, C from that of y, in the layout of `recurrence`.

    With g_t the gradient of h_t: g_t = C_t dy_t + exp(delta_{t+1} A) g_{t+1}, against the scan's direction.
    """
    du, ddelta, dB, dC = (_rows_outside(tensor) for tensor in (u, delta, B, C))
    dA = torch.zeros_like(A)
    carry = torch.zeros_like(before[0])
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
    return du, ddelta, dA, dB, dC


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
def _(u, delta, A, B, C, reverse, keep):
    chunks = -(-u.shape[0] // CHUNK) if keep else 0
    return _rows_outside(u), u.new_empty(chunks, u.shape[1], A.shape[0], u.shape[2])


@recurrence_backward.register_fake
def _(u, delta, A, B, C, before, grad, reverse):
    return (_rows_outside(u), _rows_outside(delta), torch.empty_like(A), _rows_outside(B), _rows_outside(C))


def _keep_for_backward(ctx, inputs, output):
    *tensors, ctx.reverse, _ = inputs
    ctx.save_for_backward(*tensors, output[1])


def _backward(ctx, grad, _):
    return *torch.ops.seqdiff.recurrence_backward(*ctx.saved_tensors, grad, ctx.reverse), None, None


recurrence.register_autograd(_backward, setup_context=_keep_for_backward)
