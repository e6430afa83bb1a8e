import math

import pytest
import torch
from oracles import Constant

from seqdiff.diffusion.samplers import Ancestral
from seqdiff.streams import Streams

network = Constant([0.25] * 4)


def passes(sampler, masks, rows):
    tokens = torch.full((rows, masks), 4)
    return sampler(network, tokens, rng=Streams.of(0, range(rows))).calls.double()


@pytest.mark.parametrize("grid", ["uniform", "cosine"])
@pytest.mark.parametrize(("steps", "masks"), [(8, 40), (100, 40), (40, 40)])
def test_passes_are_the_steps_that_reveal_something(steps, masks, grid):
    """T (1 - (1 - 1/T)^n) on average on the uniform grid, in general the sum of 1 - (1 - width)^n, and never above
    min(T, n)."""
    sampler = Ancestral(steps=steps, grid=grid)
    calls = passes(sampler, masks, 1500)
    expected = (1 - (1 - sampler.shares(steps).diff()) ** masks).sum().item()
    if grid == "uniform":
        assert expected == pytest.approx(steps * (1 - (1 - 1 / steps) ** masks))
    assert abs(calls.mean().item() - expected) < 4 * calls.std().item() / math.sqrt(1500) + 1e-9
    assert calls.max() <= min(steps, masks)


def test_steps_default_to_the_masks_of_each_row_and_128():
    for masks in (1, 5, 600):
        steps = min(masks, 128)
        assert torch.equal(passes(Ancestral(), masks, 20), passes(Ancestral(steps=steps), masks, 20))
    tokens = torch.full((2, 300), 4)
    tokens[0, 3:] = 1
    calls = Ancestral()(network, tokens, rng=Streams.of(0, range(2))).calls
    assert calls[0] <= 3
    assert 100 < calls[1] <= 128


def test_one_step_is_one_pass():
    assert (passes(Ancestral(steps=1), 50, 10) == 1).all()


def test_finished_rows_are_not_sent_to_the_network():
    sizes = []

    class Spy(Constant):
        def __call__(self, tokens, time=None):
            sizes.append(len(tokens))
            assert ((tokens == 4).any(1)).all()
            return super().__call__(tokens)

    tokens = torch.full((30, 20), 4)
    filled = Ancestral(steps=10)(Spy([0.25] * 4), tokens, rng=Streams.of(0, range(30)))
    assert sizes == sorted(sizes, reverse=True)
    assert sum(sizes) == filled.calls.sum()
    assert len(sizes) == filled.calls.max()


def test_a_uniform_on_the_edge_of_a_step_or_at_zero_is_revealed():
    when = torch.tensor([[0.0, 0.25, 0.5, 1 - 2**-53]], dtype=torch.float64)
    unfilled = torch.ones(1, 4, dtype=torch.bool)
    freedom = torch.full((1, 4), 4)
    assert Ancestral(steps=4).turns(unfilled, freedom, when).tolist() == [[3, 2, 1, 0]]
    assert Ancestral(steps=2).turns(unfilled, freedom, when).tolist() == [[1, 1, 0, 0]]


def test_the_cosine_grid_reveals_few_positions_at_first():
    shares = Ancestral(grid="cosine").shares(4)
    assert shares.tolist() == pytest.approx([0, *(math.sin(math.pi * i / 8) for i in (1, 2, 3)), 1])
    assert Ancestral().shares(4).tolist() == [0, 0.25, 0.5, 0.75, 1]
