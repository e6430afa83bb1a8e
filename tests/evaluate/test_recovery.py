import numpy as np
import pytest

from seqdiff.evaluate import Recovery, heldout
from seqdiff.evaluate.markov import MarkovModel


@pytest.fixture
def exact_rival(monkeypatch, chain):
    """The Markov rival, too, knows the chain exactly."""
    known = MarkovModel((chain.start[None].numpy(), chain.transition.numpy()), (1.0, 1.0))
    monkeypatch.setattr(heldout, "markov", lambda data, order: known)
    return known


def test_an_oracle_recovers_exactly_what_forward_backward_does(oracle, data, exact_rival):
    summary = Recovery(lengths=(1, 4, 16, 64), gaps=60, apart=12).ask(oracle, data).summary
    assert [g["length"] for g in summary["gaps"]] == [1, 4, 16, 64]
    for gap in summary["gaps"]:
        assert gap["markov"]["order"] == 1
        for what in ("accuracy", "log2_probability", "drawn"):
            assert gap["difference"][what]["value"] == pytest.approx(0, abs=1e-6)
        assert gap["model"]["accuracy"]["value"] > gap["most_frequent"]["accuracy"]["value"]


def test_probability_of_an_oracle_is_what_its_draws_recover(oracle, data, exact_rival):
    """For a calibrated model, argmax accuracy is at least that of a draw, and a draw's is the mean probability."""
    gap = Recovery(lengths=(1,), gaps=800, apart=12).ask(oracle, data).summary["gaps"][0]
    assert gap["model"]["drawn"]["value"] < gap["model"]["accuracy"]["value"]
    assert gap["model"]["log2_probability"]["value"] < np.log2(gap["model"]["drawn"]["value"])


def test_a_fitted_rival_comes_near_and_picks_its_order_on_validation(oracle, data):
    gap = Recovery(lengths=(1,), gaps=800, apart=12, order=5).ask(oracle, data).summary["gaps"][0]
    assert gap["markov"]["order"] >= 1
    assert abs(gap["difference"]["log2_probability"]["value"]) < 0.03


def test_gaps_lie_apart_and_away_from_unknown_letters(data):
    chain = heldout.markov(data, 3)
    gaps = Recovery(apart=12).place(data.test, 4, 2000, chain)
    assert len(gaps.row) > 1500
    assert (gaps.read(gaps.tokens, -3, 4 + 6) < 4).all()
    for row in np.unique(gaps.row):
        starts = gaps.start[gaps.row == row]
        assert starts.min() >= 6
        assert starts.max() + 4 <= 128 - 6
        assert (np.diff(starts) >= 4 + 12).all()


def test_only_the_gaps_are_masked(data, chain, oracle):
    seen = []

    class Watching(type(oracle)):
        def denoise(self, tokens, time=None):
            seen.append((tokens == 4).sum(-1))
            return super().denoise(tokens)

    Recovery(lengths=(16,), gaps=20, order=1, apart=128).ask(Watching(chain), data)
    masked = np.concatenate([s.numpy() for s in seen])
    assert set(masked) <= {16, 20}


def test_lengths_without_room_are_named(oracle, data):
    answer = Recovery(lengths=(4, 128), gaps=10, order=1).ask(oracle, data)
    assert answer.summary["skipped"] == [128]
    assert [row[0] for row in answer.table().rows] == ["4", "128"]
    assert answer.table().rows[1][2] == "no room for flanks"


def test_long_gaps_cost_no_more_than_asked(data):
    gaps = Recovery(bases=1280).place(data.test, 64, 1000, heldout.markov(data, 3))
    assert len(gaps.tokens) == 10


def test_error_takes_windows_as_the_sample(oracle, data):
    """Many letters of one gap say little more than one: the error must not be the binomial one."""
    gap = Recovery(lengths=(64,), gaps=60, order=1, apart=12).ask(oracle, data).summary["gaps"][0]
    accuracy = gap["model"]["accuracy"]
    assert gap["sites"] == gap["gaps"] * 64
    assert accuracy["se"] > 0
    assert gap["windows"] <= 60
