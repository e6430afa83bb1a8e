"""Adding to the residual stream and normalising it, in one step."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from seqdiff.denoisers import paths

EPSILON = 1e-5
MOST_LANES = 16
"""Floats that the widest vector writes past the last row."""


def add_norm(
    update: Float[Tensor, "B L W"], stream: Float[Tensor, "B L W"] | None, weight: Float[Tensor, "W"]
) -> tuple[Float[Tensor, "B L W"], Float[Tensor, "B L W"]]:
    """(RMSNorm(update + stream), update + stream); a stream of None is zero.

    Zhang & Sennrich 2019, arXiv:1910.07467, eq. 4, with EPSILON under the root. On CPUs it is one fused kernel
    forward and one backward, in float32; elsewhere plain torch.
    Raises ValueError where the sizes do not fit.
    """
    if (stream is not None and stream.shape != update.shape) or weight.shape != update.shape[-1:]:
        sizes = [None if t is None else tuple(t.shape) for t in (update, stream, weight)]
        raise ValueError(f"add_norm: update, stream and weight of sizes {sizes} do not fit: two of a size, one as wide")
    if paths.choose(update.device, update.dtype).name != "cpu":
        total = update if stream is None else update + stream
        return F.rms_norm(total, (total.shape[-1],), weight, EPSILON), total
    given = [t if t is None else t.float() for t in (update, stream, weight)]
    normed, total, _ = torch.ops.seqdiff.add_norm(*given)
    dtype = update.dtype if stream is None else torch.promote_types(update.dtype, stream.dtype)
    return normed.to(torch.promote_types(dtype, weight.dtype)), total.to(dtype)


@torch.library.custom_op(
    "seqdiff::add_norm",
    mutates_args=(),
    device_types="cpu",
    schema="(Tensor update, Tensor? stream, Tensor weight) -> (Tensor, Tensor, Tensor)",
)
def fused(update, stream, weight):
    """The normalised sum, the sum, and 1 / its root mean square for each position."""
    from seqdiff.denoisers.kernels import norm
    from seqdiff.denoisers.kernels.launch import run

    update, stream = (t if t is None else t.contiguous() for t in (update, stream))
    width = update.shape[-1]
    rows = update.numel() // width
    total, normed = torch.empty_like(update), torch.empty_like(update)
    scales = update.new_empty(rows + MOST_LANES)
    other = update if stream is None else stream
    run(
        norm.forward, -(-rows // norm.SLAB), norm.scratch(), rows, width, int(stream is not None), _numbers(width),
        update, other, weight.contiguous(), total, normed, scales,
    )  # fmt: skip
    return normed, total, scales


@torch.library.custom_op(
    "seqdiff::add_norm_backward",
    mutates_args=(),
    device_types="cpu",
    schema="(Tensor total, Tensor weight, Tensor scales, Tensor? dnormed, Tensor? dtotal) -> (Tensor, Tensor)",
)
def fused_backward(total, weight, scales, dnormed, dtotal):
    """Gradients of the sum, which is that of both its terms, and of the weight."""
    from seqdiff.denoisers.kernels import norm
    from seqdiff.denoisers.kernels.launch import run

    dnormed, dtotal = (torch.zeros_like(total) if t is None else t.contiguous() for t in (dnormed, dtotal))
    width = total.shape[-1]
    rows = total.numel() // width
    tasks = -(-rows // norm.SLAB)
    padded = -(-width // norm.LANES) * norm.LANES
    gradient, dweight = torch.empty_like(total), total.new_empty(tasks, padded)
    run(
        norm.backward, tasks, norm.scratch(), rows, width, _numbers(width), total, weight.contiguous(), scales,
        dnormed, dtotal, gradient, dweight,
    )  # fmt: skip
    return gradient, dweight.sum(0)[:width].contiguous()


def _numbers(width: int) -> Tensor:
    return torch.tensor([width, EPSILON], dtype=torch.float32)


@fused.register_fake
def _(update, stream, weight):
    rows = update.shape[:-1].numel()
    return update.new_empty(update.shape), update.new_empty(update.shape), update.new_empty(rows + MOST_LANES)


@fused_backward.register_fake
def _(total, weight, scales, dnormed, dtotal):
    return total.new_empty(total.shape), weight.new_empty(weight.shape)


def _keep(ctx, inputs, output):
    ctx.set_materialize_grads(False)
    ctx.has_stream = inputs[1] is not None
    ctx.save_for_backward(output[1], inputs[2], output[2])


def _gradients(ctx, dnormed, dtotal, _):
    gradient, dweight = torch.ops.seqdiff.add_norm_backward(*ctx.saved_tensors, dnormed, dtotal)
    return gradient, gradient if ctx.has_stream else None, dweight


fused.register_autograd(_gradients, setup_context=_keep)
