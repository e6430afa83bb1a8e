import numpy as np
import pytest
from scipy import sparse

from seqdiff.evaluate.linear import STRENGTHS, choose, fitted, folds


def test_folds_keep_groups_together_and_kinds_even_in_any_order():
    rng = np.random.default_rng(0)
    groups = [b"%d" % i for i in rng.integers(0, 60, 200)]
    kinds = np.array([int(g) % 3 for g in groups])
    parts = folds(groups, kinds, 5, seed=1)
    assert sorted(np.concatenate([part.judge for part in parts])) == list(range(200))
    held = [{groups[row] for row in part.judge} for part in parts]
    assert sum(map(len, held)) == len(set(groups))
    for part, here in zip(parts, held, strict=True):
        assert not here & {groups[row] for row in part.fit}
        assert [sum(int(g) % 3 == kind for g in here) for kind in range(3)] == pytest.approx([4] * 3, abs=1)
    order = rng.permutation(200)
    shuffled = folds([groups[i] for i in order], kinds[order], 5, seed=1)
    assert [{groups[order[row]] for row in part.judge} for part in shuffled] == held


def split(size: int) -> list:
    return folds([b"%d" % i for i in range(size)], np.zeros(size, np.int64), 4, seed=0)


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array])
def test_the_penalty_is_strong_where_there_is_nothing_and_weak_where_all_is_clear(form):
    rng = np.random.default_rng(0)
    features, target = rng.normal(size=(200, 40)), rng.integers(0, 2, 200)
    nothing = choose(form(features), target, split(200), "classification")
    clear = choose(form(features), (features[:, 0] > 0).astype(int), split(200), "classification")
    assert nothing.strength <= 1e-3
    assert clear.strength >= 1e-1
    assert nothing.loss == pytest.approx(np.log(2), abs=0.02)
    assert clear.loss < 0.3


def test_probabilities_are_of_the_classes_in_their_order():
    rng = np.random.default_rng(0)
    target = rng.integers(0, 3, 300)
    features = np.eye(3)[target] * 3 + rng.normal(size=(300, 3))
    predict = fitted(features, target, 1.0, "classification")
    found = predict(np.eye(3) * 5)
    assert found.shape == (3, 3)
    assert found.argmax(1).tolist() == [0, 1, 2]
    assert found.sum(1) == pytest.approx(1)


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array])
def test_a_regression_comes_back_in_the_units_of_its_target(form):
    rng = np.random.default_rng(0)
    features = rng.normal(size=(400, 5))
    target = 300 + 20 * features[:, 0] - 7 * features[:, 1]
    choice = choose(form(features), target, split(400), "regression")
    assert choice.strength in STRENGTHS
    assert choice.loss < 1e-3
    predict = fitted(form(features), target, choice.strength, "regression")
    np.testing.assert_allclose(predict(form(features)), target, atol=1)
