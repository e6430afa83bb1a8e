"""Particles under constraints: laws by enumeration on O1, probabilities on O2 and of independent letters."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from draws import every_run
from oracles import Blind, Constant, MarkovChain, TinyJoint

from seqdiff.diffusion.constraints import Course, Memory, Rules, Share
from seqdiff.diffusion.samplers import Particles
from seqdiff.streams import Streams

tiny = TinyJoint()
WORDS = [(frozenset({0}), frozenset({1, 2})), (frozenset({2}), frozenset({2}))]
HALF = Share(Fraction(1, 2), Fraction(3, 4), (1, 2))


def marginals(denoise, tokens):
    return torch.softmax(denoise(tokens).double(), -1)[0].numpy()


def guided(denoise, tokens, rules, likelihood):
    targets = (tokens[0] == denoise.symbols).numpy()
    course = Course(tokens[0].numpy(), targets, rules)
    assert course.feasible(likelihood[targets])
    nu = marginals(denoise, tokens)[targets]
    end = course.ends(likelihood[targets], [len(course.places)])[len(course.places)]
    return lambda: course.guide(0, len(course.places), end, nu, likelihood[targets], state=0, count=0)


def fits(strings, words=WORDS, share=None, targets=None):
    """Which strings (S, L) obey, written down directly."""
    good = torch.ones(len(strings), dtype=torch.bool)
    for word in words:
        for at in range(strings.shape[1] - len(word) + 1):
            hit = torch.stack([torch.isin(strings[:, at + i], torch.tensor(sorted(s))) for i, s in enumerate(word)])
            good &= ~hit.all(0)
    if share is not None:
        counted = torch.isin(strings, torch.tensor(share.counted)) & (True if targets is None else targets)
        n = strings.shape[1] if targets is None else int(targets.sum())
        good &= (counted.sum(1) >= float(share.low) * n) & (counted.sum(1) <= float(share.high) * n)
    return good


@pytest.mark.parametrize("particles", [1, 2])
@pytest.mark.parametrize("tokens", [[3, 3, 3, 3], [3, 1, 3, 3]])
def test_the_law_by_enumeration(tokens, particles, monkeypatch):
    """E[P_hat] = P(evidence and constraints | known letters), weighted strings follow the conditional, all obey."""
    x = torch.tensor([tokens])
    likelihood = np.ones((4, 3))
    likelihood[2] = [0.2, 0.9, 0.4]
    targets = x[0] == 3
    share = Share(Fraction(1, 3), Fraction(2, 3), (1, 2))
    make = guided(tiny, x, Rules(Memory.of(WORDS, 3, pairs=False), {}, share), likelihood)
    known = tiny.posterior(tokens)[0]
    weight = known * fits(tiny.strings, WORDS, share, targets)
    weight *= torch.from_numpy(likelihood)[2][tiny.strings[:, 2]]
    evidence = torch.from_numpy(likelihood)[None]
    sampler = Particles(particles=particles)
    runs = every_run(monkeypatch, lambda: sampler(tiny, x, evidence, rng=Streams.of(0, [0]), guides=[make()]))
    law = torch.zeros(81, dtype=torch.float64)
    for probability, filled in runs:
        string = int((filled.tokens[0] * 3 ** torch.arange(3, -1, -1)).sum())
        law[string] += probability * math.exp(filled.log_weight.item())
    torch.testing.assert_close(law, weight, rtol=0, atol=1e-12)


def test_on_a_chain_weights_are_unbiased_and_draws_follow_the_conditional():
    """O2: all strings of eight letters that obey, by enumeration."""
    chain = MarkovChain()
    x = torch.full((1, 10), 4)
    x[0, 3:5] = torch.tensor([1, 0])
    targets = x[0] == 4
    words = [(frozenset({0}), frozenset({0, 1})), (frozenset({3}), frozenset({2}), frozenset({1, 3}))]
    rules = Rules(Memory.of(words, 4, pairs=False), {}, HALF)
    make = guided(chain, x, rules, np.ones((10, 4)))
    strings = x.repeat(4**8, 1)
    strings[:, targets] = torch.tensor(list(itertools.product(range(4), repeat=8)))
    good = fits(strings, [], HALF, targets) & _no_word(strings, words, targets)
    p = (chain.log_prob(strings) - chain.log_prob(x)).exp() * good
    runs = 250
    filled = Particles(particles=8)(
        Blind(chain), x.expand(runs, -1), torch.ones(runs, 10, 4), rng=Streams.of(0, range(runs)),
        guides=[make() for _ in range(runs)],
    )  # fmt: skip
    weights = filled.log_weight.exp() / p.sum()
    assert abs(weights.mean().item() - 1) < 4 * weights.std().item() / runs**0.5
    assert weights.std() < 0.5
    powers = 4 ** torch.arange(7, -1, -1)
    drawn = (filled.tokens[:, targets] * powers).sum(1)
    assert good[drawn].all()
    for place, letter in ((0, 0), (2, 1), (9, 2)):
        here = strings[:, place] == letter
        share = (weights * (filled.tokens[:, place] == letter)).mean().item() / weights.mean().item()
        expected = float(p[here].sum() / p.sum())
        assert abs(share - expected) < 4 * (expected * (1 - expected) / runs) ** 0.5 * 1.5


def _no_word(strings, words, targets):
    """Words that stand in given letters alone are not looked at."""
    good = torch.ones(len(strings), dtype=torch.bool)
    for word in words:
        for at in range(strings.shape[1] - len(word) + 1):
            if targets[at : at + len(word)].any():
                good &= fits(strings[:, at : at + len(word)], [word])
    return good


def test_of_independent_letters_every_particle_weighs_the_same():
    network = Constant([0.4, 0.3, 0.2, 0.1])
    x = torch.full((1, 7), 4)
    words = [(frozenset({0}), frozenset({0})), (frozenset({2}), frozenset({0, 1}), frozenset({3}))]
    make = guided(network, x, Rules(Memory.of(words, 4, pairs=False), {}, HALF), np.ones((7, 4)))
    strings = torch.tensor(list(itertools.product(range(4), repeat=7)))
    good = fits(strings, words, HALF)
    exact = float((network.logits.exp()[strings].prod(1) * good).sum())
    filled = Particles(particles=4)(
        network, x.expand(5, -1), torch.ones(5, 7, 4), rng=Streams.of(3, range(5)), guides=[make() for _ in range(5)]
    )
    torch.testing.assert_close(filled.log_weight.exp(), torch.full((5,), exact).double(), rtol=1e-6, atol=0)
    torch.testing.assert_close(filled.ess, torch.full((5,), 4.0).double())
    assert fits(filled.tokens, words, HALF).all()


def test_weights_of_windows_multiply_to_an_unbiased_estimate():
    """Two windows; the first looks beyond its end by uniform marginals, which are wrong here."""
    network = Constant([0.4, 0.3, 0.2, 0.1])
    x = torch.full((1, 8), 4)
    words = [(frozenset({0}), frozenset({0, 1}))]
    course = Course(x[0].numpy(), np.ones(8, bool), Rules(Memory.of(words, 4, pairs=False), {}, HALF))
    ones, nu = np.ones((8, 4)), marginals(network, x)
    ends = course.ends(ones, [4, 8])
    runs, free = 400, torch.ones(400, 8, 4)
    first = [course.guide(0, 4, ends[4], nu[:4], ones[:4], 0, 0) for _ in range(runs)]
    sampler = Particles(particles=2)
    half = sampler(network, x.expand(runs, -1), free, rng=Streams.of(0, range(runs)), guides=first)
    assert (half.tokens[:, 4:] == 4).all()
    second = [course.guide(4, 8, ends[8], nu[4:], ones[4:], guide.state, guide.count) for guide in first]
    rest = sampler(network, half.tokens, free, rng=Streams.of(1, range(runs)), guides=second)
    strings = torch.tensor(list(itertools.product(range(4), repeat=8)))
    exact = float((network.logits.exp()[strings].prod(1) * fits(strings, words, HALF)).sum())
    weights = (half.log_weight + rest.log_weight).exp() / exact
    assert abs(weights.mean().item() - 1) < 4 * weights.std().item() / runs**0.5
    assert weights.std() > 0.01
    assert fits(rest.tokens, words, HALF).all()


def test_constraints_hold_even_where_the_model_rules_them_out():
    network = Constant([1.0, 0.0, 0.0, 0.0])
    x = torch.full((1, 6), 4)
    make = guided(network, x, Rules(Memory.of([], 4, pairs=False), {}, HALF), np.ones((6, 4)))
    filled = Particles(particles=3)(network, x, torch.ones(1, 6, 4), rng=Streams.of(0, [0]), guides=[make()])
    assert fits(filled.tokens, [], HALF).all()
    assert (filled.log_weight.item(), filled.impossible.item()) == (-math.inf, 3)


def test_a_row_is_the_same_alone_and_in_a_batch():
    chain = MarkovChain()
    rows = torch.tensor([[4] * 8, [4, 1, 4, 4, 0, 4, 4, 4], [0, 1, 2, 3, 0, 1, 2, 4]])
    words = [(frozenset({0}), frozenset({0, 1}))]
    makes = [guided(chain, row[None], Rules(Memory.of(words, 4, pairs=False)), np.ones((8, 4))) for row in rows]
    evidence = torch.ones(3, 8, 4)
    sampler = Particles(particles=5)
    together = sampler(chain, rows, evidence, rng=Streams.of(1, "abc"), guides=[make() for make in makes])
    for i, name in enumerate("abc"):
        alone = sampler(chain, rows[i : i + 1], evidence[:1], rng=Streams.of(1, [name]), guides=[makes[i]()])
        assert torch.equal(alone.tokens[0], together.tokens[i])
        assert alone.log_weight[0] == together.log_weight[i]
        assert alone.calls[0] == together.calls[i]
