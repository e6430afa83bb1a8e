"""The laws of particles: every way in which the sampler's own code can draw, with its probability (T14)."""

import math

import pytest
import torch
from draws import every_run
from oracles import Blind, Constant, MarkovChain, TinyJoint
from pydantic import ValidationError

from seqdiff.diffusion.samplers import Ancestral, Confident, Exact, Particles, population
from seqdiff.diffusion.samplers.population import systematic
from seqdiff.streams import Streams

tiny = TinyJoint()
M = tiny.mask
empty = torch.full((1, 4), M)
SETS = torch.tensor([[[1, 1, 0], [0, 1, 1], [1, 1, 1], [0, 0, 1]]], dtype=torch.float64)
SOFT = torch.tensor([[[0.9, 0.05, 0.05], [1, 1, 1], [0.3, 0, 0.7], [0, 0, 1]]], dtype=torch.float64)


def every_filling(monkeypatch, sampler, evidence, tokens=empty, denoise=tiny):
    return every_run(monkeypatch, lambda: sampler(denoise, tokens, evidence, rng=Streams.of(0, [0])))


def law(runs, weighted=False, oracle=tiny):
    index = {tuple(string): i for i, string in enumerate(oracle.strings.tolist())}
    total = torch.zeros(len(index), dtype=torch.float64)
    for probability, filled in runs:
        weight = math.exp(filled.log_weight.item()) if weighted else 1.0
        total[index[tuple(filled.tokens[0].tolist())]] += probability * weight
    return total


def conditional(evidence, oracle=tiny):
    """p(string | evidence), and the probability of the evidence given the letters that are the only ones possible."""
    certain = (evidence[0] > 0).sum(-1) == 1
    likelihood = evidence[0][torch.arange(oracle.length), oracle.strings]
    weight = oracle.p * likelihood.prod(1)
    return weight / weight.sum(), float(weight.sum() / (oracle.p * likelihood[:, certain].prod(1)).sum())


@pytest.mark.parametrize("evidence", [SETS, SOFT], ids=["sets", "soft"])
def test_the_law_by_enumeration(evidence, monkeypatch):
    """E[P_hat] = P(evidence) for every N; strings weighted by P_hat follow the conditional; without weights they come
    nearer to it as N grows."""
    expected, total = conditional(evidence)
    distances = []
    for particles in (1, 2):
        runs = every_filling(monkeypatch, Particles(particles=particles), evidence)
        weighted = law(runs, weighted=True)
        assert weighted.sum().item() == pytest.approx(total, abs=1e-12)
        assert (weighted / weighted.sum() - expected).abs().max() < 1e-12
        distances.append((law(runs) - expected).abs().sum().item() / 2)
    assert 0 < distances[1] < 0.8 * distances[0]


def test_one_particle_is_the_exact_sampler(monkeypatch):
    plain, one = (every_filling(monkeypatch, sampler, SOFT) for sampler in (Exact(), Particles(particles=1)))
    for weighted in (False, True):
        assert (law(plain, weighted) - law(one, weighted)).abs().max() < 1e-12


def test_the_law_by_enumeration_where_particles_are_resampled(monkeypatch):
    """Of three particles fewer than one and a half are left where two drew an unlikely letter."""
    sharp = TinyJoint(symbols=2, length=3, seed=6)
    evidence = torch.tensor([[[1, 0.08], [0, 1], [1, 0.06]]], dtype=torch.float64)
    expected, total = conditional(evidence, sharp)
    resampled = []
    monkeypatch.setattr(population, "systematic", lambda *given: resampled.append(given) or systematic(*given))
    x = torch.full((1, 3), 2)
    Particles(particles=3)(sharp, x.expand(99, -1), evidence.expand(99, -1, -1), rng=Streams.of(0, range(99)))
    assert resampled
    runs = every_filling(monkeypatch, Particles(particles=3), evidence, x, sharp)
    weighted = law(runs, True, sharp)
    assert weighted.sum().item() == pytest.approx(total, abs=1e-12)
    assert (weighted / weighted.sum() - expected).abs().max() < 1e-12


@pytest.mark.parametrize("evidence", [SETS, SOFT], ids=["sets", "soft"])
def test_many_particles_are_unbiased_and_near_the_conditional(evidence):
    expected, total = conditional(evidence)
    runs = 4000
    sampler = Particles(particles=16)
    filled = sampler(Blind(tiny), empty.expand(runs, -1), evidence.expand(runs, -1, -1), rng=Streams.of(5, range(runs)))
    weights = filled.log_weight.exp()
    error = weights.std().item() / runs**0.5
    assert abs(weights.mean().item() - total) < 4 * error
    assert error / weights.mean() < 0.005
    seen = (filled.tokens * 3 ** torch.arange(3, -1, -1)).sum(1).bincount(minlength=81).double()
    assert seen[expected == 0].sum() == 0
    common = expected * runs > 5
    statistic = ((seen - runs * expected)[common] ** 2 / (runs * expected)[common]).sum()
    tail = torch.special.gammaincc(common.sum().double() / 2, statistic / 2)
    assert tail.item() > 1e-4


