from itertools import product

import numpy as np
import pytest

from seqdiff.evaluate.bridge import bridge
from seqdiff.evaluate.markov import MarkovModel


def by_enumeration(table: np.ndarray, order: int, left: list[int], right: list[int], gap: int) -> np.ndarray:
    """Marginals of every filling weighed by the probability of the whole stretch."""
    symbols = table.shape[1]
    posterior = np.zeros((gap, symbols))
    for filling in product(range(symbols), repeat=gap):
        letters = [*left, *filling, *right]
        p = 1.0
        for i in range(len(left), len(letters)):
            context = 0
            for letter in letters[i - order : i]:
                context = context * symbols + letter
            p *= table[context, letters[i]]
        posterior[np.arange(gap), filling] += p
    return posterior / posterior.sum(-1, keepdims=True)


@pytest.mark.parametrize("symbols", [2, 4])
@pytest.mark.parametrize("order", [0, 1, 2, 3])
@pytest.mark.parametrize("gap", [1, 2, 3, 5])
def test_posterior_is_that_of_enumeration(symbols, order, gap):
    rng = np.random.default_rng([symbols, order, gap])
    tables = tuple(rng.dirichlet(np.full(symbols, 0.4), symbols**k) for k in range(order + 1))
    chain = MarkovModel(tables, (1.0,) * (order + 1))
    left, right = rng.integers(symbols, size=(2, 3, 3))
    found = bridge(chain, order, left, right, gap)
    for row in range(3):
        # Beyond `order` letters of the right flank nothing reaches into the gap.
        expected = by_enumeration(tables[order], order, [*left[row]], [*right[row, :order]], gap)
        assert found[row] == pytest.approx(expected, abs=1e-10)


def test_long_gaps_do_not_underflow(chain):
    model = MarkovModel((chain.start[None].numpy(), chain.transition.numpy()), (1.0, 1.0))
    found = bridge(model, 1, np.array([[0]]), np.array([[3]]), 3000)
    assert found[0, 1500] == pytest.approx(chain.start.numpy(), abs=1e-6)
    assert np.isfinite(found).all()
