"""Residual addition and RMSNorm, by every path that is here."""

import pytest
import torch

from seqdiff.denoisers import paths
from seqdiff.denoisers.residual import EPSILON, add_norm


@pytest.fixture(params=["reference", "cpu"])
def path(request):
    if reason := paths.unavailable(request.param):
        pytest.skip(reason)
    with paths.use(request.param):
        yield request.param


def expected(update, stream, weight):
    total = update if stream is None else update + stream
    return total / (total.square().mean(-1, keepdim=True) + EPSILON).sqrt() * weight, total


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 3, 7), (3, 100, 16), (1, 300, 118)])
@pytest.mark.parametrize("has_stream", [True, False])
def test_values_and_gradients_are_those_of_the_formula(path, shape, has_stream):
    draw = torch.Generator().manual_seed(0)
    update, stream, *gradients = (torch.randn(shape, generator=draw) for _ in range(4))
    weight = torch.randn(shape[-1], generator=draw)
    given = [update, stream if has_stream else None, weight]
    inputs = [t.requires_grad_() for t in given if t is not None]
    results = add_norm(*given)
    exact = [t if t is None else t.detach().double().requires_grad_() for t in given]
    wanted = expected(*exact)
    for result, want in zip(results, wanted, strict=True):
        torch.testing.assert_close(result.double(), want, rtol=1e-5, atol=1e-6)
    found = torch.autograd.grad(results, inputs, gradients)
    right = torch.autograd.grad(wanted, [t for t in exact if t is not None], [g.double() for g in gradients])
    for one, other in zip(found, right, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=1e-4, atol=1e-5)


def test_either_result_may_be_left_unused(path):
    update, stream, weight = torch.randn(2, 5, 8), torch.randn(2, 5, 8), torch.randn(8)
    for used in (0, 1):
        inputs = [t.clone().requires_grad_() for t in (update, stream, weight)]
        add_norm(*inputs)[used].sum().backward()
        exact = [t.double().requires_grad_() for t in (update, stream, weight)]
        expected(*exact)[used].sum().backward()
        for one, other in zip(inputs, exact, strict=True):
            right = torch.zeros(other.shape) if other.grad is None else other.grad.float()
            found = torch.zeros(one.shape) if one.grad is None else one.grad
            torch.testing.assert_close(found, right, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_what_comes_out_has_the_type_of_what_went_in(path, dtype):
    update, stream, weight = torch.randn(2, 5, 8).to(dtype), torch.randn(2, 5, 8).to(dtype), torch.ones(8, dtype=dtype)
    normed, total = add_norm(update, stream, weight)
    assert normed.dtype == total.dtype == dtype
    assert add_norm(update, stream.float(), weight)[1].dtype == torch.float32  # a stream may be finer than its updates
    torch.testing.assert_close(normed.float(), expected(update.float(), stream.float(), 1)[0], rtol=2e-2, atol=2e-2)


def test_sizes_that_do_not_fit_are_said(path):
    with pytest.raises(ValueError, match=r"\(1, 5, 8\).*do not fit"):
        add_norm(torch.randn(2, 5, 8), torch.randn(1, 5, 8), torch.randn(8))
    with pytest.raises(ValueError, match="do not fit"):
        add_norm(torch.randn(2, 5, 8), None, torch.randn(7))


def test_float64_and_noncontiguous_streams(path):
    update, stream = torch.randn(3, 4, 6).transpose(0, 1), torch.randn(6, 3, 4).permute(2, 1, 0)
    weight = torch.randn(6)
    normed, total = add_norm(update.double(), stream.double(), weight.double())
    assert normed.dtype == total.dtype == torch.float64
    torch.testing.assert_close(add_norm(update, stream, weight)[0].double(), normed, rtol=1e-5, atol=1e-6)
