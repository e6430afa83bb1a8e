"""The length of a gap from the letters around it, against enumeration."""

import itertools

import numpy as np
import pytest
import torch

from seqdiff.diffusion.likelihood import Elbo, spacing
from seqdiff.streams import Streams
from tests.oracles import Blind, Constant, Hollow, MarkovChain, TinyJoint

GAPS = (0, 1, 2, 4)


def stream(name="r", seed=0):
    return Streams.of(seed, [name])


class ByLength:
    """Sequences of each length have a joint of their own."""

    def __init__(self, lengths, symbols=2):
        self.symbols, self.joints = symbols, {n: TinyJoint(symbols, n, seed=n) for n in lengths}

    def __call__(self, tokens, time=None):
        logits = torch.zeros(*tokens.shape, self.symbols, dtype=torch.float64)
        lengths = (tokens != self.symbols + 1).sum(1)
        for n in lengths.unique().tolist():
            logits[lengths == n] = self.joints[n](tokens[lengths == n])
        return logits


class Periodic:
    """A chain that goes round through K states, so that letters say how far apart they stand, modulo K."""

    def __new__(cls, symbols=4, stay=0.02):
        chain = MarkovChain(symbols)
        step = torch.eye(symbols, dtype=torch.float64).roll(1, 1)
        chain.transition = step * (1 - stay) + stay / symbols
        chain.start = torch.full((symbols,), 1 / symbols, dtype=torch.float64)
        return chain


def enumerated(chain, left, right, gaps):
    """log p(left, right | gap) of a chain, less its mean."""
    rows = [torch.cat([left, torch.full((gap,), chain.mask), right])[None] for gap in gaps]
    exact = torch.cat([chain.log_prob(row) for row in rows])
    return exact - exact.mean()


@pytest.mark.parametrize("oracle", [Blind, Hollow])
@pytest.mark.parametrize("sides", [([0], [1]), ([0, 2], [1, 3, 0]), ([0, 4, 1], [4, 2]), ([3], []), ([], [3, 1])])
def test_of_few_letters_the_posterior_is_that_of_enumeration(oracle, sides):
    chain = MarkovChain(seed=1)
    left, right = (torch.tensor(side, dtype=torch.int64) for side in sides)
    exact = enumerated(chain, left, right, GAPS)
    found = spacing(oracle(chain), left, right, GAPS, stream(), draws=1_000, batch_size=1_000)
    torch.testing.assert_close(found.nats.softmax(0), exact.softmax(0), atol=0.01, rtol=0)
    if max(map(len, sides)) == 1:
        torch.testing.assert_close(found.nats - found.nats.mean(), exact)
        assert found.error(0, 3) == 0


def test_a_whole_sequence_says_which_length_suits_each_side():
    left, right, gaps = torch.tensor([0]), torch.tensor([1]), (0, 1, 3)
    oracle = ByLength([2 + gap for gap in gaps])
    exact = [np.log(oracle.joints[2 + gap].posterior(torch.tensor([0, *[2] * gap, 1]))[1]) for gap in gaps]
    found = spacing(Blind(oracle), left, right, gaps, stream(), whole=True)
    np.testing.assert_allclose(found.nats, exact)
    assert abs(spacing(oracle, left, right, gaps, stream()).nats - torch.tensor(exact)).max() > 0.1


def test_the_bound_of_filled_sequences_summed_over_the_fillings_is_the_same_number():
    left, right, chain = torch.tensor([2]), torch.tensor([1]), MarkovChain(seed=3)
    by_filling = []
    for gap in GAPS[:3]:
        fillings = [torch.tensor([2, *middle, 1]) for middle in itertools.product(range(4), repeat=gap)]
        x = torch.stack(fillings)
        bound = Elbo(strata=16, replicates=4)(chain, x, x < 4, Streams.of(0, range(len(x))))
        by_filling.append(torch.logsumexp(-bound.nats, 0))
    found = spacing(chain, left, right, GAPS[:3], stream())
    given = chain.log_prob(left[None])[0] + chain.log_prob(right[None])[0]  # what is left away
    torch.testing.assert_close(found.nats, torch.stack(by_filling) - given / 2)


@pytest.mark.parametrize("oracle", [Blind, Hollow])
def test_of_many_letters_the_error_is_what_it_says(oracle):
    chain = Periodic()
    x = chain.sample(1, 27, seed=5)[0]
    left, right, gaps = x[:12], x[15:], (0, 2, 3, 5)
    exact = enumerated(chain, left, right, gaps)
    off = []
    for seed in range(50):
        found = spacing(oracle(chain), left, right, gaps, stream(seed=seed), draws=32)
        off += [((found.nats[g] - found.nats[2]) - (exact[g] - exact[2])) / found.error(g, 2) for g in (0, 1, 3)]
    assert exact.argmax() == 2
    assert abs(np.mean(off)) < 0.35
    assert 0.7 < np.sqrt(np.mean(np.square(np.clip(off, -4, 4)))) < 1.6


def test_nothing_is_said_where_the_letters_know_nothing_of_one_another():
    found = spacing(Constant([0.1, 0.2, 0.3, 0.4]), torch.arange(4), torch.arange(4).repeat(9), range(5), stream())
    torch.testing.assert_close(found.nats, found.nats[:1].expand(5), atol=1e-9, rtol=0)
    assert found.error(0, 4) < 1e-9


def test_the_same_letters_are_hidden_whatever_the_length_and_the_batch():
    chain, x = Periodic(), Periodic().sample(1, 20, seed=1)[0]
    whole = spacing(chain, x[:10], x[10:], (0, 3, 6), stream())
    for gaps, batch_size in (((3, 0), 32), ((0, 1, 2, 3, 4, 5, 6, 7), 3)):
        again = spacing(chain, x[:10], x[10:], gaps, stream(), batch_size=batch_size)
        both = again.nats[list(gaps).index(3)] - again.nats[list(gaps).index(0)]
        assert both == whole.nats[1] - whole.nats[0]
    assert (spacing(chain, x[:10], x[10:], (0, 3, 6), stream("another")).nats != whole.nats).all()


def test_letters_that_are_not_scored_are_given():
    chain = MarkovChain(seed=2)
    left, right = torch.tensor([0, 1, 2]), torch.tensor([3, 1])
    which = torch.tensor([False, False, True]), torch.tensor([True, False])
    found = spacing(chain, left, right, GAPS, stream(), scored=which)
    given = [chain.log_prob(torch.tensor([[0, 1, 4, *[4] * gap, 4, 1]]))[0] for gap in GAPS]
    given_left = [chain.log_prob(torch.tensor([[0, 1, 2, *[4] * gap, 4, 1]]))[0] for gap in GAPS]
    given_right = [chain.log_prob(torch.tensor([[0, 1, 4, *[4] * gap, 3, 1]]))[0] for gap in GAPS]
    every = [chain.log_prob(torch.tensor([[0, 1, 2, *[4] * gap, 3, 1]]))[0] for gap in GAPS]
    exact = torch.stack(every) - (torch.stack(given_left) + torch.stack(given_right)) / 2
    torch.testing.assert_close(found.nats, exact)
    assert not torch.allclose(torch.stack(given), torch.stack(given)[0])
