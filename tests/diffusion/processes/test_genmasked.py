"""GenMD4 against the exact posterior of a tiny joint, which depends on the time when powers differ."""

import itertools

import numpy as np
import pytest
import torch
from oracles import FixedStreams, TinyJoint
from pydantic import ValidationError

from seqdiff.data.batches import Batch
from seqdiff.diffusion.processes.genmasked import GenMasked, Powers
from seqdiff.diffusion.processes.masked import Masked
from seqdiff.streams import Streams

tiny = TinyJoint()
M = tiny.mask
patterns = torch.tensor(list(itertools.product([False, True], repeat=4)))
SKEWED = (0.6, 1.0, 1.9)


class Timed:
    """The exact posterior of `tiny` when symbol v is masked with probability t^(w_v), and a network's process."""

    symbols = 3

    def __init__(self, powers, initial=1.0):
        self.learned = Powers(3, initial).double()
        with torch.no_grad():
            self.learned.raw.copy_(torch.tensor(powers, dtype=torch.float64).expm1().log())

    def __call__(self, tokens, time):
        hidden = tokens == M
        agrees = (hidden[:, None] | (tokens[:, None] == tiny.strings)).all(-1)
        of_string = time.double()[:, None, None] ** self.learned().detach()[tiny.strings]
        weight = tiny.p * agrees * torch.where(hidden[:, None], of_string, 1.0).prod(-1)
        letters = torch.nn.functional.one_hot(tiny.strings, 3).double()
        table = torch.einsum("bs,slk->blk", weight, letters).clamp(min=1e-300).log()
        return torch.where(hidden[..., None], table, torch.nan)


class Wrong(torch.nn.Module):
    """Any network that takes the time, with powers of its own."""

    symbols = 3

    def __init__(self, powers):
        super().__init__()
        self.learned = Powers(3, 1.0).double()
        with torch.no_grad():
            self.learned.raw.copy_(torch.tensor(powers, dtype=torch.float64).expm1().log())
        self.table = torch.nn.Parameter(torch.randn(4, 3, dtype=torch.float64, generator=torch.manual_seed(1)))

    def forward(self, tokens, time):
        return self.table[tokens].cumsum(1) * (1 + time[:, None, None])


def mean_density(process, denoise, x, t):
    """E over all masks of f, at each of the times t, with gradient in the powers."""
    n = len(t)
    tokens, hidden = x.expand(16 * n, -1), patterns.repeat(n, 1)
    times, w = t.repeat_interleave(16), denoise.learned()
    share = process.masked(times, tokens, w)
    q = torch.where(hidden, share, 1 - share).prod(1)
    logits = denoise(tokens.masked_fill(hidden, M), times)
    return (q * process.density(logits, tokens, hidden, times, w).nan_to_num().sum(1)).view(n, 16).sum(1)


@pytest.mark.parametrize("powers", [SKEWED, (1.0, 1.0, 1.0), (3.0, 0.2, 1.0)])
def test_the_bound_is_minus_log_p_whatever_the_powers(powers):
    process, denoise = GenMasked(last_visible=1e-15), Timed(powers)
    points, weights = np.polynomial.legendre.leggauss(80)
    u = torch.from_numpy((points + 1) / 2)
    jacobian = torch.from_numpy(weights / 2) * 6 * u**5  # t = u^6 takes the singularities at 0
    for x, p in zip(tiny.strings[::11], tiny.p[::11], strict=True):
        with torch.no_grad():
            total = (jacobian * mean_density(process, denoise, x, u**6)).sum()
        assert total.item() == pytest.approx(-p.log().item(), abs=1e-6)


def test_with_its_ends_the_bound_is_above_the_entropy_and_without_them_below():
    """On average over strings: of a single one, the cut process is a model of its own."""
    process, denoise = GenMasked(last_visible=1e-2, first_time=5e-2), Timed(SKEWED)
    points, weights = np.polynomial.legendre.leggauss(30)
    t = torch.from_numpy((points + 1) / 2) * 0.95 + 0.05
    within = ends = 0.0
    with torch.no_grad():
        for x, p in zip(tiny.strings, tiny.p, strict=True):
            within += p * (torch.from_numpy(weights / 2) * 0.95 * mean_density(process, denoise, x, t)).sum()
            ends += p * process.ends(x[None], torch.ones(1, 4, dtype=torch.bool), denoise.learned()).sum()
    assert tiny.entropy < within + ends < tiny.entropy + 0.1
    assert within < tiny.entropy


def test_f_is_never_negative():
    process, network = GenMasked(), Wrong(SKEWED)
    tokens = tiny.strings.repeat_interleave(16, 0)
    hidden, t = patterns.repeat(81, 1), torch.rand(81 * 16, dtype=torch.float64, generator=torch.manual_seed(0))
    f = process.density(network(tokens.masked_fill(hidden, M), t), tokens, hidden, t, network.learned())
    assert f.min() >= -1e-12
    assert f.max() > 1


