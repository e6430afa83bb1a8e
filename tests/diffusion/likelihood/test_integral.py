"""The integral over time: -log p with exact networks, the error that it claims, and what may not change it."""

import math

import numpy as np
import pytest
import torch
from oracles import Blind, Constant, MarkovChain, TinyJoint
from scipy.special import stdtrit

from seqdiff.diffusion.likelihood.integral import Integrand, integral
from seqdiff.diffusion.processes import Discrete, GenMasked, Score, Uniform
from seqdiff.diffusion.schedule import Cosine
from seqdiff.streams import Streams

chain = MarkovChain()


class Scores:
    """The scores of an exact network of masked diffusion, as the process `score` wants them, from any oracle."""

    def __init__(self, oracle):
        self.oracle, self.symbols, self.rows, self.largest = oracle, oracle.symbols, 0, 0

    def __call__(self, tokens, time):
        assert time.dtype == torch.float32
        assert time.shape == tokens.shape[:1]
        self.rows += len(tokens)
        self.largest = max(self.largest, len(tokens))
        return self.oracle(tokens).log_softmax(-1) + math.log(self.symbols)


def bound(oracle, x, scored, rng, strata=8, replicates=2, batch_size=512, process=None):
    of_rows = (process or Score()).bound(Scores(oracle), strata=strata, replicates=replicates)
    return of_rows(x, scored, rng, batch_size=batch_size)


def test_it_is_minus_log_p_of_every_string_and_the_error_is_right():
    tiny, repeats = TinyJoint(), 20
    x = tiny.strings.repeat(repeats, 1)
    score = bound(tiny, x, x < 3, Streams.of(0, range(len(x))), batch_size=8192)
    wrong = (score.nats + tiny.log_prob(x)).view(repeats, -1)
    assert abs(wrong.mean()) < 4 * wrong.std() / wrong.numel() ** 0.5
    apart = (wrong.mean(0) / (wrong.std(0) / repeats**0.5)).abs()
    assert (apart < 4.5).all()  # 81 strings, each by itself
    assert score.se.square().mean().sqrt().item() == pytest.approx(wrong.std().item(), rel=0.15)
    assert (score.positions == 4).all()
    assert (score.calls == 16).all()


def test_a_region_is_scored_given_what_else_is_known_and_the_unknown_is_summed_over():
    x = chain.sample(400, 16, seed=2)
    x[:, [2, 13]] = chain.mask
    scored = torch.zeros_like(x, dtype=torch.bool)
    scored[:, [1, 2, 4, 5, 6, 11]] = True
    score = bound(chain, x, scored, Streams.of(0, range(400)), batch_size=4096)
    exact = chain.log_prob(x.masked_fill(scored, chain.mask)) - chain.log_prob(x)
    wrong = score.nats - exact
    assert (score.positions == 5).all()
    assert abs(wrong.mean()) < 4 * wrong.std() / 20


def test_95_percent_intervals_hold_the_exact_value_95_times_in_100():
    x = chain.sample(1000, 16, seed=1)
    score = bound(chain, x, x >= 0, Streams.of(0, range(1000)), batch_size=4096)
    wrong = (score.nats + chain.log_prob(x)).abs()
    quantile = torch.from_numpy(stdtrit(score.df.numpy(), 0.975))
    assert 0.92 <= (wrong <= quantile * score.se).double().mean() <= 0.98


def test_of_a_network_that_knows_nothing_it_is_ln_k_a_letter_without_error():
    """Then the density is the crude one up to a factor: all noise of times and masks is taken out."""
    x = torch.tensor([[0, 1, 2, 3, 0, 2], [0, 1, 4, 4, 5, 5], [2, 5, 5, 5, 5, 5]])
    score = bound(Constant([0.25] * 4), x, x < 4, Streams.of(0, range(3)), strata=8, replicates=4)
    # Where only a draw itself changed a letter its own factor is unknown to it: rows of few letters have some error.
    assert score.nats[0].item() == pytest.approx(6 * math.log(4), rel=1e-9)
    assert score.se[0].item() == pytest.approx(0, abs=1e-9)
    assert score.nats.isfinite().all()


def test_it_depends_on_no_neighbour_no_padding_and_no_batch_size():
    lengths = [12, 20, 5]
    x = chain.sample(3, 20)
    x[torch.arange(20) >= torch.tensor(lengths)[:, None]] = chain.pad
    network = Scores(Blind(chain))
    together = Score().bound(network, strata=4, replicates=2)(x, x < 4, Streams.of(0, "abc"), batch_size=7)
    assert network.rows == 3 * 8
    assert network.largest == 7
    for row, (name, length) in enumerate(zip("abc", lengths, strict=True)):
        one = x[row : row + 1, :length]
        alone = bound(Blind(chain), one, one < 4, Streams.of(0, name), strata=4, batch_size=3)
        for field in ("nats", "se", "df", "positions", "calls"):
            assert torch.equal(getattr(alone, field)[0], getattr(together, field)[row])


