"""Score entropy: with scores that add up to the right sum it is the cross-entropy of masked diffusion."""

import math

import pytest
import torch
from oracles import TinyJoint

from seqdiff.data.batches import Batch
from seqdiff.diffusion.processes.masked import Masked
from seqdiff.diffusion.processes.score import Score
from seqdiff.diffusion.schedule import Linear
from seqdiff.streams import Streams

tiny = TinyJoint()
M = tiny.mask


def test_normalised_scores_cost_what_masked_diffusion_costs():
    """T7: with s = r mu the denoising score entropy, written as the paper does, is r times the cross-entropy."""
    process, draw = Score(scale_prior=False), torch.manual_seed(0)
    x, t = tiny.strings[::4], torch.rand(21, generator=draw, dtype=torch.float64)
    hidden = torch.rand(21, 4, generator=draw) < 0.5
    z = x.masked_fill(hidden, M)
    mu = tiny(z).softmax(-1)
    share = process.masked(t)[:, None]
    ratio = (1 - share) / share
    s = ratio[..., None] * mu
    of_letter = s.gather(-1, x[..., None])[..., 0]
    entropy = s.sum(-1) - ratio * of_letter.log() + ratio * (ratio.log() - 1)
    nats = -mu.log().gather(-1, x[..., None])[..., 0]
    assert torch.allclose(entropy, ratio * nats, rtol=1e-12, atol=1e-10)
    rate = (1 - process.last_visible) / (1 - share)  # sigma'
    found = process.density(s.log(), x, z, t)
    assert torch.allclose(found, torch.where(hidden, rate * entropy, 0), rtol=1e-10, atol=1e-10)
    assert torch.allclose(found, torch.where(hidden, nats * Linear().rate(t)[:, None], 0), rtol=1e-12, atol=1e-12)


def test_a_step_is_what_tweedies_formula_makes_of_any_scores():
    """(exp(-d Q) s)_v exp(d Q)(v -> mask) with the whole generator, mask included, and d = sigma_t - sigma_s."""
    process, draw = Score(scale_prior=False), torch.manual_seed(1)
    t, s = torch.tensor([0.7, 0.2]).double(), torch.tensor([0.6, 0.05]).double()
    scores = torch.rand(2, 1, 3, generator=draw, dtype=torch.float64)
    generator = torch.zeros(4, 4, dtype=torch.float64)  # column to row
    generator[3, :3], generator[range(3), range(3)] = 1, -1
    step = torch.log1p(-process.masked(s)) - torch.log1p(-process.masked(t))
    reveals = process.reveals(scores.log(), t, s)
    for row in range(2):
        earlier = torch.linalg.matrix_exp(-step[row] * generator) @ torch.cat([scores[row, 0], torch.ones(1)])
        chance = earlier * torch.linalg.matrix_exp(step[row] * generator)[3]
        assert chance.sum().item() == pytest.approx(1, abs=1e-12)
        assert chance[3] > 0
        assert reveals[row, 0].item() == pytest.approx(1 - chance[3].item(), abs=1e-12)
        assert torch.allclose(chance[:3] / chance[:3].sum(), scores[row, 0] / scores[row, 0].sum(), atol=1e-12)
    assert process.reveals((100 * scores).log(), t, s).tolist() == [[1], [1]]


def test_any_other_sum_costs_more():
    process, t = Score(scale_prior=False), torch.tensor([0.3], dtype=torch.float64)
    x, z = tiny.strings[[40]], torch.full((1, 4), M)
    ratio = (1 - process.masked(t)) / process.masked(t)
    right = (ratio[:, None, None] * tiny(z).softmax(-1)).log()
    costs = [process.density(right + math.log(factor), x, z, t) for factor in (0.5, 0.9, 1.0, 1.1, 2.0)]
    # Of a single letter the best sum is another one; of the mean over the letters that may stand there it is r.
    mean = [
        sum(
            p * process.density(right + math.log(factor), x[None], z, t).sum()
            for x, p in zip(tiny.strings, tiny.p, strict=True)
        ).item()
        for factor in (0.5, 0.9, 1.0, 1.1, 2.0)
    ]
    assert mean.index(min(mean)) == 2
    assert all((cost >= -1e-12).all() for cost in costs)


def test_a_fresh_network_begins_at_ln_k_under_the_scale_prior_and_far_above_without():
    process, x = Score(), tiny.strings[:40]

    def fresh(tokens, time):
        return torch.zeros(*tokens.shape, 3, dtype=torch.float64)

    fresh.symbols = 3
    t = torch.tensor([0.1, 0.9], dtype=torch.float64)
    assert torch.allclose(process.log_q(fresh(x[:2], t), t).exp().sum(-1), torch.ones(2, 4).double())
    score = process.bound(fresh, strata=4, replicates=2)(x, x < 3, Streams.of(0, range(40)))
    assert torch.allclose(score.nats, torch.full((40,), 4 * math.log(3)).double(), atol=0.2)
    batch = Batch(x, torch.ones(40, 4))
    loss = process.loss(fresh, batch, Streams.of_step(0, 1, range(40), 40))
    assert loss.nats.item() / 160 == pytest.approx(math.log(3), rel=0.15)
    assert process.ignorance(3) == math.log(3)
    without, many = Score(scale_prior=False), Batch(tiny.strings.repeat(50, 1), torch.ones(4050, 4))
    loss = without.loss(fresh, many, Streams.of_step(0, 1, range(4050), 4050)).nats.item() / 16200
    assert loss == pytest.approx(without.ignorance(3), rel=0.05)
    assert loss > 10


def test_what_fills_masks_is_the_posterior_and_is_told_a_time_that_training_has_told():
    told = []

    def network(tokens, time):
        told.append(time)
        return tiny(tokens).log_softmax(-1) + 5 * time[:, None, None]  # scores of any sum

    network.symbols, network.takes_time = 3, True
    filling = Score().filling(network)
    x = torch.tensor([[0, M, 2, 1], [M, M, M, M], [0, 1, 2, 0]])
    assert torch.allclose(filling(x).softmax(-1), tiny(x).softmax(-1), atol=1e-6)
    assert told[0].tolist() == pytest.approx([0.25 / 0.999, 1, 1e-3])


def test_the_loss_with_the_exact_posterior_is_the_bound():
    """logits log mu + log K under the scale prior: s = r mu."""

    def denoise(tokens, time):
        return tiny(tokens) + math.log(3)

    denoise.symbols = 3
    process, x, rows = Score(), tiny.strings[23], 6_000
    loss = process.loss(
        denoise, Batch(x.expand(rows, -1), torch.ones(rows, 4)), Streams.of_step(0, 1, range(rows), rows)
    )
    assert loss.nats.item() / rows == pytest.approx(-tiny.p[23].log().item(), rel=0.05)
    plain = Masked(estimator="bernoulli").loss(
        tiny, Batch(x.expand(rows, -1), torch.ones(rows, 4)), Streams.of_step(0, 1, range(rows), rows)
    )
    assert loss.nats.item() == pytest.approx(plain.nats.item(), rel=0.05)


def test_the_ends_are_counted():
    process = Score(first_time=0.1, last_visible=0.05)
    assert process.ends(4) == pytest.approx((0.95 * 0.1 + 0.05) * math.log(4))
