import math

import pytest
import torch
from laws import bounded_law, distance, empty, goodness, tiny, vector
from oracles import Blind

from seqdiff.diffusion.samplers import Bounded
from seqdiff.diffusion.samplers.bounded import within
from seqdiff.streams import Streams


@pytest.mark.parametrize("bound", [0.8, 1.0, 1.5, 2.5])
def test_divergence_is_at_most_the_bound_times_the_passes(bound):
    """T13, by enumeration: KL(p || law) <= bound E_p[passes]."""
    law, passes = bounded_law(bound)
    law, passes = vector(law), vector(passes)
    assert law.sum().item() == pytest.approx(1, abs=1e-12)
    divergence = (tiny.p * (tiny.p / law).log()).sum().item()
    expected_passes = (tiny.p * passes).sum().item()
    assert 0 < divergence <= bound * expected_passes
    assert expected_passes < 4


def test_a_larger_bound_takes_fewer_passes_and_a_bound_without_limit_one():
    passes = [(tiny.p * vector(bounded_law(bound)[1])).sum().item() for bound in (0.0, 0.8, 1.5, 10.0)]
    assert passes == sorted(passes, reverse=True)
    assert passes[0] == pytest.approx(4)
    assert passes[-1] == pytest.approx(1)


def test_a_bound_of_0_is_exact_one_at_a_time():
    law, passes = bounded_law(0.0)
    assert set(passes.values()) == {4}
    assert distance(law) < 1e-12


def test_thousands_of_draws_follow_the_law_with_the_passes_that_were_counted():
    n = 4_000
    filled = Bounded(bound=1.0)(Blind(tiny), empty.expand(n, -1), rng=Streams.of(3, range(n)))
    law, passes = bounded_law(1.0)
    assert goodness(filled.tokens, law) > 1e-4
    assert filled.calls.tolist() == [passes[tuple(string)] for string in filled.tokens.tolist()]


def test_what_is_certain_comes_for_nothing_and_the_largest_entropy_is_not_counted():
    left, freedom = torch.ones(1, 5, dtype=torch.bool), torch.full((1, 5), 4)
    entropies = torch.tensor([1.2, 0.0, 0.3, 0.0, 0.3], dtype=torch.float64)
    rows = {bound: within(bound, left, freedom, entropies)[0].tolist() for bound in (0.0, 0.29, 0.3, 0.6, math.inf)}
    assert rows[0.0] == rows[0.29] == [False, True, True, True, False]
    assert rows[0.3] == [False, True, True, True, True]
    assert rows[0.6] == rows[math.inf] == [True] * 5


def test_the_most_restricted_come_first_whatever_their_entropy():
    left = torch.tensor([[True, True, False, True]])
    freedom = torch.tensor([[4, 2, 1, 2]])
    entropies = torch.tensor([0.1, 1.0, 0.9], dtype=torch.float64)
    assert within(0.5, left, freedom, entropies).tolist() == [[False, False, False, True]]
    assert within(0.9, left, freedom, entropies).tolist() == [[False, True, False, True]]
