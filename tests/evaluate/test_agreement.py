import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef, roc_auc_score

from seqdiff.evaluate.agreement import _classification, _regression, cell, judge


@pytest.fixture(scope="module", params=[2, 3], ids=["two", "three"])
def classes(request) -> tuple[np.ndarray, np.ndarray]:
    """Labels, and probabilities that know something of them; some are the same."""
    rng = np.random.default_rng(request.param)
    truth = rng.integers(0, request.param, 80)
    scores = rng.normal(size=(80, request.param)) + 1.2 * np.eye(request.param)[truth]
    scores[::3] = scores[0]
    odds = np.exp(scores)
    return truth, odds / odds.sum(1, keepdims=True)


def by_sklearn(truth: np.ndarray, probabilities: np.ndarray) -> list[float]:
    said = probabilities.argmax(1)
    two = probabilities.shape[1] == 2
    area = roc_auc_score(truth, probabilities[:, 1] if two else probabilities, multi_class="ovr")
    return [accuracy_score(truth, said), matthews_corrcoef(truth, said), f1_score(truth, said, average="macro"), area]


def samples(size: int) -> np.ndarray:
    rng = np.random.default_rng(1)
    return rng.multinomial(size, np.full(size, 1 / size), 7)


def test_measures_of_classes_are_those_of_scikit_learn_on_every_sample(classes):
    truth, probabilities = classes
    weights = samples(len(truth))
    found = _classification(weights, truth, probabilities)
    for sample, column in zip(weights, found.T, strict=True):
        rows = np.repeat(np.arange(len(truth)), sample)
        assert column == pytest.approx(by_sklearn(truth[rows], probabilities[rows]))


def test_measures_of_values_are_those_of_scipy_on_every_sample():
    rng = np.random.default_rng(0)
    truth = np.round(rng.normal(size=60), 1)
    values = truth + rng.normal(size=60)
    values[::4] = 0.5
    weights = samples(60)
    found = _regression(weights, truth, values)
    for sample, column in zip(weights, found.T, strict=True):
        rows = np.repeat(np.arange(60), sample)
        expected = spearmanr(truth[rows], values[rows]).statistic, pearsonr(truth[rows], values[rows]).statistic
        assert column == pytest.approx(expected)


def test_intervals_hold_the_value_and_differences_are_paired(classes):
    truth, probabilities = classes
    near = 0.95 * probabilities + 0.05 / probabilities.shape[1]
    near[:4] = np.roll(near[:4], 1, axis=1)
    found = judge(truth, {"a": probabilities, "b": near}, [b"%d" % i for i in range(80)], "classification")
    for name in ("accuracy", "mcc", "f1", "auroc"):
        each = found["a"][name]
        assert each["low"] < each["value"] < each["high"]
        gap = found["difference"][name]
        assert gap["value"] == pytest.approx(found["a"][name]["value"] - found["b"][name]["value"])
        assert gap["high"] - gap["low"] < 0.7 * (each["high"] - each["low"])
    again = judge(truth, {"a": probabilities}, [b"%d" % i for i in range(80)], "classification")
    assert again == {"a": found["a"]}


def test_the_interval_is_right_nineteen_times_in_twenty():
    """The coverage of the interval of an accuracy of 0.8, over 100 tests of 60 rows."""
    rng, held = np.random.default_rng(0), 0
    truth = np.zeros(60, np.int64)
    for number in range(100):
        right = rng.random(60) < 0.8
        probabilities = np.where(right[:, None], [[0.9, 0.1]], [[0.1, 0.9]])
        found = judge(truth, {"a": probabilities}, list(map(str.encode, map(str, range(60)))), "classification",
                      resamples=200, seed=number)["a"]["accuracy"]  # fmt: skip
        held += found["low"] <= 0.8 <= found["high"]
    assert 88 <= held <= 100


def test_copies_of_a_sequence_are_one_thing():
    """Forty copies of each of five rows tell no more than five rows."""
    rng = np.random.default_rng(3)
    truth, values = rng.normal(size=(2, 5))
    few = judge(truth, {"a": values}, list(map(str.encode, "abcde")), "regression")["a"]["pearson"]
    forty = [letter.encode() for letter in "abcde" for _ in range(40)]
    many = judge(np.repeat(truth, 40), {"a": np.repeat(values, 40)}, forty, "regression")["a"]["pearson"]
    assert many == pytest.approx(few)


def test_what_means_nothing_is_none():
    flat = np.full((10, 2), 0.5)
    found = judge(np.zeros(10, np.int64), {"a": flat}, [b"%d" % i for i in range(10)], "classification")["a"]
    assert found["auroc"] == {"value": None, "low": None, "high": None}
    assert found["accuracy"]["value"] == 1.0
    assert found["mcc"]["value"] == 0.0
    same = judge(np.arange(10.0), {"a": np.ones(10)}, [b"%d" % i for i in range(10)], "regression")["a"]
    assert same["spearman"]["value"] is None
    one = judge(np.array([0, 1]), {"a": np.eye(2)}, [b"x", b"x"], "classification")["a"]
    assert (one["accuracy"]["value"], one["accuracy"]["low"]) == (1.0, None)
    assert cell(found["auroc"]) == "."
    assert cell(one["accuracy"]) == "1.000"
