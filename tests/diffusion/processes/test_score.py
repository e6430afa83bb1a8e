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
    process, draw = Score(scale_prior=False, last_visible=1e-9), torch.manual_seed(0)
    x, t = tiny.strings[::4], torch.rand(21, generator=draw, dtype=torch.float64)
    hidden = torch.rand(21, 4, generator=draw) < 0.5
    z = x.masked_fill(hidden, M)
    mu = tiny(z).softmax(-1)
    ratio = ((1 - process.masked(t)) / process.masked(t))[:, None, None]
    found = process.density((ratio * mu).log(), x, z, t)
    nats = -mu.log().gather(-1, x[..., None])[..., 0]
    assert torch.allclose(found, torch.where(hidden, nats * Linear().rate(t)[:, None], 0), atol=1e-12, rtol=1e-9)


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


def test_the_scale_prior_is_the_right_sum_of_a_network_that_knows_nothing():
    process, t = Score(), torch.tensor([0.1, 0.9], dtype=torch.float64)
    scores = process.log_scores(torch.zeros(2, 4, 3, dtype=torch.float64), t).exp().sum(-1)
    share = process.masked(t)
    assert torch.allclose(scores, ((1 - share) / share)[:, None].expand(-1, 4))


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
