"""The plain-torch scan against a loop over time in float64."""

import pytest
import torch
import torch.nn.functional as F

from seqdiff.denoisers.scan import selective_scan
from seqdiff.denoisers.scan.reference import CHUNK


def sequential(u, delta, A, B, C, D=None, z=None, delta_bias=None, delta_softplus=False, *, reverse=False):
    """One step after the other, in float64, by autograd."""
    u, delta, A, B, C = (tensor.double() for tensor in (u, delta, A, B, C))
    if delta_bias is not None:
        delta = delta + delta_bias.double()[:, None]
    if delta_softplus:
        delta = F.softplus(delta)
    state, y = torch.zeros(*u.shape[:2], A.shape[1], dtype=torch.float64), [None] * u.shape[2]
    for t in reversed(range(u.shape[2])) if reverse else range(u.shape[2]):
        kept = torch.exp(delta[:, :, t, None] * A) * state
        state = kept + (delta[:, :, t] * u[:, :, t])[..., None] * B[:, None, :, t]
        y[t] = (state * C[:, None, :, t]).sum(-1)
    y = torch.stack(y, -1)
    if D is not None:
        y = y + u * D.double()[:, None]
    return y if z is None else y * F.silu(z.double())


def arguments(length, rows=2, width=3, states=4, dtype=torch.float32):
    draw = torch.Generator().manual_seed(length)

    def normal(*shape):
        return torch.randn(*shape, generator=draw, dtype=torch.float64).to(dtype).requires_grad_()

    over_time = {name: normal(rows, width, length) for name in ("u", "delta", "z")}
    inputs = {name: normal(rows, states, length) for name in ("B", "C")}
    A = (-torch.rand(width, states, generator=draw, dtype=torch.float64) * 3).to(dtype).requires_grad_()
    return over_time | inputs | {"A": A, "D": normal(width), "delta_bias": normal(width)}


def relative(answer, truth):
    return ((answer - truth).norm() / truth.norm().clamp(min=1e-12)).item()


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("length", [1, CHUNK - 1, CHUNK, 2 * CHUNK + 3])
def test_values_and_gradients_are_those_of_the_loop(length, reverse):
    given = arguments(length)
    y = selective_scan(**given, delta_softplus=True, reverse=reverse)
    truth = sequential(**given, delta_softplus=True, reverse=reverse)
    assert y.dtype == torch.float32
    assert relative(y, truth) < 1e-6
    weight = torch.randn(y.shape, generator=torch.Generator().manual_seed(0))
    ours = torch.autograd.grad((y * weight).sum(), list(given.values()))
    theirs = torch.autograd.grad((truth * weight.double()).sum(), list(given.values()))
    for name, one, other in zip(given, ours, theirs, strict=True):
        assert relative(one, other) < 1e-5, name


def test_bare_recurrence_takes_delta_as_it_is():
    given = arguments(21)
    bare = {name: given[name] for name in ("u", "delta", "A", "B", "C")}
    bare["delta"] = bare["delta"].abs()
    torch.testing.assert_close(selective_scan(**bare).double(), sequential(**bare), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("reverse", [False, True])
def test_double_precision_gradients_match_finite_differences(reverse):
    given = arguments(CHUNK + 2, rows=1, width=2, states=2, dtype=torch.float64)
    names = list(given)

    def scan(*tensors):
        return selective_scan(**dict(zip(names, tensors, strict=True)), delta_softplus=True, reverse=reverse)

    assert scan(*given.values()).dtype == torch.float64
    assert torch.autograd.gradcheck(scan, tuple(given.values()))


def test_reverse_is_the_scan_of_the_flipped_sequence():
    given = arguments(37)
    flipped = {name: tensor.flip(-1) if tensor.dim() == 3 else tensor for name, tensor in given.items()}
    expected = selective_scan(**flipped, delta_softplus=True).flip(-1)
    backwards = selective_scan(**given, delta_softplus=True, reverse=True)
    torch.testing.assert_close(backwards, expected, rtol=1e-6, atol=1e-6)


def test_half_precision_inputs_keep_the_state_in_single():
    given = {name: tensor.detach() for name, tensor in arguments(200).items()}
    half = {name: tensor.bfloat16() for name, tensor in given.items()}
    y = selective_scan(**half, delta_softplus=True)
    assert y.dtype == torch.bfloat16
    assert relative(y.double(), sequential(**half, delta_softplus=True)) < 4e-3


def test_no_step_is_kept_when_no_gradient_is_asked_for():
    given = {name: tensor.detach() for name, tensor in arguments(40).items()}
    time_first = [given[name].permute(2, 0, 1) for name in ("u", "delta")]
    over_states = [given[name].permute(2, 0, 1) for name in ("B", "C")]
    for keep, chunks in ((False, 0), (True, -(-40 // CHUNK))):
        y, last, before = torch.ops.seqdiff.recurrence(*time_first, given["A"].t(), *over_states, None, False, keep)
        assert y.shape == (40, 2, 3)
        assert last.shape == (2, 4, 3)
        assert before.shape == (chunks, 2, 4, 3)


def test_operator_tells_the_compiler_what_it_does():
    given = arguments(CHUNK + 1)
    time_first = [given[name].permute(2, 0, 1) for name in ("u", "delta")]
    over_states = [given[name].permute(2, 0, 1) for name in ("B", "C")]
    call = (*time_first, given["A"].t(), *over_states, None, True, True)
    torch.library.opcheck(torch.ops.seqdiff.recurrence, call)
