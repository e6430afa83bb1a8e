"""Uniform noise against both exact predictions of a tiny joint, which differ."""

import itertools
import math

import numpy as np
import pytest
import torch
from noised import K, Noised, kernel, noise, states, tiny
from pydantic import ValidationError

from seqdiff.data.batches import Batch
from seqdiff.diffusion.processes.uniform import Uniform, left_out, step_back
from seqdiff.streams import Streams

PREDICTIONS = pytest.mark.parametrize("prediction", ["leave-one-out", "posterior"])


def exactly(process, denoise, x, nodes=40):
    """The bound with all 81 states z at each time: Gauss-Legendre in the cube root of time, or the sum of the steps."""
    if process.steps:
        points = process.at((torch.arange(process.steps) + 0.5).double() / process.steps)
        width = torch.full_like(points, 1 / process.steps)
    else:
        first, last = process.interval
        root, weights = np.polynomial.legendre.leggauss(nodes)
        root = torch.from_numpy((root + 1) / 2)
        points = first + (last - first) * root**3
        width = torch.from_numpy(weights / 2) * 3 * root**2 * (last - first)
    strings, total = torch.as_tensor(x).view(-1, 4), 0.0
    tokens, z = strings.repeat_interleave(81, 0), states.repeat(len(strings), 1)
    for time, share in zip(points, width, strict=True):
        t = time.expand(len(z))
        logits = denoise(states, t[:81]).repeat(len(strings), 1, 1)
        f = process.density(logits, tokens, z, t).sum(1)
        total = total + share * (noise(tokens, z, t).prod(1) * f).view(-1, 81).sum(1)
    return total + 4 * process.ends(K)


def on_average(process, denoise, **settings):
    return float(tiny.p @ exactly(process, denoise, tiny.strings, **settings))


@PREDICTIONS
def test_the_bound_is_minus_log_p_with_the_prediction_it_asks_for(prediction):
    """T8."""
    found = exactly(Uniform(prediction=prediction), Noised(prediction), tiny.strings[::8])
    torch.testing.assert_close(found, -tiny.p[::8].log(), rtol=0, atol=1e-4)


@pytest.mark.parametrize("steps", [None, 8])
@PREDICTIONS
def test_the_other_prediction_in_its_place_asks_far_too_much(prediction, steps):
    """T8, the trap."""
    process = Uniform(prediction=prediction, steps=steps)
    wrong, right = (on_average(process, Noised(answer), nodes=8) for answer in (_other(prediction), prediction))
    assert wrong > 1.2 * right


def _other(prediction):
    return "posterior" if prediction == "leave-one-out" else "leave-one-out"


@pytest.mark.parametrize(("t", "s"), [(1.0, 0.6), (0.7, 0.3), (0.25, 0.0)])
def test_the_step_back_is_bayes_theorem(t, s):
    """Of a letter that is known by the noise alone, of one that the others tell something of by enumeration."""
    keep, after = 1 - t, 1 - s
    for x, z in itertools.product(range(K), repeat=2):
        joint = [kernel(after)[x, j] * kernel(keep / after)[j, z] for j in range(K)]
        letter = torch.eye(K, dtype=torch.float64)[x]
        assert step_back(letter, torch.tensor(z), keep, after).tolist() == pytest.approx(
            [float(j / sum(joint)) for j in joint], abs=1e-12
        )
    times = torch.full((81,), t, dtype=torch.float64)
    found = step_back(Noised("leave-one-out")(states, times).exp(), states, keep, after)
    posterior = Noised("posterior")(states, times).exp()
    each = torch.stack([step_back(torch.eye(K).double()[v].expand(81, 4, K), states, keep, after) for v in range(K)])
    assert torch.allclose(found, torch.einsum("blv,vblj->blj", posterior, each), atol=1e-12)
    assert torch.allclose(found.sum(-1), torch.ones(81, 4, dtype=torch.float64))


def test_one_prediction_makes_the_other():
    t = torch.full((81,), 0.3, dtype=torch.float64)
    expected = Noised("leave-one-out")(states, t)
    assert torch.allclose(left_out(Noised("posterior")(states, t), states, t, "posterior"), expected, atol=1e-12)
    assert torch.allclose(left_out(expected, states, t, "leave-one-out"), expected, atol=1e-12)


