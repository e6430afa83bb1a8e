import torch
from oracles import Blind, MarkovChain

from seqdiff.diffusion.samplers import Exact
from seqdiff.diffusion.samplers.filling import positions_in_turn
from seqdiff.streams import Streams

chain = MarkovChain()


def test_one_pass_a_letter_and_rows_of_different_lengths_finish_on_their_own():
    network = Blind(chain)
    x = torch.full((3, 9), chain.mask)
    x[1, 4:] = 2
    x[2] = 1
    filled = Exact()(network, x, rng=Streams.of(0, range(3)))
    assert filled.calls.tolist() == [9, 4, 0]
    assert network.rows == 13


def test_log_prob_is_the_exact_log_probability_of_the_sample():
    """Chain rule: with consistent conditionals the drawn order does not matter."""
    filled = Exact()(Blind(chain), torch.full((20, 30), chain.mask), rng=Streams.of(0, range(20)))
    torch.testing.assert_close(filled.log_prob, chain.log_prob(filled.tokens), rtol=0, atol=1e-9)


def test_the_order_is_uniformly_random():
    keys = torch.rand(6000, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    turns = positions_in_turn(torch.ones(6000, 3, dtype=torch.bool), torch.full((6000, 3), 4), keys)
    _, counts = turns.unique(dim=0, return_counts=True)
    assert len(counts) == 6
    assert ((counts - 1000).abs() < 4 * (1000 * 5 / 6) ** 0.5).all()
