"""Convolution with filters as long as the sequence, by the fast Fourier transform: n log n in place of n squared."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def long_convolution(
    u: Float[Tensor, "B D L"], ahead: Float[Tensor, "D F"], back: Float[Tensor, "D F"] | None = None
) -> Float[Tensor, "B D L"]:
    """One filter a channel over whole rows, with zeros past both ends; F is at most L:

        y_i = sum over j = 0 .. F-1 of ahead_j u_{i-j}  +  sum over j = 1 .. F-1 of back_j u_{i+j}

    Without `back` a position depends on itself and those before it, and back_0 is never read. Computed in float32,
    in float64 where u is, whatever the autocast. First derivatives only.

    >>> u, ahead = torch.tensor([[[1.0, 0.0, 0.0, 2.0]]]), torch.tensor([[1.0, 0.5]])
    >>> long_convolution(u, ahead).round(decimals=4).tolist()
    [[[1.0, 0.5, 0.0, 2.0]]]
    >>> long_convolution(u, ahead, torch.tensor([[9.0, 3.0]])).round(decimals=4).tolist()
    [[[1.0, 0.5, 6.0, 2.0]]]
    """
    taps, dtype = ahead.shape[-1], torch.promote_types(u.dtype, torch.float32)
    period = fast_period(u.shape[-1] + taps - 1)  # what runs past one end comes in at the other, beyond the row
    with torch.autocast(u.device.type, enabled=False):
        if back is None:
            kernel = F.pad(ahead, (0, period - taps))
        else:
            kernel = torch.cat([F.pad(ahead, (0, period - 2 * taps + 1)), back[:, 1:].flip(-1)], -1)
        return Circular.apply(u.to(dtype), kernel.to(dtype))


def fast_period(least: int) -> int:
    """The next length whose Fourier transform is fast: an even one of 8, 9, 10, 12 or 15 times a power of two.

    >>> [fast_period(n) for n in (1, 16, 17, 2047, 2049, 2305)]
    [8, 16, 18, 2048, 2304, 2560]
    """
    power = 1
    while 15 * power < least:
        power *= 2
    choices = (8, 9, 10, 12, 15) if power > 1 else (8, 10, 12, 16)
    return next(many * power for many in choices if many * power >= least)


class Circular(torch.autograd.Function):
    """y_i = sum over j of kernel_{(i - j) mod P} u_j, for u (B, D, L) and a kernel (D, P), P even and at least L.

    Written by hand, since torch's own derivative keeps the transform of u, twice its size, and passes over it
    some times more: here u is kept and transformed again.
    """

    @staticmethod
    def forward(ctx, u, kernel):
        ctx.save_for_backward(u, kernel)
        period = kernel.shape[-1]
        y = torch.fft.irfft(torch.fft.rfft(u, period) * torch.fft.rfft(kernel), period)
        return y[..., : u.shape[-1]]

    @staticmethod
    def backward(ctx, dy):
        u, kernel = ctx.saved_tensors
        period = kernel.shape[-1]
        wave = torch.fft.rfft(dy, period)
        du = dkernel = None
        if ctx.needs_input_grad[0]:
            du = torch.fft.irfft(wave * torch.fft.rfft(kernel).conj(), period)[..., : u.shape[-1]]
        if ctx.needs_input_grad[1]:
            dkernel = torch.fft.irfft((wave * torch.fft.rfft(u, period).conj()).sum(0), period)
        return du, dkernel