@pytest.mark.parametrize("steps", [None, 4])
@PREDICTIONS
def test_an_ordinary_network_learns_the_prediction_it_is_asked_for(prediction, steps):
    """One that sees the letter at its own place: of all tables (81 states, 4 places, K) the loss is least at the exact
    prediction, and has a slope at the other."""
    process, t = Uniform(prediction=prediction, steps=steps), torch.full((81,), 0.5, dtype=torch.float64)
    slopes = []
    for answer in (prediction, _other(prediction)):
        table = Noised(answer)(states, t).requires_grad_()
        total = 0.0
        for x, p in zip(tiny.strings, tiny.p, strict=True):
            every = x.expand(81, -1)
            f = process.density(table, every, states, t).sum(1)
            total = total + p * (noise(every, states, t).prod(1) * f).sum()
        total.backward()
        slopes.append(table.grad.abs().max().item())
    assert slopes[0] < 1e-10
    assert slopes[1] > 1e-3


def test_steps_cost_more_than_continuous_time_and_less_the_more_they_are():
    """T4 for this noise: the law of T steps and its bound."""
    entropy = tiny.entropy
    one = on_average(Uniform(steps=1), Noised("leave-one-out"))
    marginals = torch.stack([torch.bincount(tiny.strings[:, i], tiny.p, K) for i in range(4)])
    assert one == pytest.approx(torch.special.entr(marginals).sum().item(), abs=1e-9)
    gaps = [on_average(Uniform(steps=T), Noised("leave-one-out")) - entropy for T in (1, 2, 4, 16, 32)]
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[-1] / gaps[-2] == pytest.approx(0.5, abs=0.05)
    assert all(gap > 0 for gap in gaps)
    one_of_each = [exactly(Uniform(steps=4, prediction=kind), Noised(kind), tiny.strings[40])
                   for kind in ("leave-one-out", "posterior")]  # fmt: skip
    assert one_of_each[0] == pytest.approx(one_of_each[1], abs=1e-9)


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


@pytest.mark.parametrize("steps", [None, 1, 16])
def test_to_know_nothing_costs_ln_k_but_with_a_look_at_the_letter_ever_more(steps):
    """Why leave-one-out is the default: where a network begins, with the same logits for all letters."""

    def cost(prediction, steps):
        process = Uniform(steps=steps, prediction=prediction)
        return exactly(process, lambda z, t: torch.zeros(*z.shape, K).double(), tiny.strings[5]).item() / 4

    assert cost("leave-one-out", steps) == pytest.approx(math.log(K), abs=1e-4)
    if steps:
        assert cost("posterior", 64 * steps) > cost("posterior", steps) + 1


