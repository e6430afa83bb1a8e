import itertools
import math

import pytest
import torch
from laws import M, ancestral_turns, distance, empty, goodness, nothing, planned_law, remask_law, tiny, vector
from oracles import Blind, Constant, MarkovChain
from pydantic import ValidationError

from seqdiff.diffusion.samplers import Ancestral, Remask
from seqdiff.streams import Streams

STRATEGIES = ["cap", "rescale", "confidence", "loop"]


@pytest.mark.parametrize("grid", ["uniform", "cosine"])
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("eta", [None, 0.0, 0.3, 1.0])
def test_marginals_are_kept_and_rates_are_probabilities(strategy, grid, eta):
    """T11: a_t (1 - sigma) + (1 - a_t) rho = a_s; sigma <= (1 - a_s) / a_t; 0 in the last step."""
    if strategy == "confidence" and eta is not None:
        return
    sampler = Remask(strategy=strategy, grid=grid, eta=eta)
    for steps in (1, 2, 3, 4, 17, 128, 1024):
        time = Ancestral(grid=grid).shares(steps).flip(0)
        alpha = sampler.visible(time)
        before, after = alpha[:-1], alpha[1:]
        remask, reveal = sampler.rates(steps)
        for rate in (remask, reveal):
            assert rate.isfinite().all()
            assert ((rate >= 0) & (rate <= 1 + 1e-12)).all()
        assert (remask * before <= 1 - after + 1e-12).all()
        assert (remask[-1], reveal[-1]) == (0, 1)
        assert (after >= before).all()
        taken = 0.0 if strategy == "confidence" else remask
        torch.testing.assert_close(before * (1 - taken) + (1 - before) * reveal, after, rtol=0, atol=1e-12)


def test_the_strategies_take_back_what_they_say():
    cap, _ = Remask(strategy="cap", eta=0.4).rates(8)
    assert cap.tolist() == pytest.approx([0.4] * 6 + [1 / 6, 0])
    rescale, _ = Remask(strategy="rescale", eta=0.4).rates(8)
    assert rescale.tolist() == pytest.approx([0.4 * min(1, (8 - k - 1) / max(k, 0.1)) for k in range(8)])
    loop, reveal = Remask(strategy="loop", eta=0.1).rates(20)
    time = [1 - step / 20 for step in range(20)]
    assert loop.tolist() == pytest.approx([0.1 if 0.05 + 1e-9 < t <= 0.55 else 0 for t in time])
    held = [0.1 * 0.9 / 0.1 if 0.1 < t < 0.54 else None for t in time]
    assert all(h is None or rho == pytest.approx(h) for h, rho in zip(held, reveal.tolist(), strict=True))


def test_confidence_takes_back_the_letters_that_were_drawn_with_least():
    visible = torch.tensor([[True, True, False, True]])
    sigma = Remask(strategy="confidence").sigma(
        torch.tensor([0.6]).double(), visible, torch.tensor([[0.9, 0.1, 0.0, 0.5]]).double()
    )
    assert sigma[0, 2] == 0
    assert sigma.sum().item() == pytest.approx(0.6)
    assert sigma[0].argsort(descending=True).tolist() == [1, 3, 0, 2]
    assert (sigma[0, 1] / sigma[0, 0]).item() == pytest.approx(math.exp(0.8))
    assert Remask(strategy="confidence").sigma(torch.ones(1).double(), ~visible & False, sigma).sum() == 0


@pytest.mark.parametrize("grid", ["uniform", "cosine"])
def test_without_remasking_it_is_ancestral(grid):
    steps = 3
    law = remask_law(Remask(eta=0.0, steps=steps, grid=grid), steps)
    expected = vector(planned_law(*ancestral_turns(Ancestral(steps=steps, grid=grid), steps, nothing)))
    assert distance(law, expected) < 1e-12


@pytest.mark.parametrize(("strategy", "eta"), [("cap", 0.5), ("rescale", 0.7), ("confidence", None), ("loop", 0.1)])
def test_thousands_of_draws_follow_the_law_of_the_steps(strategy, eta):
    """The law by enumeration is that of the steps above, it is not p at few steps, and the sampler draws from it."""
    sampler = Remask(strategy=strategy, eta=eta, steps=3)
    law = remask_law(sampler, 3)
    assert sum(law.values()) == pytest.approx(1, abs=1e-12)
    assert not any(M in state for state in law)
    plain = vector(planned_law(*ancestral_turns(Ancestral(steps=3), 3, nothing)))
    assert 0.001 < distance(law, plain) < 0.2
    n = 3_000
    filled = sampler(Blind(tiny), empty.expand(n, -1), rng=Streams.of(5, range(n)))
    assert goodness(filled.tokens, law) > 1e-4
    assert filled.calls.max() <= 3


def test_letters_are_taken_back_and_given_ones_never():
    chain = MarkovChain()
    x = chain.sample(6, 30, seed=1)
    x[:, 5:25] = chain.mask
    seen = []

    class Spy(MarkovChain):
        def __call__(self, tokens, time=None):
            seen.append(tokens.clone())
            return super().__call__(tokens)

    evidence = torch.ones(6, 30, 4, dtype=torch.bool)
    evidence[:, 7, 1:] = False
    filled = Remask(strategy="cap", eta=1.0, steps=40)(Spy(), x, evidence, rng=Streams.of(0, range(6)))
    given = [*range(5), *range(25, 30)]
    assert all((tokens[:, given] < 4).all() and (tokens[:, 7] == 0).all() for tokens in seen)
    masks = torch.tensor([(tokens[0] == 4).sum() for tokens in seen if len(tokens) == 6])
    back = [(old[0] != 4) & (new[0] == 4) for old, new in itertools.pairwise(t for t in seen if len(t) == 6)]
    assert sum(int(b.sum()) for b in back) > 10
    assert masks[0] == 19
    assert (filled.tokens < 4).all()
    assert (filled.calls <= 40).all()


def test_log_prob_is_that_of_the_letters_that_stand():
    network = Constant([0.1, 0.2, 0.3, 0.4])
    filled = Remask(strategy="rescale", eta=0.9, steps=30)(
        network, torch.full((20, 9), 4), rng=Streams.of(0, range(20))
    )
    torch.testing.assert_close(filled.log_prob, network.logits[filled.tokens].sum(1), rtol=0, atol=1e-12)


def test_settings_that_mean_nothing_are_refused():
    with pytest.raises(ValidationError, match="eta is for cap, rescale and loop"):
        Remask(strategy="confidence", eta=0.1)
    with pytest.raises(ValidationError, match="loop_from: only the strategy loop"):
        Remask(loop_from=0.3)
    with pytest.raises(ValidationError, match="loop_until must be less"):
        Remask(strategy="loop", loop_until=0.6)
