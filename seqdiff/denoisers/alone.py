"""Rows computed as if each were alone: on the CPU a row gets the same bits whatever else is computed with it.

Libraries choose how to multiply, and where vector instructions give way to scalar ones, by the size of the whole
batch and the number of threads; the last bits of a row then depend on its company. Under `Alone` a network in use
computes by rules that depend on the row:

- matrix products have a multiple of sixteen rows and of sixteen columns, the last of which are zeros where there is no
  more (MKL rounds otherwise at the edges of a product and of a thread's share of it, and nowhere else that was found);
- convolutions along a row are sums of such products, tap by tap, where oneDNN would pick one of several algorithms;
- activations whose vector and scalar code round differently are never given a scalar rest;
- Fourier transforms are left to one thread.

Convolutions of images are as torch has them, so this does not hold for a U-Net.

He 2025, "Defeating Nondeterminism in LLM Inference" (thinkingmachines.ai), has the problem and this cure on GPUs.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

SIDE = 16
"""Rows and columns of a matrix product are a multiple of this."""
LANES = 32
"""Numbers that vectorised code of an activation takes at a time, at most (two AVX-512 registers)."""
GRAIN = 32_768
"""Numbers a thread takes at least (at::internal::GRAIN_SIZE)."""
SERIAL = 16_384
"""Numbers that one thread does alone whatever their kind."""
BLOCK = 2048
"""Places whose taps are summed while they are in the cache."""

SPARE = 0.5
"""Zeros between rows, in shares of a row, up to which they are multiplied too."""

_depth = 0


def active() -> bool:
    """Whether a network is in use under `Alone` now."""
    return _depth > 0


class Alone(TorchFunctionMode):
    """A context in which the tensors of a network in use are computed row by row; without gradients, on the CPU."""

    def __enter__(self) -> "Alone":
        global _depth
        _depth += 1
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        global _depth
        _depth -= 1
        super().__exit__(*error)

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        rule = _RULES.get(function)
        return (rule or function)(*args, **(kwargs or {}))


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x W' + b, sixteen rows and sixteen columns at a time."""
    columns, (weight, bias) = len(weight), _whole(weight, bias)
    rows = x.reshape(-1, x.shape[-1])
    out = rows.new_empty(len(rows), len(weight))
    whole = len(rows) // SIDE * SIDE
    if whole:
        _product(rows[:whole], weight.t(), bias, out[:whole])
    if rest := len(rows) - whole:
        last = rows.new_zeros(SIDE, rows.shape[1])
        last[:rest] = rows[whole:]
        out[whole:] = _product(last, weight.t(), bias, out.new_empty(SIDE, len(weight)))[:rest]
    return out[:, :columns].reshape(*x.shape[:-1], columns)


