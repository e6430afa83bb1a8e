import numpy as np
import pytest

from seqdiff.evaluate import Calibration
from seqdiff.evaluate.calibration import expected_error


@pytest.fixture(scope="module")
def answer(oracle, data):
    return Calibration().ask(oracle, data)


def test_an_oracle_is_calibrated(answer):
    """Its error is that of noise, and every bin's frequency lies within errors of the forecast."""
    summary = answer.summary
    assert summary["sites"] == pytest.approx(9980 / 2, rel=0.05)
    assert summary["ece"] < 2 * summary["ece_of_noise"]
    pulls = [
        (b["observed"]["value"] - b["forecast"]) / b["observed"]["se"]
        for b in summary["reliability"]
        if b["count"] > 200
    ]
    assert len(pulls) > 8
    assert np.abs(pulls).max() < 4


def test_an_overconfident_model_is_found_out(answer, overconfident, data):
    summary = Calibration().ask(overconfident, data).summary
    assert summary["ece"] > 10 * summary["ece_of_noise"]
    assert summary["ece"] > 5 * answer.summary["ece"]
    assert summary["brier"]["value"] > answer.summary["brier"]["value"]
    assert summary["log_loss"]["value"] > answer.summary["log_loss"]["value"]
    sure = summary["reliability"][-1]
    assert sure["observed"]["value"] < sure["forecast"] - 3 * sure["observed"]["se"]


def test_loss_grows_with_the_share_that_is_masked(answer):
    losses = [q["log_loss"]["value"] for q in answer.summary["mask_rates"]]
    assert len(losses) == 4
    assert losses == sorted(losses)
    assert sum(q["sites"] for q in answer.summary["mask_rates"]) == answer.summary["sites"]


def test_a_model_that_knows_nothing(chain, oracle, data):
    summary = Calibration().ask(type(oracle)(chain, sharpness=0.0), data).summary
    assert summary["brier"]["value"] == pytest.approx(0.75)
    assert summary["log_loss"]["value"] == pytest.approx(2.0)
    (only,) = summary["reliability"]
    assert only["forecast"] == pytest.approx(0.25)
    assert only["observed"]["value"] == pytest.approx(0.25)
    assert only["count"] == 4 * summary["sites"]


def test_reliability_covers_all_forecasts(answer):
    bins = answer.summary["reliability"]
    assert sum(b["count"] for b in bins) == 4 * answer.summary["sites"]
    assert all(b["from"] <= b["forecast"] <= b["to"] for b in bins)


def test_expected_error_of_right_forecasts_is_that_of_noise():
    rng = np.random.default_rng(0)
    found = []
    for _ in range(200):
        p = rng.dirichlet(np.ones(3), 400)
        y = np.eye(3)[(rng.random((400, 1)) > p.cumsum(-1)).sum(-1).clip(max=2)]
        found.append(expected_error(p, y, bins=10))
    errors, noise = np.mean(found, axis=0)
    assert errors == pytest.approx(noise, rel=0.05)


def test_expected_error_of_a_constant_bias():
    p = np.full((1000, 2), [0.8, 0.2])
    y = np.eye(2)[[0] * 600 + [1] * 400]
    assert expected_error(p, y, bins=2)[0] == pytest.approx(0.2)


def test_masks_hide_known_letters_only_and_every_rate_occurs(data):
    tokens = data.test.batch(np.arange(len(data.test))).tokens.numpy()
    hidden, rate = Calibration()._masks(tokens, 4)
    assert not (hidden & (tokens >= 4)).any()
    known = (tokens < 4).sum(-1)
    assert np.allclose(hidden.sum(-1) / known, rate)
    assert (hidden.sum(-1) >= 1).all()
    assert np.histogram(rate, 4, (0, 1))[0].tolist() == pytest.approx([len(rate) / 4] * 4, abs=2)
