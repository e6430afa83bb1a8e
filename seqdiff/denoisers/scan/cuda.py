"""The selective scan on GPUs: mamba-ssm's kernels, and causal-conv1d's, where they are installed.

This is the only file that imports them, when a GPU first asks. An installation that is broken is a reason to take
the reference, never a crash. Read against mamba-ssm 2.3.0 to 2.3.2.post1, whose Mamba-1 files are the same, and
causal-conv1d 1.5.2 to 1.7.0.

What has which type, T being the autocast's type, or without autocast that of the inputs (float32, bfloat16, float16):

    T           x, z, the convolution's output, dt, B, C as x_proj and dt_proj give them, y, the layer's output
    float32     A, D, the bias of the steps, and inside the kernels: the steps softplus(dt + bias), exp(step A),
                the state and the sums over it; the gradients of A, D and the bias
    as it is    the kernel of the convolution and its bias, which are summed in float32

The gradients of A, B, C, D and the bias are gathered by atomic additions: their last bits differ from run to run.
"""

import importlib
import importlib.metadata
import importlib.util
import logging
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from seqdiff.denoisers.scan import reference
from seqdiff.denoisers.scan.reference import Direction

logger = logging.getLogger("seqdiff")

MOST_STATES = 256
"""States a channel that mamba-ssm's kernel can hold."""
WIDTHS = (2, 3, 4)
"""Taps of causal-conv1d's kernel."""
ADDRESSES = 2**32
"""Elements that the kernels can tell apart: causal-conv1d, and mamba-ssm before 2.3.2, count them in 32 bits, and
give wrong numbers beyond. Larger batches are computed in pieces."""
WORD = 16
"""Bytes that the kernels load at once where the length allows it: rows must begin at multiples of it."""


class Kernels(NamedTuple):
    """What the two packages offer. `convolution` and `layer` are None without a causal-conv1d that works."""

    scan: Callable
    convolution: Callable | None
    layer: Callable | None
    description: str


def unavailable() -> str | None:
    """Why mamba-ssm cannot be used, or None when it can."""
    found = _import()
    return found if isinstance(found, str) else None


def described() -> str:
    """The versions in use."""
    return kernels().description


def kernels() -> Kernels:
    """The functions of both packages; only where `unavailable` gives None."""
    found = _import()
    assert isinstance(found, Kernels), found
    return found


@cache
def _import() -> Kernels | str:
    """The functions of both packages, or in one clause why not."""
    if importlib.util.find_spec("mamba_ssm") is None:
        return "mamba-ssm is not installed (README, 'Train on hg38 with GPUs', has the line that does it)"
    try:
        scans = importlib.import_module("mamba_ssm.ops.selective_scan_interface")
        scan, layer = scans.selective_scan_fn, scans.mamba_inner_fn
    except Exception as error:  # packages compiled for another torch fail in every way there is
        return (
            f"{_version('mamba-ssm')} is installed, but does not import ({_first_line(error)}): {_again('mamba-ssm')}"
        )
    try:
        convolution = importlib.import_module("causal_conv1d").causal_conv1d_fn
        # mamba-ssm looks for these itself, and its layer cannot do without.
        if getattr(scans, "causal_conv1d_fwd_function", None) is None:
            raise ImportError("too old for this mamba-ssm, which wants 1.5.2")
    except Exception as error:
        missing = importlib.util.find_spec("causal_conv1d") is None
        trouble = "not installed" if missing else f"does not work ({_first_line(error)})"
        return Kernels(
            scan, None, None, f"{_version('mamba-ssm')}; causal-conv1d {trouble}: torch's convolution instead"
        )
    return Kernels(scan, convolution, layer, f"{_version('mamba-ssm')} and {_version('causal-conv1d')}")


def _version(package: str) -> str:
    try:
        return f"{package} {importlib.metadata.version(package)}"
    except importlib.metadata.PackageNotFoundError:
        return package


