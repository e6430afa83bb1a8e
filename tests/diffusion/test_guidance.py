import functools
import itertools
import math

import pytest
import torch
from laws import M, distance, empty, exact_turns, nothing, planned_law, tiny
from oracles import Blind, Constant, TinyJoint

from seqdiff.diffusion import denoise
from seqdiff.diffusion.guidance import Guided
from seqdiff.diffusion.samplers import Exact
from seqdiff.streams import Streams

states = torch.tensor(list(itertools.product(range(4), repeat=4)))
other = TinyJoint(seed=1)


def label(strings):
    """p(y = 1 | x): a classifier of whole strings that says neither yes nor no."""
    return torch.sigmoid(1.5 * (strings == 2).sum(-1) - 2.0 * (strings[..., 0] == strings[..., 3]).double())


@functools.cache
def of_label(state):
    """p(y = 1 | visible letters), exactly, by summing over the strings that fit."""
    posterior, _ = tiny.posterior(state)
    return (posterior * label(tiny.strings)).sum()


class Classified:
    """mu_i(v) p(y | z, x_i = v)^power: an exact classifier as a conditional denoiser."""

    symbols = 3

    def __init__(self, power):
        self.power = power

    def __call__(self, tokens, time=None):
        logits = tiny(tokens).clone()
        for row, state in enumerate(tokens.tolist()):
            for i in [i for i, v in enumerate(state) if v == M]:
                for v in range(3):
                    logits[row, i, v] += self.power * of_label((*state[:i], v, *state[i + 1 :])).log()
        return logits


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_weights_0_and_1_are_the_two_models_themselves_at_the_cost_of_one(weight):
    """T18."""
    networks = Blind(other), Blind(tiny)
    x = states[:10]
    logits = Guided(*networks, weight)(x)
    kept, idle = networks if weight == 1 else networks[::-1]
    assert torch.equal(logits.nan_to_num(7.0), kept(x).nan_to_num(7.0))
    assert idle.rows == 0


@pytest.mark.parametrize("weight", [0.5, 1.0, 2.5])
def test_with_an_exact_classifier_one_at_a_time_draws_from_the_conditional(weight):
    """T18: mu_c ~ mu p(y | z, x_i = v)^(1/g) guided at g is the classifier itself, and the law then p(x | y)."""
    guided = Guided(Classified(1 / weight), tiny, weight)
    expected = tiny.p * label(tiny.strings)
    law = planned_law(*exact_turns(nothing), denoise=guided)
    assert distance(law, expected / expected.sum()) < 1e-12
    assert distance(law) > 0.05


def test_between_and_past_the_two_each_letter_is_tilted_by_itself():
    """Any weight, at every state: mu_u (mu_c / mu_u)^g / Z."""
    for weight in (0.3, 1.7, 4.0):
        mu = Guided(other, tiny, weight)(states).softmax(-1)
        towards, away = other(states).softmax(-1), tiny(states).softmax(-1)
        expected = away * (towards / away) ** weight
        torch.testing.assert_close(mu, expected / expected.sum(-1, keepdim=True), rtol=0, atol=1e-12)


def test_a_letter_that_one_of_them_rules_out():
    x = torch.tensor([[3]])
    mu = Guided(Constant([0.5, 0.5, 0.0]), Constant([0.2, 0.2, 0.6]), 2.0)(x).softmax(-1)
    assert mu[0, 0].tolist() == pytest.approx([0.5, 0.5, 0.0])
    mu = Guided(Constant([0.5, 0.3, 0.2]), Constant([0.0, 0.5, 0.5]), 2.0)(x).softmax(-1)
    assert mu[0, 0].tolist() == pytest.approx([1.0, 0.0, 0.0])
    mu = Guided(Constant([0.5, 0.3, 0.2]), Constant([0.0, 0.5, 0.5]), 0.5)(x).softmax(-1)
    assert mu[0, 0, 0] < 1e-100
    assert mu.isfinite().all()


def test_logits_up_to_a_constant_and_in_half_precision_are_enough():
    shifted = Guided(lambda x: other(x) + 5.0, lambda x: tiny(x) - 3.0, 2.0)(states).softmax(-1)
    torch.testing.assert_close(shifted, Guided(other, tiny, 2.0)(states).softmax(-1))
    half = Guided(lambda x: other(x).bfloat16(), lambda x: tiny(x).bfloat16(), 2.0)(states)
    assert half.dtype == torch.float32


def test_it_is_a_denoiser_for_samplers():
    guided = Guided(Blind(other), Blind(tiny), 2.0)
    assert isinstance(guided, denoise.Denoise)
    filled = Exact()(guided, empty.expand(5, -1), rng=Streams.of(0, range(5)))
    assert (filled.tokens < 3).all()
    plain = Exact()(lambda x: guided(x), empty.expand(5, -1), rng=Streams.of(0, range(5)))
    assert torch.equal(plain.tokens, filled.tokens)


def test_symbols_are_the_conditionals_and_it_is_hollow_if_both_are():
    class Hollow(TinyJoint):
        hollow = True

    assert denoise.symbols(Guided(tiny, other, 2.0), empty) == 3
    assert denoise.symbols(Guided(lambda x: tiny(x), other, 2.0), empty) == 3
    assert denoise.is_hollow(Guided(Hollow(), Hollow(), 2.0))
    assert not denoise.is_hollow(Guided(Hollow(), tiny, 2.0))
    assert not denoise.is_hollow(Guided(tiny, Hollow(), 2.0))


def test_time_reaches_both():
    seen = []

    def network(tokens, time=None):
        seen.append(time)
        return tiny(tokens)

    Guided(network, network, 2.0)(empty, torch.ones(1))
    assert [t.tolist() for t in seen] == [[1.0], [1.0]]


@pytest.mark.parametrize("weight", [-0.5, math.inf, math.nan])
def test_a_weight_that_means_nothing_is_refused(weight):
    with pytest.raises(ValueError, match="a guidance weight is 0"):
        Guided(tiny, tiny, weight)


def test_two_alphabets_are_refused():
    with pytest.raises(ValueError, match="different alphabets: 3 and 2 symbols"):
        Guided(tiny, Constant([0.5, 0.5]), 2.0)(empty)
