"""Uniform noise against both exact predictions of a tiny joint, which differ."""

import itertools
import math

import numpy as np
import pytest
import torch
from oracles import TinyJoint

from seqdiff.data.batches import Batch
from seqdiff.diffusion.processes.uniform import Uniform
from seqdiff.streams import Streams

tiny = TinyJoint()
K = 3
states = torch.tensor(list(itertools.product(range(K), repeat=4)))


def noise(x, z, t):
    """q(z_i | x_i) of each position at the times t (B,)."""
    t = t[:, None]
    return torch.where(x == z, 1 - t + t / K, t / K)


class Exact:
    """P(x_i | z) or, leaving z_i out, P(x_i | the rest of z), by enumeration of the 81 strings."""

    symbols = K

    def __init__(self, prediction):
        self.prediction = prediction

    def __call__(self, z, time):
        t = time.double()
        q = torch.stack([noise(x, z, t) for x in tiny.strings], 1)
        letters = torch.nn.functional.one_hot(tiny.strings, K).double()
        columns = []
        for i in range(4):
            others = [j for j in range(4) if j != i or self.prediction == "posterior"]
            columns.append(torch.einsum("bs,sk->bk", tiny.p * q[:, :, others].prod(-1), letters[:, i]))
        table = torch.stack(columns, 1)
        return (table / table.sum(-1, keepdim=True)).log()


def bound(process, denoise, x, nodes=40):
    """The integral by Gauss-Legendre in the cube root of time, with all 81 states z at each node."""
    points, weights = np.polynomial.legendre.leggauss(nodes)
    first, last = process.interval
    root = torch.from_numpy((points + 1) / 2)
    t = (first + (last - first) * root**3).repeat_interleave(81)
    width = (torch.from_numpy(weights / 2) * 3 * root**2 * (last - first)).repeat_interleave(81)
    z, tokens = states.repeat(nodes, 1), x.expand(81 * nodes, -1)
    f = process.density(denoise(z, t), tokens, z, t).sum(1)
    q = noise(tokens, z, t).prod(1)
    return float((width * q * f).sum())


@pytest.mark.parametrize("prediction", ["leave-one-out", "posterior"])
def test_the_bound_is_minus_log_p_with_the_prediction_it_asks_for(prediction):
    process = Uniform(prediction=prediction)
    for x, p in zip(tiny.strings[::8], tiny.p[::8], strict=True):
        total = bound(process, Exact(prediction), x) + 4 * process.ends(K)
        assert total == pytest.approx(-p.log().item(), abs=1e-4)


def test_the_ordinary_posterior_in_the_other_formula_asks_far_too_much():
    process = Uniform()
    strings, p = tiny.strings[::9], tiny.p[::9]
    wrong = sum(w.item() * bound(process, Exact("posterior"), x, 16) for x, w in zip(strings, p, strict=True))
    right = sum(w.item() * bound(process, Exact("leave-one-out"), x, 16) for x, w in zip(strings, p, strict=True))
    assert wrong > 1.2 * right


def test_the_published_form_is_the_same_number():
    """Schiff et al.'s sum over j, written out letter by letter."""
    process, draw = Uniform(), torch.manual_seed(0)
    logits = torch.randn(20, 4, K, generator=draw, dtype=torch.float64)
    x, z = (torch.randint(K, (20, 4), generator=draw) for _ in range(2))
    t = torch.rand(20, generator=draw, dtype=torch.float64)
    found = process.density(logits, x, z, t)
    mu = logits.softmax(-1)
    for row, i in itertools.product(range(20), range(4)):
        keep = 1 - t[row].item()
        xb = [K * keep * (j == x[row, i].item()) + 1 - keep for j in range(K)]
        m = [K * keep * mu[row, i, j].item() + 1 - keep for j in range(K)]
        now = z[row, i].item()
        total = K / m[now] - K / xb[now]
        for j in range(K):
            total += xb[j] / xb[now] * math.log(m[now] * xb[j] / (m[j] * xb[now]))
        assert found[row, i].item() == pytest.approx(total / (K * keep), abs=1e-10)
        assert found[row, i] >= 0


@pytest.mark.parametrize("prediction", ["leave-one-out", "posterior"])
def test_the_loss_is_one_draw_of_the_bound(prediction):
    process, x = Uniform(prediction=prediction), tiny.strings[17]
    rows = 2000
    batch = Batch(x.expand(rows, -1), torch.ones(rows, 4))
    draws = Streams.of_step(0, 1, range(rows), rows)
    loss = process.loss(Exact(prediction), batch, draws)
    assert float(loss.count) == 4 * rows
    assert loss.nats.item() / rows == pytest.approx(-tiny.p[17].log().item(), rel=0.05)


def test_what_is_no_letter_is_neither_changed_nor_scored():
    seen = []

    def network(tokens, time):
        seen.append(tokens)
        return torch.zeros(*tokens.shape, K)

    network.symbols = K
    tokens = torch.tensor([[0, K, 2, K + 1]])
    for prediction in ("leave-one-out", "posterior"):
        loss = Uniform(prediction=prediction).loss(network, Batch(tokens, (tokens < K).float()), Streams.of(1, ["r"]))
        assert seen[-1][0, 1] == K
        assert seen[-1][0, 3] == K + 1
        assert math.isfinite(loss.nats)
        assert loss.count == 2


def test_noise_leaves_the_share_that_it_says():
    tokens = torch.zeros(1, 20_000, dtype=torch.long)
    keys = torch.rand(1, 20_000, 2, generator=torch.manual_seed(3), dtype=torch.float64)
    z = Uniform().corrupt(tokens, tokens < K, torch.tensor([0.6]).double(), keys, K)
    shares = torch.bincount(z[0], minlength=K) / 20_000
    assert shares.tolist() == pytest.approx([0.6, 0.2, 0.2], abs=0.012)