def _again(package: str) -> str:
    return f"install it again for this torch: pip install --no-build-isolation --no-deps --force-reinstall {package}"


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0][:200]}" if str(error) else type(error).__name__


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
    """What `seqdiff.denoisers.scan.selective_scan` says, by mamba-ssm's `selective_scan_fn`.

    Its kernel wants one type for u, delta, B, C and z, the widest of theirs here, and time last in memory. It scans
    forwards, so the reverse is flips. It starts from zero, and gives no gradient to its last state: what asks for
    either goes to the reference, which is said once, and so do more than 256 states. No grid of threads is empty, so
    an empty tensor goes there as well, where it costs nothing.
    """
    tensors = (u, delta, A, B, C, D, z, delta_bias)
    learns = torch.is_grad_enabled() and any(tensor is not None and tensor.requires_grad for tensor in tensors)
    reason = None
    if initial_state is not None:
        reason = "mamba-ssm starts from zero, and was given an initial state"
    elif return_last_state and learns:
        reason = "mamba-ssm gives its last state no gradient (torch.no_grad() is enough where none is needed)"
    elif A.shape[1] > MOST_STATES:
        reason = f"mamba-ssm's kernel holds {MOST_STATES} states a channel, and here are {A.shape[1]}"
    if reason and u.numel():
        _say(reason)
    if reason or not u.numel():
        return reference.selective_scan(
            u, delta, A, B, C, D, z, delta_bias, delta_softplus,
            reverse=reverse, initial_state=initial_state, return_last_state=return_last_state,
        )  # fmt: skip
    answer_type, dtype = u.dtype, u.dtype
    for tensor in (delta, B, C):
        dtype = torch.promote_types(dtype, tensor.dtype)
    u, delta, B, C, z = (None if t is None else _time_last(t.to(dtype), reverse) for t in (u, delta, B, C, z))
    A, D, delta_bias = (None if t is None else t.float().contiguous() for t in (A, D, delta_bias))
    parts = [
        kernels().scan(u, delta, A, B, C, D, z, delta_bias, delta_softplus, return_last_state)
        for u, delta, B, C, z in _pieces(u, delta, B, C, z)
    ]
    y, last = map(_joined, zip(*parts, strict=True)) if return_last_state else (_joined(parts), None)
    y = (y.flip(-1) if reverse else y).to(answer_type)
    return y if last is None else (y, last)


_said: set[str] = set()


# The compiler runs what is marked so when it traces.
@torch.compiler.assume_constant_result
def _say(reason: str) -> None:
    """Say once in a process what mamba-ssm cannot compute."""
    if reason not in _said:
        _said.add(reason)
        logger.warning("this scan runs in plain torch, which is many times slower: %s", reason)


# mamba-ssm's functions are no operators of torch: the compiler stops here, once a layer, and not many times within.
@torch.compiler.disable
def mix(
    xz: Float[Tensor, "B L 2*E"],
    inside: Float[Tensor, "B L 1"] | None,
    forward: Direction,
    backward: Direction | None,
    out_proj: Float[Tensor, "W E"],
) -> Float[Tensor, "B L W"]:
    """What `seqdiff.denoisers.scan.mix` says: without pads by mamba-ssm's `mamba_inner_fn`, once a direction.

    That function computes the convolution and the steps again in its backward pass instead of keeping them. With
    pads, without causal-conv1d, or with a convolution of other than 2 to 4 taps, the parts are called one by one.
    """
    if not xz.numel():
        return reference.mix(xz, inside, forward, backward, out_proj)
    device = xz.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else xz.dtype
    # Types are given by hand from here on, as the head of this file lists them, in the backward pass as well.
    with torch.autocast(device, enabled=False):
        xz = _time_last(xz.to(dtype).transpose(1, 2))
        inside = None if inside is None else inside.to(dtype).transpose(1, 2)
        forward, backward = (way if way is None else _in_type(way, dtype) for way in (forward, backward))
        return _joined([_mix(*piece, forward, backward, out_proj.to(dtype)) for piece in _pieces(xz, inside)])