def test_the_probability_of_soft_evidence_on_a_chain():
    """O2: called letters with errors, of which the chain gives the exact probability by its own forward pass."""
    chain = MarkovChain()
    truth = chain.sample(1, 24, seed=4)
    evidence = torch.full((1, 24, 4), 1.0, dtype=torch.float64)
    called = torch.arange(24) % 3 == 0
    evidence[0, called] = 0.1 / 3
    evidence[0, called] = evidence[0, called].scatter(1, truth[0, called][:, None], 0.9)
    message, exact = chain.start, 0.0
    for i in range(24):
        joint = message * evidence[0, i]
        exact += joint.sum().log().item()
        message = (joint / joint.sum()) @ chain.transition
    runs = 300
    sampler = Particles(particles=8, finish=Ancestral(steps=1))
    filled = sampler(chain, torch.full((runs, 24), 4), evidence.expand(runs, -1, -1), rng=Streams.of(1, range(runs)))
    weights = (filled.log_weight - exact).exp()
    assert abs(weights.mean().item() - 1) < 4 * weights.std().item() / runs**0.5
    assert weights.std() < 0.5
    assert ((filled.ess > 1) & (filled.ess <= 8)).all()


def test_particles_that_hold_the_same_letters_share_a_pass():
    evidence = torch.ones(1, 6, 4, dtype=torch.float64)
    evidence[0, 1] = torch.tensor([1, 0, 1, 0])
    network = Blind(MarkovChain())
    filled = Particles(particles=32)(network, torch.full((1, 6), 4), evidence, rng=Streams.of(0, [0]))
    assert filled.calls.item() == network.rows == 1 + 5
    evidence[0, 4] = torch.tensor([0, 1, 0.5, 0])
    filled = Particles(particles=32)(network, torch.full((1, 6), 4), evidence, rng=Streams.of(0, [0]))
    assert filled.calls.item() <= 1 + 2 + 4


def test_the_effective_number_is_that_of_the_weights():
    network = Constant([0.1, 0.2, 0.3, 0.4])
    x = torch.full((2, 3), 4)
    evidence = torch.ones(2, 3, 4, dtype=torch.float64)
    evidence[0, 0] = evidence[0, 2] = torch.tensor([1, 0, 1, 0.5])
    filled = Particles(particles=8)(network, x, evidence, rng=Streams.of(0, range(2)))
    assert filled.ess[0].item() == pytest.approx(8)
    assert filled.ess[1].isnan()
    assert filled.log_weight.tolist() == pytest.approx([2 * math.log(0.1 + 0.3 + 0.2), 0])


def test_impossible_evidence_says_where_and_still_obeys_the_letters():
    network = Constant([0.5, 0.5, 0.0, 0.0])
    evidence = torch.ones(2, 3, 4, dtype=torch.bool)
    evidence[0, 1, :2] = False
    for sampler in (Particles(particles=4), Exact(), Confident(order="sample-then-choose", score="margin")):
        filled = sampler(network, torch.full((2, 3), 4), evidence, rng=Streams.of(0, range(2)))
        assert filled.impossible.tolist() == [1, -1]
        assert filled.log_weight.tolist() == [-math.inf, 0]
        assert filled.tokens[0, 1] >= 2


def test_systematic_draws_come_as_often_as_their_weight_says():
    weights = torch.tensor([[0.1, 0.0, 0.63, 0.27, 0.0]], dtype=torch.float64)
    for uniform in (0.0, 0.3, 0.999999, 1 - 2**-53):
        drawn = systematic(weights.log(), torch.tensor([uniform], dtype=torch.float64))[0].bincount(minlength=5)
        assert ((drawn >= (5 * weights[0]).floor()) & (drawn <= (5 * weights[0]).ceil())).all()


def test_the_sampler_of_the_rest_is_nested_and_takes_the_temperature_from_above():
    sampler = Particles.model_validate({"finish": {"kind": "ancestral", "steps": 2}, "temperature": 0.5})
    assert sampler.finish == Ancestral(steps=2)
    cold = Particles(temperature=1e-3)(Constant([0.2, 0.35, 0.25, 0.2]), torch.full((1, 5), 4), rng=Streams.of(0, [0]))
    assert (cold.tokens == 1).all()
    with pytest.raises(ValidationError, match="finish takes them from there"):
        Particles(finish=Exact(temperature=0.5))
    with pytest.raises(ValidationError):
        Particles.model_validate({"finish": {"kind": "particles"}})
