import itertools

import pytest
import torch
from laws import (
    SOFT,
    M,
    distance,
    empty,
    exact_turns,
    goodness,
    orders,
    planned_law,
    random_move,
    reveal,
    strings,
    tiny,
)
from oracles import Blind, Constant, MarkovChain, TinyJoint
from pydantic import ValidationError

from seqdiff.diffusion import categorical
from seqdiff.diffusion.evidence import Evidence
from seqdiff.diffusion.samplers import Correct
from seqdiff.diffusion.samplers.correct import gumbel
from seqdiff.streams import Streams


class Hollow(TinyJoint):
    hollow = True


@pytest.mark.parametrize("positions", [1, 2, 3, 9])
def test_random_moves_leave_the_law_as_it_is(positions):
    """T12."""
    sampler = Correct(positions=positions)
    assert len(orders(sampler, torch.ones(1, 4, dtype=torch.bool))) == {1: 4, 2: 12, 3: 24, 9: 24}[positions]
    assert distance(random_move(strings(tiny.p), sampler)) < 1e-12


def test_two_letters_refilled_at_once_would_not():
    assert distance(random_move(strings(tiny.p), Correct(positions=2), at_once=True)) > 0.05


def test_random_moves_of_single_letters_leave_the_conditional_of_evidence_as_it_is():
    expected, _ = tiny.posterior([M] * 4, SOFT[0])
    targets = Evidence.of(empty, SOFT, 3).unfilled
    after = random_move(strings(expected), Correct(), targets, SOFT[0])
    assert distance(after, expected) < 1e-12
    start = planned_law(
        *exact_turns(Evidence.of(empty, SOFT, 3)), tokens=torch.tensor([[M, M, M, 2]]), evidence=SOFT[0]
    )
    distances = [distance(start, expected)]
    for _ in range(3):
        start = random_move(start, Correct(), targets, SOFT[0])
        distances.append(distance(start, expected))
    assert distances == sorted(distances, reverse=True)


def predicted(steps):
    """The law of two ancestral steps, from their definition."""
    law = {}
    for first in itertools.product([False, True], repeat=4):
        sites = [[i for i in range(4) if first[i]], [i for i in range(4) if not first[i]]]
        part = {tuple(empty[0].tolist()): 1 / 16}
        for chosen in sites:
            part = reveal(part, chosen)
        for state, probability in part.items():
            law[state] = law.get(state, 0.0) + probability
    return law


def test_random_moves_bring_what_large_steps_filled_nearer_to_the_law():
    law = predicted(2)
    distances = [distance(law)]
    for _ in range(4):
        law = random_move(law, Correct())
        distances.append(distance(law))
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] < distances[0] / 3


def test_the_least_certain_choice_drifts_away_from_the_law():
    """What it says of itself: no sampler of p. One hollow move: letter i with probability ~ 1 / mu_i(x_i), redrawn."""
    after = {}
    for state, probability in strings(tiny.p).items():
        mu = torch.softmax(tiny(torch.tensor([state]))[0], -1)
        doubt = 1 / mu[torch.arange(4), list(state)]
        for i, share in enumerate((doubt / doubt.sum()).tolist()):
            for v, q in enumerate(mu[i].tolist()):
                new = (*state[:i], v, *state[i + 1 :])
                after[new] = after.get(new, 0.0) + probability * share * q
    assert 0.03 < distance(after) < 0.2
    n = 4_000
    started = tiny.strings[torch.multinomial(tiny.p, n, True, generator=torch.Generator().manual_seed(0))]
    sampler = OnlyMoves(choose="least-certain", moves=1)
    filled = sampler.moved(Hollow(), started)
    assert goodness(filled, after) > 1e-4
    assert goodness(filled, strings(tiny.p)) < 1e-3


