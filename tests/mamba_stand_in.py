"""A stand-in for mamba-ssm and causal-conv1d: their signatures and what their kernels insist on, computed by torch.

Signatures and checks were read in the packages' sources (`mamba_ssm/ops/selective_scan_interface.py`,
`csrc/selective_scan/selective_scan.cpp`, `causal_conv1d/causal_conv1d_interface.py`, `csrc/causal_conv1d.cpp`) and the
vector loads in their `*_fwd_kernel.cuh` and `causal_conv1d_fwd.cu`. What the kernels check on a GPU is an
AssertionError here.
"""

import importlib.util
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

import torch
import torch.nn.functional as F

SIGNATURES = {
    # mamba-ssm 2.3.0, 2.3.1 and 2.3.2.post1: the same file
    "selective_scan_fn": (
        "(u, delta, A, B, C, D=None, z=None, delta_bias=None, delta_softplus=False, return_last_state=False)"
    ),
    "mamba_inner_fn": (
        "(xz, conv1d_weight, conv1d_bias, x_proj_weight, delta_proj_weight, out_proj_weight, out_proj_bias, A, B=None, "
        "C=None, D=None, delta_bias=None, B_proj_bias=None, C_proj_bias=None, delta_softplus=True, checkpoint_lvl=1, "
        "b_rms_weight=None, c_rms_weight=None, dt_rms_weight=None, b_c_dt_rms_eps=1e-06)"
    ),
    # causal-conv1d 1.5.2, 1.6.0 and 1.7.0
    "causal_conv1d_fn": (
        "(x, weight, bias=None, seq_idx=None, initial_states=None, return_final_states=False, final_states_out=None, "
        "activation=None)"
    ),
}

HALVES = (torch.float32, torch.float16, torch.bfloat16)


def words(tensor):
    """Rows begin at multiples of 16 bytes: where the length allows it, the kernels load 16 bytes at once."""
    each = 16 // tensor.element_size()
    if tensor.shape[-1] % each:
        return True
    return tensor.storage_offset() % each == 0 and all(stride % each == 0 for stride in tensor.stride()[:-1])


def selective_scan_fn(
    u, delta, A, B, C, D=None, z=None, delta_bias=None, delta_softplus=False, return_last_state=False
):
    rows, width, length = u.shape
    states = A.shape[1]
    assert u.dtype in HALVES
    assert A.dtype == torch.float32
    assert states <= 256
    assert A.shape == (width, states)
    for tensor in (u, delta, *(() if z is None else (z,))):
        assert tensor.dtype == u.dtype
        assert tensor.shape == (rows, width, length)
    for tensor in (B, C):
        assert tensor.dtype == u.dtype
        assert tensor.shape == (rows, states, length)
    for tensor in (u, delta, B, C, *(() if z is None else (z,))):
        # The real function copies what is not so; that copy is ours to avoid.
        assert tensor.stride(-1) == 1 or length == 1
        assert words(tensor)
        assert rows * tensor.stride(0) <= ADDRESSES or rows == 1
    for tensor in (D, delta_bias):
        if tensor is not None:
            assert tensor.dtype == torch.float32
            assert tensor.shape == (width,)
            assert tensor.stride(-1) == 1
    CALLS.append("selective_scan_fn")
    with torch.autocast(u.device.type, enabled=False):  # which does not reach into a kernel
        return _scan(u, delta, A, B, C, D, z, delta_bias, delta_softplus, return_last_state)


def _scan(u, delta, A, B, C, D, z, delta_bias, delta_softplus, return_last_state=False):
    """The recurrence in float32, its answer in the type of u. The last state carries no gradient."""
    x, step, b, c = (tensor.float() for tensor in (u, delta, B, C))
    if delta_bias is not None:
        step = step + delta_bias[:, None]
    if delta_softplus:
        step = F.softplus(step)
    state, y = x.new_zeros(*x.shape[:2], A.shape[1]), []
    for t in range(x.shape[2]):
        decay = torch.exp(step[:, :, t, None] * A)
        state = decay * state + (step[:, :, t] * x[:, :, t])[..., None] * b[:, None, :, t]
        y.append(torch.einsum("bdn,bn->bd", state, c[:, :, t]))
    y = torch.stack(y, 2)
    if D is not None:
        y = y + x * D[:, None]
    if z is not None:
        y = y * F.silu(z.float())
    y = y.to(u.dtype)
    return (y, state.detach()) if return_last_state else y