def _mix(
    xz: Float[Tensor, "B 2*E L"],
    inside: Float[Tensor, "B 1 L"] | None,
    forward: Direction,
    backward: Direction | None,
    out_proj: Float[Tensor, "W E"],
) -> Float[Tensor, "B L W"]:
    layer = kernels().layer
    if layer and inside is None and forward.conv_weight.shape[-1] in WIDTHS and forward.A_log.shape[1] <= MOST_STATES:
        y = _layer(layer, xz, forward, out_proj)
        return y if backward is None else y + _layer(layer, xz.flip(-1), backward, out_proj).flip(1)
    y = _one_way(xz, inside, forward)
    if backward is not None:
        y = y + _one_way(xz.flip(-1), None if inside is None else inside.flip(-1), backward).flip(-1)
    return F.linear(y.transpose(1, 2), out_proj)


def _layer(layer: Callable, xz: Tensor, direction: Direction, out_proj: Tensor) -> Float[Tensor, "B L W"]:
    """`mamba_inner_fn` with B and C computed from x: xz (B, 2 E, L), read forwards."""
    conv_weight, conv_bias, x_proj, dt_proj, dt_bias, _, D = direction
    return layer(
        xz, conv_weight, conv_bias, x_proj, dt_proj, out_proj, None, direction.A,
        D=D, delta_bias=dt_bias, delta_softplus=True,
    )  # fmt: skip


def _one_way(xz: Tensor, inside: Tensor | None, direction: Direction) -> Float[Tensor, "B E L"]:
    """The scan of one direction before out_proj: xz (B, 2 E, L), read forwards; time stays last in memory."""
    x, z = xz.chunk(2, 1)
    if inside is not None:
        x = x * inside
    conv_weight, conv_bias, x_proj, dt_proj, dt_bias, _, D = direction
    convolution, taps = kernels().convolution, conv_weight.shape[-1]
    if convolution and taps in WIDTHS:
        x = convolution(x, conv_weight.squeeze(1), conv_bias, activation="silu")
    else:
        x = F.pad(x, (taps - 1, 0))
        x = F.silu(F.conv1d(x, conv_weight.to(x.dtype), conv_bias.to(x.dtype), groups=len(conv_weight)))
    if inside is not None:
        x = x * inside
    low_rank, B, C = torch.matmul(x_proj, x).split(direction.sizes, 1)
    step = torch.matmul(dt_proj, low_rank)
    return selective_scan(x, step, direction.A, B, C, D, z, dt_bias, True)


def _in_type(direction: Direction, dtype: torch.dtype) -> Direction:
    """Projections in the type of what they are applied to; the bias of the steps and D in float32."""
    return direction._replace(
        x_proj=direction.x_proj.to(dtype), dt_proj=direction.dt_proj.to(dtype),
        dt_bias=direction.dt_bias.float(), D=direction.D.float(),
    )  # fmt: skip


def _pieces(*tensors: Tensor | None) -> Iterator[tuple[Tensor | None, ...]]:
    """The tensors in pieces of rows that the kernels can address; mostly one piece."""
    # A tensor expanded over the rows has no stride there.
    rows = max(1, ADDRESSES // max(1, *(tensor.stride(0) for tensor in tensors if tensor is not None)))
    for first in range(0, len(tensors[0]), rows):
        yield tuple(None if tensor is None else tensor[first : first + rows] for tensor in tensors)


def _joined(pieces: Sequence[Tensor]) -> Tensor:
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces)


def _time_last(tensor: Float[Tensor, "B C L"], flip: bool = False) -> Float[Tensor, "B C L"]:
    """The tensor with time contiguous in memory and rows that begin where the kernels may load whole words."""
    each = WORD // tensor.element_size()
    whole = all(place % each == 0 for place in (tensor.storage_offset(), *tensor.stride()[:-1]))
    if tensor.stride(-1) != 1 or (tensor.shape[-1] % each == 0 and not whole):
        tensor = tensor.clone(memory_format=torch.contiguous_format)
    return tensor.flip(-1) if flip else tensor