def _whole(weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """With outputs of zeros, so that they are sixteen or a multiple of it."""
    if not (missing := -len(weight) % SIDE):
        return weight, bias
    weight = F.pad(weight, (0, 0) * (weight.ndim - 1) + (0, missing))
    return weight, None if bias is None else F.pad(bias, (0, missing))


def _product(rows: Tensor, weight: Tensor, bias: Tensor | None, out: Tensor) -> Tensor:
    return torch.mm(rows, weight, out=out) if bias is None else torch.addmm(bias, rows, weight, out=out)


def conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """A convolution along images of height one, as sums of matrix products; any other as torch does it."""
    plain = groups == 1 and stride in (1, (1, 1)) and isinstance(padding, tuple) and isinstance(dilation, tuple)
    if not plain or x.shape[2] != 1 or weight.shape[2] != 1 or padding[0]:
        return torch.conv2d(x, weight, bias, stride, padding, dilation, groups)
    return _along(x.squeeze(2).mT, weight.squeeze(2), bias, padding[1], dilation[1]).mT.unsqueeze(2)


def _along(x: Tensor, weight: Tensor, bias: Tensor | None, padding: int, dilation: int) -> Tensor:
    """(B, L, D) to (B, L', E): for each tap, the product with the letters at its offset is added to the sum so far."""
    columns, (weight, bias) = len(weight), _whole(weight, bias)
    by_tap = weight.permute(2, 1, 0).contiguous()
    results = x.shape[1] + 2 * padding - dilation * (weight.shape[2] - 1)
    along = _in_one_line if padding <= SPARE * x.shape[1] else _row_by_row
    return along(x, by_tap, bias, padding, dilation, results)[..., :columns]


def _in_one_line(x: Tensor, by_tap: Tensor, bias: Tensor | None, padding: int, dilation: int, results: int) -> Tensor:
    """All rows lie in one line with zeros between them, and each tap is a product with the line from its offset on."""
    batch, length, _ = x.shape
    taps, pitch = len(by_tap), length + padding
    places = -(-batch * pitch // SIDE) * SIDE
    line = x.new_zeros(places + max(padding, dilation * (taps - 1)), x.shape[2])
    line[padding : padding + batch * pitch].view(batch, pitch, -1)[:, :length] = x
    out = x.new_empty(places, by_tap.shape[2])
    for first in range(0, places, BLOCK):
        block = out[first : first + BLOCK]
        for tap, matrix in enumerate(by_tap):
            seen = line[first + tap * dilation :][: len(block)]
            if tap:
                block.addmm_(seen, matrix)
            else:
                _product(seen, matrix, bias, block)
    return out[: batch * pitch].unflatten(0, (batch, pitch))[:, :results]


def _row_by_row(x: Tensor, by_tap: Tensor, bias: Tensor | None, padding: int, dilation: int, results: int) -> Tensor:
    """The same for short rows of far taps: only what a tap reaches is multiplied, and what it does not is left out."""
    batch, length, _ = x.shape
    out = x.new_zeros(batch, results, by_tap.shape[2])
    if bias is not None:
        out += bias
    for tap, matrix in enumerate(by_tap):
        offset = tap * dilation - padding
        first, last = max(0, -offset), min(results, length - offset)
        if first >= last:
            continue
        places = batch * (last - first)
        seen = x.new_zeros(-(-places // SIDE) * SIDE, x.shape[2])
        seen[:places].view(batch, last - first, -1)[:] = x[:, first + offset : last + offset]
        total = x.new_zeros(len(seen), by_tap.shape[2])
        total[:places].view(batch, last - first, -1)[:] = out[:, first:last]
        out[:, first:last] = total.addmm_(seen, matrix)[:places].view(batch, last - first, -1)
    return out


def _activation(into: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """An activation, number by number, in pieces of which every thread gets whole vectors."""

    def rule(x: Tensor, *settings: Any, **named: Any) -> Tensor:
        named.pop("inplace", None)
        x = x.contiguous()
        out = torch.empty_like(x)
        numbers, results = x.view(-1), out.view(-1)
        count, threads = len(numbers), torch.get_num_threads()
        at = count // LANES * LANES if threads == 1 else count // (GRAIN * threads) * GRAIN * threads
        if at:
            into(numbers[:at], *settings, **named, out=results[:at])
        while at < count:
            piece = numbers[at : at + SERIAL]
            done = len(piece) if len(piece) % LANES == 0 else len(piece) // LANES * LANES
            if done:
                into(piece[:done], *settings, **named, out=results[at : at + done])
            if rest := len(piece) - done:
                last = numbers.new_zeros(LANES)
                last[:rest] = piece[done:]
                results[at + done : at + len(piece)] = into(last, *settings, **named, out=torch.empty_like(last))[:rest]
            at += len(piece)
        return out

    return rule


def matmul(x: Tensor, other: Tensor) -> Tensor:
    """x times a matrix as `linear` has it; any other product as torch does it."""
    return linear(x, other.t()) if other.ndim == 2 and x.ndim > 1 else torch.matmul(x, other)


def attention(query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, **settings: Any) -> Tensor:
    """Attention of sixteen places at least: few that look back at many (a `Reader`) are products of other kernels."""
    places = query.shape[-2]
    if places >= SIDE or places == key.shape[-2]:
        return F.scaled_dot_product_attention(query, key, value, attn_mask=attn_mask, **settings)
    query = F.pad(query, (0, 0, 0, SIDE - places))
    if attn_mask is not None and attn_mask.shape[-2] > 1:
        attn_mask = F.pad(attn_mask, (0, 0, 0, SIDE - places), value=True)
    return F.scaled_dot_product_attention(query, key, value, attn_mask=attn_mask, **settings)[..., :places, :]


def _by_one_thread(transform: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A Fourier transform, whose algorithm is chosen by the number of threads too."""

    def rule(*args: Any, **named: Any) -> Tensor:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            return transform(*args, **named)
        finally:
            torch.set_num_threads(threads)

    return rule


_RULES: dict[Any, Callable[..., Tensor]] = {
    F.linear: linear,
    F.conv2d: conv2d,
    F.gelu: _activation(torch.ops.aten.gelu.out),
    F.silu: _activation(torch.ops.aten.silu.out),
    torch._C._nn.silu: _activation(torch.ops.aten.silu.out),
    torch.sigmoid: _activation(torch.ops.aten.sigmoid.out),
    F.softplus: _activation(torch.ops.aten.softplus.out),
    F.scaled_dot_product_attention: attention,
    torch.Tensor.matmul: matmul,
    torch.Tensor.__matmul__: matmul,
    torch.fft.rfft: _by_one_thread(torch.fft.rfft),
    torch.fft.irfft: _by_one_thread(torch.fft.irfft),
}
