import pytest
import torch
from torch.autograd import gradcheck

from seqdiff.denoisers.long_convolution import fast_period, long_convolution


def by_definition(u, ahead, back=None):
    """Every pair of positions."""
    length, taps = u.shape[-1], ahead.shape[-1]
    columns = []
    for i in range(length):
        y = sum(ahead[:, j] * u[..., i - j] for j in range(taps) if i >= j)
        if back is not None:
            y = y + sum(back[:, j] * u[..., i + j] for j in range(1, taps) if i + j < length)
        columns.append(y)
    return torch.stack(columns, -1)


def drawn(length, taps, rows=2, channels=3, dtype=torch.float64):
    rng = torch.Generator().manual_seed(length)
    shapes = (rows, channels, length), (channels, taps), (channels, taps)
    return [torch.randn(shape, generator=rng, dtype=torch.float64).to(dtype).requires_grad_() for shape in shapes]


@pytest.mark.parametrize("sides", [1, 2])
@pytest.mark.parametrize(("length", "taps"), [(1, 1), (2, 2), (9, 9), (16, 16), (37, 37), (37, 5), (37, 1), (100, 64)])
def test_it_is_the_convolution_of_every_pair(length, taps, sides):
    u, *filters = drawn(length, taps)
    answer, truth = long_convolution(u, *filters[:sides]), by_definition(u, *filters[:sides])
    torch.testing.assert_close(answer, truth, rtol=0, atol=1e-12)
    weight = torch.randn(truth.shape, dtype=torch.float64)
    inputs = u, *filters[:sides]
    pairs = (torch.autograd.grad((y * weight).sum(), inputs, materialize_grads=True) for y in (answer, truth))
    for one, other in zip(*pairs, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-11)


def test_gradients_match_finite_differences():
    u, ahead, back = drawn(11, 7)
    assert gradcheck(long_convolution, (u, ahead))
    assert gradcheck(long_convolution, (u, ahead, back))


@pytest.mark.parametrize("only", [0, 1, 2])
def test_what_needs_no_gradient_gets_none(only):
    inputs = [tensor.detach().requires_grad_(place == only) for place, tensor in enumerate(drawn(11, 7))]
    long_convolution(*inputs).sum().backward()
    assert [tensor.grad is not None for tensor in inputs] == [place == only for place in range(3)]


def test_single_precision_is_close_over_thousands_of_positions():
    exact = drawn(8192, 8192, rows=1, channels=2)
    single = long_convolution(*[tensor.detach().float() for tensor in exact])
    truth = long_convolution(*exact).detach()
    assert single.dtype == torch.float32
    assert (single - truth).abs().max() < 1e-5 * truth.abs().max()


def test_autocast_leaves_it_in_single_precision():
    u, ahead, back = drawn(40, 40, dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(long_convolution(u, ahead, back), long_convolution(u, ahead, back))
        y = long_convolution(u.bfloat16(), ahead, back)
    assert y.dtype == torch.float32
    torch.testing.assert_close(y, long_convolution(u.bfloat16().float(), ahead, back), rtol=0, atol=0)


def test_periods_are_even_no_shorter_than_asked_and_little_longer():
    for least in range(1, 5000):
        period = fast_period(least)
        assert period >= least
        assert period % 2 == 0
        assert period <= max(8, 1.26 * least)