def causal_conv1d_fn(
    x,
    weight,
    bias=None,
    seq_idx=None,
    initial_states=None,
    return_final_states=False,
    final_states_out=None,
    activation=None,
):
    rows, width, _ = x.shape
    assert activation in (None, "silu", "swish")
    assert seq_idx is None
    assert initial_states is None
    assert not return_final_states
    assert x.dtype in HALVES
    assert weight.dtype in HALVES
    assert weight.dim() == 2
    assert len(weight) == width
    assert 2 <= weight.shape[1] <= 4
    if bias is not None:
        assert bias.dtype == weight.dtype
        assert bias.shape == (width,)
        assert bias.stride(-1) == 1
    assert x.stride(2) == 1 or x.stride(1) == 1
    if x.stride(1) == 1 and x.stride(2) > 1:  # channels last
        assert width % 8 == 0
        assert x.stride(2) % 8 == 0
        assert x.stride(0) % 8 == 0
    else:
        assert words(x)
    assert rows * x.stride(0) <= ADDRESSES or rows == 1
    CALLS.append("causal_conv1d_fn")
    with torch.autocast(x.device.type, enabled=False):
        y = F.conv1d(F.pad(x.float(), (weight.shape[1] - 1, 0)), weight.float()[:, None], _float(bias), groups=width)
    return (y if activation is None else F.silu(y)).to(x.dtype)


def mamba_inner_fn(
    xz,
    conv1d_weight,
    conv1d_bias,
    x_proj_weight,
    delta_proj_weight,
    out_proj_weight,
    out_proj_bias,
    A,
    B=None,
    C=None,
    D=None,
    delta_bias=None,
    B_proj_bias=None,
    C_proj_bias=None,
    delta_softplus=True,
    checkpoint_lvl=1,
    b_rms_weight=None,
    c_rms_weight=None,
    dt_rms_weight=None,
    b_c_dt_rms_eps=1e-6,
):
    assert (B, C, B_proj_bias, C_proj_bias, b_rms_weight, c_rms_weight, dt_rms_weight) == (None,) * 7
    assert checkpoint_lvl in (0, 1)
    assert xz.stride(-1) == 1
    assert words(xz)
    assert conv1d_weight.shape[1] == 1
    # The real function casts them under autocast (of GPUs: it asks torch.is_autocast_enabled()); we do it always.
    assert x_proj_weight.dtype == delta_proj_weight.dtype == out_proj_weight.dtype == xz.dtype
    assert not torch.is_autocast_enabled(xz.device.type)
    CALLS.append("mamba_inner_fn")
    x, z = xz.chunk(2, dim=1)
    states = A.shape[1]
    x = causal_conv1d_fn(x, conv1d_weight.squeeze(1), conv1d_bias, activation="silu")
    projected = F.linear(x.transpose(1, 2), x_proj_weight)
    low_rank, B, C = projected.split([delta_proj_weight.shape[1], states, states], -1)
    delta = F.linear(low_rank, delta_proj_weight).transpose(1, 2).contiguous()
    B, C = (tensor.transpose(1, 2).contiguous() for tensor in (B, C))
    y = selective_scan_fn(x, delta, A, B, C, D, z, delta_bias, delta_softplus)
    return F.linear(y.transpose(1, 2), out_proj_weight, out_proj_bias)


def _float(tensor):
    return None if tensor is None else tensor.float()


ADDRESSES = 2**32
"""Kernels index in 32 bits (mamba-ssm before 2.3.2, causal-conv1d to 1.7.0 at least)."""
CALLS: list[str] = []
"""The functions in the order in which they were called."""