class OnlyMoves(Correct):
    """The moves alone, from given strings: the predictor's network knows nothing but them."""

    def moved(self, network, started):
        passes = iter(range(10_000))

        class FromGiven:
            symbols, hollow = network.symbols, network.hollow

            def __call__(self, tokens, time=None):
                if next(passes) == 0:
                    return torch.nn.functional.one_hot(started, network.symbols).double().log()
                return network(tokens)

        sampler = self.model_copy(update={"steps": 1})
        return sampler(FromGiven(), torch.full_like(started, M), rng=Streams.of(1, range(len(started)))).tokens


@pytest.mark.parametrize("positions", [1, 2])
def test_thousands_of_draws_from_p_are_from_p_after_random_moves(positions):
    started = tiny.strings[torch.multinomial(tiny.p, 3_000, True, generator=torch.Generator().manual_seed(0))]
    moved = OnlyMoves(positions=positions, moves=2).moved(Hollow(), started)
    assert (moved != started).any(1).double().mean() > 0.2
    assert goodness(moved, strings(tiny.p)) > 1e-4


def test_a_hollow_network_is_asked_once_a_move_and_others_only_about_masks():
    chain = MarkovChain()
    x = chain.sample(4, 40, seed=2)
    x[:, 10:30] = chain.mask

    class Visible(MarkovChain):
        hollow = True

    least = Correct(choose="least-certain", steps=4, moves=5, positions=2)
    assert (least(Visible(), x, rng=Streams.of(0, range(4))).calls <= 4 + 5).all()
    blind = Blind(chain)  # NaN at every letter that is visible
    filled = least(blind, x, rng=Streams.of(0, range(4)))
    assert (filled.calls <= 4 + 5 * (1 + 2)).all()
    assert torch.equal(filled.tokens[:, :10], x[:, :10])
    assert torch.equal(filled.tokens[:, 30:], x[:, 30:])
    random = Correct(steps=4, moves=5, positions=2)(blind, x, rng=Streams.of(0, range(4)))
    assert (random.calls <= 4 + 5 * 2).all()


def test_the_least_certain_letter_is_the_one_that_is_redrawn():
    """A letter that cannot stand where it does is found in the first move, hollow or not."""
    right = torch.tensor([[0, 1, 2, 0]])
    wrong = torch.tensor([[0, 1, 0, 0]])

    class Knows:
        symbols = 3

        def __init__(self, hollow):
            self.hollow, self.passes = hollow, 0

        def __call__(self, tokens, time=None):
            self.passes += 1
            mu = torch.full((1, 4, 3), 1e-12, dtype=torch.float64)
            return mu.scatter(2, (wrong if self.passes == 1 else right)[..., None], 1.0).log()

    for hollow in (True, False):
        sampler = Correct(choose="least-certain", steps=1, moves=1)
        assert torch.equal(sampler(Knows(hollow), empty, rng=Streams.of(0, [0])).tokens, right)


def test_gumbel_noise_draws_in_proportion():
    p = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    uniforms = torch.rand(20_000, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    shares = (p.log() + gumbel(uniforms)).argmax(1).bincount(minlength=3) / 20_000
    assert ((shares - p).abs() < 4 * (p * (1 - p) / 20_000).sqrt()).all()
    assert categorical.lowest(torch.ones(1).long(), torch.ones(1, 1).bool(), -gumbel(torch.zeros(1, 1))).all()


def test_log_prob_is_that_of_the_letters_that_stand_given_what_they_were_drawn_from():
    network = Constant([0.1, 0.2, 0.3, 0.4])
    filled = Correct(moves=9, positions=2)(network, torch.full((20, 9), 4), rng=Streams.of(0, range(20)))
    torch.testing.assert_close(filled.log_prob, network.logits[filled.tokens].sum(1), rtol=0, atol=1e-12)


def test_steps_of_a_predictor_that_has_none_are_refused():
    with pytest.raises(ValidationError, match="steps is for the ancestral predictor"):
        Correct(predictor="exact", steps=3)
