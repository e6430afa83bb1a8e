"""What only the plain-torch scan has: float64, derivatives against finite differences, an operator of its own."""

import pytest
import torch
from scans import arguments, layer, relative, sequential

from seqdiff.denoisers.scan import Direction, mix, reference, selective_scan
from seqdiff.denoisers.scan.reference import CHUNK


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("length", [1, CHUNK - 1, CHUNK, 2 * CHUNK + 3])
def test_double_precision_is_exact(length, reverse):
    given = arguments(length, dtype=torch.float64, initial_state=True)
    settings = {"delta_softplus": True, "reverse": reverse, "return_last_state": True}
    answers, truths = selective_scan(**given, **settings), sequential(**given, **settings)
    for answer, truth in zip(answers, truths, strict=True):
        assert answer.dtype == torch.float64
        assert relative(answer, truth) < 1e-14


@pytest.mark.parametrize("reverse", [False, True])
def test_gradients_match_finite_differences(reverse):
    given = arguments(CHUNK + 2, rows=1, width=2, states=2, dtype=torch.float64, initial_state=True)
    names = list(given)

    def scan(*tensors):
        named = dict(zip(names, tensors, strict=True))
        return selective_scan(**named, delta_softplus=True, reverse=reverse, return_last_state=True)

    assert torch.autograd.gradcheck(scan, tuple(given.values()))


def test_gradients_of_the_layer_match_finite_differences():
    xz, forward, backward, out_proj = layer(5, channels=2, states=2, taps=3, rank=1, width=2, dtype=torch.float64)
    inside = torch.ones(2, 5, 1, dtype=torch.float64)
    inside[0, 3:] = 0
    size = len(forward)

    def mixed(xz, out_proj, *parameters):
        return mix(xz, inside, Direction(*parameters[:size]), Direction(*parameters[size:]), out_proj)

    assert torch.autograd.gradcheck(mixed, (xz, out_proj, *forward, *backward))


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
    state = torch.randn(2, 4, 3, requires_grad=True)
    torch.library.opcheck(torch.ops.seqdiff.recurrence, (*call[:5], state, *call[6:]))


def test_the_convolution_looks_back_in_the_direction_of_reading():
    x = torch.tensor([[[1.0], [2.0], [3.0], [4.0]]])
    weight, bias = torch.tensor([[[100.0, 10.0, 1.0]]]), torch.tensor([0.5])
    forwards = reference.causal_convolution(x, weight, bias, reverse=False)
    assert forwards.flatten().tolist() == [1.5, 12.5, 123.5, 234.5]
    backwards = reference.causal_convolution(x, weight, bias, reverse=True)
    assert backwards.flatten().tolist() == [321.5, 432.5, 43.5, 4.5]