def install(monkeypatch, *, convolution=True):
    """Let the imports of both packages find these functions; without `convolution`, of mamba-ssm alone."""
    parts = {"mamba_ssm": {}, "mamba_ssm.ops": {}, "mamba_ssm.ops.selective_scan_interface": {
        "selective_scan_fn": selective_scan_fn,
        "mamba_inner_fn": mamba_inner_fn,
        "causal_conv1d_fwd_function": causal_conv1d_fn if convolution else None,
    }}  # fmt: skip
    if convolution:
        parts["causal_conv1d"] = {"causal_conv1d_fn": causal_conv1d_fn}
    else:
        monkeypatch.setitem(sys.modules, "causal_conv1d", None)
    for name, members in parts.items():
        module = ModuleType(name)
        module.__spec__ = ModuleSpec(name, None, is_package=True)
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, name, module)
    CALLS.clear()


def install_compiled(monkeypatch):
    """Let the packages' own Python files find compiled modules, where those are not there."""
    for name, members in {
        "selective_scan_cuda": {"fwd": _scan_forward, "bwd": _scan_backward},
        "causal_conv1d_cuda": {"causal_conv1d_fwd": _convolve, "causal_conv1d_bwd": _convolve_backward},
    }.items():
        if importlib.util.find_spec(name) is None or not torch.cuda.is_available():
            module = ModuleType(name)
            vars(module).update(members)
            monkeypatch.setitem(sys.modules, name, module)


def _scan_forward(u, delta, A, B, C, D, z, delta_bias, delta_softplus):
    """out before the gate, the state after every 2,048 steps (here the last alone), out after the gate."""
    B, C = B.squeeze(1), C.squeeze(1)
    out, last = selective_scan_fn(u, delta, A, B, C, D, None, delta_bias, delta_softplus, True)
    states = torch.zeros(*u.shape[:2], -(-u.shape[2] // 2048), 2 * A.shape[1])
    states[:, :, -1, 1::2] = last
    return [out, states] if z is None else [out, states, (out.float() * F.silu(z.float())).to(u.dtype)]


def _scan_backward(u, delta, A, B, C, D, z, delta_bias, dout, x, out, dz, delta_softplus, recompute_out_z):
    assert dout.dtype == u.dtype
    assert dout.stride(-1) == 1
    assert x.dtype == torch.float32
    given = [u, delta, A, B.squeeze(1), C.squeeze(1), D, z, delta_bias]
    given = [None if tensor is None else tensor.detach().requires_grad_() for tensor in given]
    with torch.enable_grad():
        y = _scan(*given, delta_softplus)
    learning = [tensor for tensor in given if tensor is not None]
    found = iter(torch.autograd.grad(y, learning, dout))
    du, ddelta, dA, dB, dC, dD, gate, dbias = (None if tensor is None else next(found) for tensor in given)
    if dz is not None:
        assert dz.stride(-1) == 1
        gate = dz.copy_(gate)
    answers = [du, ddelta, dA, dB.unsqueeze(1), dC.unsqueeze(1), dD, dbias]
    return [*answers, *(() if z is None else (gate,)), *((y.detach(),) if recompute_out_z else ())]


def _convolve(x, weight, bias, seq_idx, initial_states, out, final_states_out, silu_activation):
    assert final_states_out is None
    out.copy_(
        causal_conv1d_fn(x, weight, bias, seq_idx, initial_states, activation="silu" if silu_activation else None)
    )


def _convolve_backward(
    x, weight, bias, dout, seq_idx, initial_states, dfinal_states, dx, dweight, dbias, dinitial_states, silu_activation
):
    assert dweight.dtype == dbias.dtype == torch.float32
    assert silu_activation
    assert dx.dtype == dout.dtype == x.dtype
    # By hand: inside of an operator of torch nothing is recorded.
    past, taps = weight.shape[1] - 1, weight.float()[:, None]
    windows = F.pad(x.float(), (past, 0)).unfold(2, past + 1, 1)
    before = (windows * taps).sum(-1) + bias.float()[:, None]
    share = before.sigmoid()
    inner = dout.float() * share * (1 + before * (1 - share))
    dweight.copy_((inner[..., None] * windows).sum((0, 2)))
    dbias.copy_(inner.sum((0, 2)))
    dx.copy_((F.pad(inner, (0, past)).unfold(2, past + 1, 1) * taps.flip(-1)).sum(-1))