def test_the_gradient_of_the_powers_is_that_of_the_mean():
    """All pairs of masks, each weighted by its probability: the mean gradient against finite differences."""
    process, network = GenMasked(), Wrong(SKEWED)
    x, t = tiny.strings[[37]], torch.tensor([0.4], dtype=torch.float64)
    pairs = list(itertools.product(range(16), repeat=2))
    hidden = torch.stack([torch.stack([patterns[a], patterns[b]], -1) for a, b in pairs])
    with torch.no_grad():
        share = process.masked(t, x, network.learned())[..., None]
        q = torch.where(hidden, share, 1 - share).prod(1).prod(1)
    rng = FixedStreams([(0.4 - process.first_time) / (1 - process.first_time)] * 256, torch.where(hidden, 0.0, 0.99999))
    batch = Batch(x.expand(256, -1), q[:, None].expand(-1, 4))
    process.loss(network, batch, rng).nats.backward()
    found, of_table = network.learned.raw.grad.clone(), network.table.grad.clone()

    def mean(raw):
        with torch.no_grad():
            kept = network.learned.raw.clone()
            network.learned.raw.copy_(raw)
            w = network.learned()
            total = (1 - process.first_time) * mean_density(process, network, x, t).sum()
            total = total + process.ends(x, x < M, w).sum()
            network.learned.raw.copy_(kept)
        return total

    raw, step = network.learned.raw.detach().clone(), 1e-5
    expected = [(mean(raw + step * e) - mean(raw - step * e)) / (2 * step) for e in torch.eye(3, dtype=torch.float64)]
    assert torch.stack(expected).tolist() == pytest.approx(found.tolist(), abs=1e-6)
    assert found.abs().min() > 1e-3
    assert of_table.abs().max() > 1e-3


def test_without_the_second_part_the_gradient_would_be_another():
    process, network = GenMasked(), Wrong(SKEWED)
    x, t = tiny.strings[[37]], torch.tensor([0.4], dtype=torch.float64)
    w = network.learned()
    with torch.no_grad():
        share = process.masked(t, x, w)
        q = torch.where(patterns, share, 1 - share).prod(1)
    logits = network(x.masked_fill(patterns, M), t.expand(16))
    direct = (q * process.density(logits, x.expand(16, -1), patterns, t.expand(16), w).sum(1)).sum()
    (naive,) = torch.autograd.grad(direct, network.learned.raw)
    (whole,) = torch.autograd.grad(mean_density(process, network, x, t).sum(), network.learned.raw)
    assert (naive - whole).abs().max() > 0.05


def test_equal_powers_are_plain_masked_diffusion():
    """Given the same masks and times, f is the cross-entropy that `masked` weighs by 1/t."""
    process, network = GenMasked(first_time=1e-9, last_visible=1e-9), Wrong((1.0, 1.0, 1.0))
    strata, keys = torch.linspace(0.05, 0.95, 30), torch.rand(30, 4, generator=torch.manual_seed(2)).double()
    batch = Batch(tiny.strings[:30], torch.ones(30, 4))
    ours = process.loss(network, batch, FixedStreams(strata, keys[..., None].expand(-1, -1, 2)))

    def untimed(tokens):
        return network(tokens, strata.double())

    untimed.symbols = 3
    theirs = Masked(estimator="bernoulli").loss(untimed, batch, FixedStreams(strata, keys))
    assert ours.nats.item() == pytest.approx(theirs.nats.item(), rel=1e-5)


def test_masks_and_pads_of_the_source_are_neither_scored_nor_changed():
    seen = []

    class Watching(Wrong):
        def forward(self, tokens, time):
            seen.append(tokens)
            return super().forward(tokens.clamp(max=3), time)

    tokens = torch.tensor([[0, M, 2, M + 1], [1, 1, M + 1, M + 1]])
    weight = (tokens < M).float()
    loss = GenMasked().loss(Watching(SKEWED), Batch(tokens, weight), Streams.of(0, ["a", "b"]))
    assert loss.count == 4
    assert torch.isfinite(loss.nats)
    assert (seen[0][:, 3] == M + 1).all()
    assert (seen[0][[0, 2], 1] == M).all()


def test_powers_begin_as_asked_and_stay_within_bounds():
    assert Powers(4, 1.0)().tolist() == pytest.approx([1.0] * 4)
    extreme = Powers(2, 1.0)
    with torch.no_grad():
        extreme.raw.copy_(torch.tensor([-50.0, 90.0]))
    assert extreme().tolist() == pytest.approx([0.05, 20.0])
    with pytest.raises(ValidationError):
        GenMasked(first_time=0)
