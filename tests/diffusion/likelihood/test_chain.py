"""T17 of math.md: the chain rule is the same in every order where the conditionals belong to one joint."""

import itertools
import math

import pytest
import torch
from oracles import Blind, Hollow, Inconsistent, MarkovChain, TinyJoint
from pydantic import ValidationError

from seqdiff.diffusion.likelihood import Chain, elbo
from seqdiff.diffusion.likelihood.chain import random_orders
from seqdiff.diffusion.likelihood.score import mixture
from seqdiff.streams import Streams

chain = MarkovChain()
torn = Inconsistent(chain, MarkovChain(seed=1))


def run(network, x, scored=None, seed=0, batch_size=500, **settings):
    scored = x < chain.mask if scored is None else scored
    return Chain(**settings)(network, x, scored, Streams.of(seed, range(len(x))), batch_size=batch_size)


@pytest.mark.parametrize("kind", [Blind, Hollow])
@pytest.mark.parametrize("length", [20, 21])
def test_twenty_orders_agree_with_the_exact_value(kind, length):
    x = chain.sample(2, length)
    x[0, [4, 9]] = chain.mask  # unknown letters are summed over
    network = kind(chain)
    score = run(network, x, orders=20)
    assert score.orders.shape == (2, 20)
    assert (score.orders + chain.log_prob(x)[:, None]).abs().max() < 1e-9
    assert (score.nats + chain.log_prob(x)).abs().max() < 1e-9
    assert score.se.max() < 1e-9
    n = (x < chain.mask).sum(1)
    assert score.positions.tolist() == n.tolist()
    assert score.calls.tolist() == (20 * (n if kind is Blind else (n + 1) // 2)).tolist()
    assert network.rows == score.calls.sum()


@pytest.mark.parametrize("kind", [Blind, Hollow])
@pytest.mark.parametrize("order", ["random", "left-to-right", "right-to-left"])
def test_a_region_given_its_context(kind, order):
    x = chain.sample(3, 16)
    scored = torch.zeros_like(x, dtype=torch.bool)
    scored[:, [2, 5, 6, 7, 11]] = True
    x[:, 9] = chain.mask
    exact = chain.log_prob(x.masked_fill(scored, chain.mask)) - chain.log_prob(x)
    assert (run(kind(chain), x, scored, order=order).nats - exact).abs().max() < 1e-9


@pytest.mark.parametrize(("order", "sign"), [("left-to-right", 1), ("right-to-left", -1)])
def test_a_given_order_is_that_of_the_letters_and_has_no_error(order, sign):
    seen = []

    def spy(tokens):
        seen.append(tokens.clone())
        return torn(tokens)

    x = chain.sample(1, 5)
    score = run(spy, x, order=order)
    masks = torch.cat(seen)[1:] == chain.mask  # the first call asks how many symbols there are
    visible = (~masks).long() if sign > 0 else (~masks).long().flip(1)
    assert visible.tolist() == [[1] * j + [0] * (5 - j) for j in range(5)]
    assert (score.se.item(), score.df.item()) == (0, math.inf)
    assert score.orders.shape == (1, 1)


def test_the_mean_over_orders_is_the_bound_and_the_mixture_is_below_it():
    x = chain.sample(1, 6, seed=2)
    every = run(torn, x.expand(200, -1), orders=8)
    bound = elbo(torn, x, x >= 0, Streams.of(0, [0]), strata=16, replicates=4)
    assert bound.se.item() == 0  # all 63 masks
    spread = every.nats.std()
    assert spread > 0.01
    assert abs(every.nats.mean() - bound.nats[0]) < 4 * spread / 200**0.5
    assert every.se.square().mean().sqrt().item() == pytest.approx(spread.item(), rel=0.15)
    assert (mixture(every.orders) < every.nats).all()
    assert (every.df == 7).all()


def test_the_mixture_of_orders_is_a_distribution():
    """Given orders, -log of the mean over them sums to one over all strings, as no mean of -log p does."""
    tiny = TinyJoint(symbols=2, length=5)
    network = Inconsistent(tiny, TinyJoint(symbols=2, length=5, seed=1))
    x = tiny.strings
    score = Chain(orders=3)(network, x, x >= 0, Streams.of(0, ["one"] * len(x)), batch_size=1000)
    assert (-mixture(score.orders)).exp().sum().item() == pytest.approx(1, abs=1e-12)
    assert (-score.nats).exp().sum() < 1 - 1e-3


def test_few_letters_are_taken_in_orders_that_differ():
    orders = random_orders(3, 8, Streams.of(0, ["row"])).tolist()
    assert sorted(map(tuple, orders[:6])) == sorted(itertools.permutations(range(3)))
    assert orders[6] != orders[7]
    assert random_orders(2, 4, Streams.of(1, ["row"])).sum(0).tolist() == [2, 2]
    assert random_orders(0, 2, Streams.of(1, ["row"])).shape == (2, 0)
    many = random_orders(9, 5, Streams.of(0, ["row"]))
    assert (many.sort(1).values == torch.arange(9)).all()
    assert len({tuple(order) for order in many.tolist()}) == 5


def test_one_order_has_no_known_error_and_no_letter_costs_nothing():
    x = torch.tensor([[4, 4, 4], [4, 2, 4], [1, 2, 0]])
    score = run(Blind(torn), x, orders=1)
    assert score.nats[0] == 0
    assert score.se[:2].tolist() == [0, 0]
    assert score.se[2].isnan()
    assert score.df[2].isnan()
    assert score.calls.tolist() == [0, 1, 3]


def test_orders_of_a_given_order_are_refused():
    with pytest.raises(ValidationError, match="orders belongs to order random"):
        Chain(order="left-to-right", orders=2)


def test_a_row_depends_neither_on_its_neighbours_nor_on_its_padding():
    x = chain.sample(3, 12)
    x[1, 7:] = chain.pad
    together = run(Blind(torn), x)
    alone = Chain()(Blind(torn), x[1:2, :7], x[1:2, :7] < 4, Streams.of(0, [1]), batch_size=3)
    assert torch.equal(alone.orders[0], together.orders[1])
