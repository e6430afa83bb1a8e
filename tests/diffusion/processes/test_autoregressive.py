"""The loss of a left-to-right model is -log p."""

import pytest
import torch
from oracles import MarkovChain, TinyJoint

from seqdiff.data.batches import Batch
from seqdiff.diffusion.processes.autoregressive import Autoregressive
from seqdiff.streams import Streams


class LeftToRight:
    """What an oracle says of each letter when it and all that follow are hidden."""

    def __init__(self, oracle):
        self.oracle, self.symbols, self.calls = oracle, oracle.symbols, 0

    def __call__(self, tokens, time=None):
        self.calls += 1
        logits = torch.zeros(*tokens.shape, self.symbols, dtype=torch.float64)
        for i in range(tokens.shape[1]):
            hidden = (torch.arange(tokens.shape[1]) >= i) & (tokens <= self.symbols)
            logits[:, i] = self.oracle(tokens.masked_fill(hidden, self.symbols))[:, i]
        return logits


def loss(oracle, tokens, weight=None):
    weight = (tokens < oracle.symbols).float() if weight is None else weight
    draws = Streams.of(0, range(len(tokens)))
    return Autoregressive().loss(LeftToRight(oracle), Batch(tokens, weight), draws)


def test_it_is_minus_log_p_of_every_string():
    tiny = TinyJoint()
    for x, p in zip(tiny.strings[::7], tiny.p[::7], strict=True):
        found = loss(tiny, x[None])
        assert found.nats.item() == pytest.approx(-p.log().item(), abs=1e-12)
        assert found.count == 4


def test_it_adds_up_over_rows_of_different_length():
    chain = MarkovChain()
    tokens = torch.full((2, 9), chain.pad)
    tokens[0], tokens[1, :5] = chain.sample(1, 9)[0], chain.sample(1, 5, seed=1)[0]
    assert loss(chain, tokens).nats.item() == pytest.approx(-chain.log_prob(tokens).sum().item(), abs=1e-10)


def test_an_unknown_letter_is_read_and_not_scored():
    """Of a chain, what is left is log p of the letters before it, and of those after it given these."""
    chain = MarkovChain()
    x = chain.sample(1, 6)
    x[0, 2] = chain.mask
    assert loss(chain, x).nats.item() == pytest.approx(-chain.log_prob(x).item(), abs=1e-10)


def test_weights_weigh():
    tiny = TinyJoint()
    half = loss(tiny, tiny.strings[[5]], torch.full((1, 4), 0.5))
    assert half.nats.item() == pytest.approx(-tiny.p[5].log().item() / 2, abs=1e-12)
    assert half.count == 2
