"""The best guess, letter by letter: no other choice gets more letters right on average."""

import itertools

import pytest
import torch
from oracles import TinyJoint
from pydantic import ValidationError

from seqdiff.diffusion.samplers import Best
from seqdiff.streams import Streams

tiny = TinyJoint()
M = tiny.mask


@pytest.mark.parametrize("tokens", [[M, M, M, M], [M, 1, M, M], [2, M, M, 0]])
def test_no_filling_has_more_letters_right_on_average(tokens):
    """By enumeration of all fillings against the exact posterior, with soft evidence too."""
    evidence = torch.rand(1, 4, 3, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    start = torch.tensor([tokens])
    free = start[0] == M
    for likelihood in (None, evidence):
        filled = Best()(tiny, start, likelihood, rng=Streams.of(0, [0]))
        assert torch.equal(filled.tokens[0, ~free], start[0, ~free])
        assert filled.calls.tolist() == [1]
        # What it judges by: every letter given the known ones, times the evidence of that letter alone.
        posterior, _ = tiny.posterior(tokens)
        shares = torch.stack([(posterior[:, None] * (tiny.strings == v)).sum(0) for v in range(3)], 1)
        shares = shares * (1 if likelihood is None else likelihood[0])
        shares = shares / shares.sum(1, keepdim=True)
        right = {
            guess: sum(float(shares[i, v]) for i, v in enumerate(guess) if free[i])
            for guess in itertools.product(range(3), repeat=4)
        }
        assert right[tuple(filled.tokens[0].tolist())] == pytest.approx(max(right.values()), abs=1e-12)


def test_what_draws_nothing_has_no_temperature():
    for setting in ({"temperature": 0.5}, {"top_p": 0.9}):
        with pytest.raises(ValidationError, match="change nothing"):
            Best(**setting)