def test_many_steps_come_to_continuous_time():
    draw = torch.manual_seed(0)
    logits = torch.randn(20, 4, K, generator=draw, dtype=torch.float64)
    x, z = (torch.randint(K, (20, 4), generator=draw) for _ in range(2))
    t = (torch.rand(20, generator=draw, dtype=torch.float64) * 0.9 + 0.05).mul(1e5).ceil() / 1e5
    found = Uniform(steps=100_000).density(logits, x, z, t)
    torch.testing.assert_close(found, Uniform().density(logits, x, z, t), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("steps", [None, 8])
@PREDICTIONS
def test_loss_and_bound_are_draws_of_it(prediction, steps):
    process, x, network = Uniform(prediction=prediction, steps=steps), tiny.strings[17], Noised(prediction)
    exact, rows = exactly(process, network, x), 2000
    loss = process.loss(
        network, Batch(x.expand(rows, -1), torch.ones(rows, 4)), Streams.of_step(0, 1, range(rows), rows)
    )
    assert float(loss.count) == 4 * rows
    assert loss.nats.item() / rows == pytest.approx(exact, rel=0.05)
    bound = process.bound(network, strata=64, replicates=8)
    score = bound(x[None], torch.ones(1, 4, dtype=torch.bool), Streams.of(0, ["row"]), batch_size=256)
    assert abs(score.nats.item() - exact) < 4 * score.se.item()
    assert score.se.item() < 0.05 * exact
    assert score.calls.item() == 512


@pytest.mark.parametrize("steps", [None, 8])
def test_training_draws_early_times_more_often_and_weighs_them_less(steps):
    """The mean stays (`test_loss_and_bound_are_draws_of_it`), the spread of rows falls: of these with 4 letters a
    little, of long ones to less than half."""
    process, rows = Uniform(steps=steps), 4000
    x, draw = tiny.strings[torch.arange(rows) % 81], Streams.of_step(0, 1, range(rows), rows)
    u, keys = draw.strata(), draw.rand(4, 2)
    t, width = process.times(u)
    assert (t <= u).all()
    assert width.mean().item() == pytest.approx(process.interval[1], abs=1e-3)
    spreads = []
    for time, weight in ((t, width), (u * process.interval[1], torch.ones_like(u))):
        at = process.at(time)
        z = process.corrupt(x, x < K, at, keys, K)
        f = process.density(torch.zeros(rows, 4, K, dtype=torch.float64), x, z, at).sum(1)
        spreads.append((f * weight).std().item())
    assert spreads[0] < 0.9 * spreads[1]


def test_steps_are_told_the_time_at_their_end():
    assert Uniform(steps=4).at(torch.tensor([0.0, 0.1, 0.25, 0.26, 1.0])).tolist() == [0.25, 0.25, 0.25, 0.5, 1.0]
    seen = []

    def network(tokens, time):
        seen.extend(time.tolist())
        return torch.zeros(*tokens.shape, K)

    network.symbols = K
    Uniform(steps=4).loss(network, Batch(states[:40], torch.ones(40, 4)), Streams.of_step(0, 1, range(40), 40))
    assert set(seen) == {0.25, 0.5, 0.75, 1.0}


@pytest.mark.parametrize("steps", [None, 4])
@PREDICTIONS
def test_what_is_no_letter_is_neither_changed_nor_scored(prediction, steps):
    seen = []

    def network(tokens, time):
        seen.append(tokens)
        return torch.zeros(*tokens.shape, K, requires_grad=True)

    network.symbols = K
    tokens, process = torch.tensor([[0, K, 2, K + 1]]), Uniform(prediction=prediction, steps=steps)
    loss = process.loss(network, Batch(tokens, (tokens < K).float()), Streams.of(1, ["r"]))
    assert seen[-1][0, [1, 3]].tolist() == [K, K + 1]
    assert loss.nats.isfinite()
    assert loss.count == 2


@pytest.mark.parametrize("steps", [None, 1, 4])
@PREDICTIONS
def test_gradients_are_numbers_at_all_times(prediction, steps):
    process = Uniform(prediction=prediction, steps=steps)
    for time in (1e-9, 0.5, 1 - 1e-4, 1.0) if steps is None else (1 / steps, 1.0):
        logits = (40 * torch.randn(81, 4, K, generator=torch.manual_seed(0))).requires_grad_()
        t = torch.full((81,), time, dtype=torch.float64)
        if time == 1.0 and steps is None:
            continue
        process.density(logits, states.flip(0), states, t).sum().backward()
        assert logits.grad.isfinite().all()


@pytest.mark.parametrize(("dtype", "times"), [(torch.float64, (1e-12, 1e-17)), (torch.float32, (1e-4, 1e-8))])
@PREDICTIONS
def test_times_that_are_lost_in_one_less_them_cost_what_others_do(prediction, dtype, times, monkeypatch):
    """Of a hundred million rows of a training one is before 1e-16; where float64 is none, 1 - t is 1 before 3e-8."""
    monkeypatch.setattr("seqdiff.diffusion.processes.uniform.widest", lambda device: dtype)
    mu, t = torch.tensor([0.5, 0.3, 0.2], dtype=dtype), torch.tensor(times, dtype=dtype)
    seen = torch.stack([1 - t + t / K, t / K, t / K], 1) if prediction == "posterior" else torch.ones(2, K, dtype=dtype)
    logits, x = (mu * seen).log()[:, None].requires_grad_(), torch.zeros(2, 1, dtype=torch.long)
    f = Uniform(prediction=prediction).density(logits, x, x, t)
    f.sum().backward()
    assert f.flatten().tolist() == pytest.approx([(0.3 + 0.2) / 0.5 / K] * 2, rel=1e-3)
    assert logits.grad.isfinite().all()
    at_none = Uniform(prediction=prediction).density(logits, x, x, torch.zeros_like(t))
    assert at_none.isfinite().all()


def test_noise_leaves_the_share_that_it_says():
    tokens = torch.zeros(1, 20_000, dtype=torch.long)
    keys = torch.rand(1, 20_000, 2, generator=torch.manual_seed(3), dtype=torch.float64)
    z = Uniform().corrupt(tokens, tokens < K, torch.tensor([0.6]).double(), keys, K)
    shares = torch.bincount(z[0], minlength=K) / 20_000
    assert shares.tolist() == pytest.approx([0.6, 0.2, 0.2], abs=0.012)


def test_a_setting_that_would_change_nothing_is_refused():
    with pytest.raises(ValidationError, match="last_time is of continuous time"):
        Uniform(steps=10, last_time=0.9)