def test_nothing_scored_costs_nothing_and_one_draw_claims_no_error():
    network = Scores(chain)
    x = torch.tensor([[4, 4, 5], [1, 2, 3]])
    score = Score().bound(network, strata=1, replicates=1)(
        x, torch.tensor([[True] * 3, [False] * 3]), Streams.of(0, "ab")
    )
    assert (score.nats.tolist(), score.se.tolist(), score.calls.tolist()) == ([0, 0], [0, 0], [0, 0])
    assert network.rows == 0
    assert bound(chain, x, x < 4, Streams.of(0, "ab"), strata=1, replicates=1).se[1].isnan()


def test_inputs_are_left_as_they_were_and_no_gradient_is_kept():
    x = chain.sample(2, 8)
    before, weight = x.clone(), torch.zeros(4, requires_grad=True)

    def network(tokens, time):
        return chain(tokens) + weight

    network.symbols = 4
    score = Score().bound(network, strata=2, replicates=2)(x, x < 4, Streams.of(0, "ab"))
    assert not score.nats.requires_grad
    assert torch.equal(x, before)


def _logarithm(crude, ends=0.0):
    """f = -log t in (0, 1), twice that of a masked letter, which every other is: 1.5 in all; and other ends of each."""
    return Integrand(
        symbols=3,
        interval=(0.0, 1.0),
        corrupt=lambda tokens, scored, t, keys: torch.where(scored & (keys[..., 0] < 0.5), 3, tokens),
        density=lambda tokens, z, t: (-t.log())[:, None] * (1 + (z == 3)),
        crude=lambda tokens, z, t: (-t.log())[:, None] * (crude + (z == 3)),
        crude_until=lambda t: (t - torch.xlogy(t, t))[:, None].expand(-1, 3) * (crude + 0.5),
        ends=torch.tensor([0.0, 10.0, 20.0]) * ends,
    )


def test_a_crude_density_like_the_true_one_leaves_no_error_and_another_no_bias():
    x = torch.tensor([[0, 1, 2, 0, 1]]).expand(300, -1)
    exact = 5 * 1.5
    settings = {"strata": 4, "replicates": 2, "batch_size": 4096}
    alike = integral(_logarithm(1.0), x, x < 3, Streams.of(0, range(300)), **settings)
    assert (alike.nats - exact).abs().max() < 1e-9
    for crude in (0.0, 3.0):
        other = integral(_logarithm(crude), x, x < 3, Streams.of(0, range(300)), **settings)
        wrong = other.nats - exact
        assert abs(wrong.mean()) < 4 * wrong.std() / 300**0.5
        assert wrong.std() > 1e-3


def test_each_letter_has_its_own_ends():
    x = torch.tensor([[0, 1, 2, 0, 1], [2, 2, 3, 4, 4]])
    plain, with_ends = (
        integral(_logarithm(1.0, ends), x, x < 3, Streams.of(0, "ab"), strata=2, replicates=2) for ends in (0.0, 1.0)
    )
    assert (with_ends.nats - plain.nats).tolist() == pytest.approx([40, 40])


def mean_crude(integrand, t, keys=40):
    """E h over z of each letter at each of the times, keys on a grid."""
    line = (torch.arange(keys).double() + 0.5) / keys
    grid = torch.cartesian_prod(line, line)
    letters = torch.arange(3).repeat(len(grid), 1)
    both = grid[:, None].expand(-1, 3, -1)
    means = []
    for time in t:
        at = time.expand(len(grid))
        z = integrand.corrupt(letters, letters >= 0, at, both)
        means.append(integrand.crude(letters, z, at).mean(0))
    return torch.stack(means)


PATHS = [
    Score(),
    Score(scale_prior=False),
    Discrete(steps=5, schedule=Cosine()),
    Discrete(zero_masking=False, carry_over=False, steps=3),
    Uniform(),
    Uniform(prediction="posterior"),
    Uniform(steps=4),
    GenMasked(),
]


@pytest.mark.parametrize(
    "process", PATHS, ids=lambda p: "-".join(map(str, p.model_dump(exclude_defaults=True).values())) or p.kind
)
def test_the_crude_density_adds_up_to_what_is_said_of_it(process):
    """Else the bound is wrong. The mean over keys of h, integrated between two times."""

    class Silent:
        symbols = 3
        takes_time = True
        learned = process.learned(3)

        def __call__(self, tokens, time=None):
            raise AssertionError("the crude density asks no network")

    integrand = process.integrand(Silent(), *([] if process.kind == "genmasked" else [3]))
    first, last = integrand.interval
    low, high = first + 0.2 * (last - first), first + 0.9 * (last - first)
    points, weights = np.polynomial.legendre.leggauss(60)
    t = low + (high - low) * torch.from_numpy((points + 1) / 2)
    found = (mean_crude(integrand, t) * torch.from_numpy(weights / 2)[:, None]).sum(0) * (high - low)
    said = integrand.crude_until(torch.tensor([low, high], dtype=torch.float64)).diff(dim=0)[0]
    assert torch.allclose(found, said, rtol=0.05)
    assert torch.allclose(integrand.crude_until(torch.tensor([first], dtype=torch.float64)), torch.zeros(1, 3).double())
