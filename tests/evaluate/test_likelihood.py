import numpy as np
import pytest

from seqdiff.evaluate import Likelihood


@pytest.fixture(scope="module")
def answer(oracle, data):
    return Likelihood(order=4).ask(oracle, data)


def test_an_oracle_costs_what_the_sequence_costs(answer, chain, data):
    """The bound of exact posteriors is -log p of every window, so only Monte-Carlo error lies between."""
    tokens = data.test.batch(np.arange(len(data.test))).tokens
    bits = -float(chain.log_prob(tokens).sum()) / float((tokens < 4).sum()) / np.log(2)
    model = answer.summary["model"]
    assert 0 < model["se_monte_carlo"] < model["se"]
    assert abs(model["bits"] - bits) < 4 * model["se_monte_carlo"]
    assert model["perplexity"] == pytest.approx(2 ** model["bits"])


def test_monte_carlo_error_is_the_spread_over_seeds(oracle, data):
    """All windows are read whatever the seed, so seeds differ in their masks alone."""
    everything = [Likelihood(order=0, strata=1, seed=seed).ask(oracle, data).summary["model"] for seed in range(16)]
    spread = np.std([one["bits"] for one in everything], ddof=1)
    assert np.mean([one["se_monte_carlo"] for one in everything]) == pytest.approx(spread, rel=0.4)


def test_fitted_order_1_comes_near_and_order_0_does_not(answer):
    bits = [m["bits"] for m in answer.summary["markov"]]
    assert bits[0] > answer.summary["model"]["bits"] + 0.1
    assert answer.summary["best_markov"] >= 1
    assert abs(answer.summary["difference"]["bits"]) < 0.01
    assert answer.summary["difference"]["se"] < answer.summary["model"]["se"]


def test_difference_is_paired_by_window(answer):
    summary = answer.summary
    best = summary["markov"][summary["best_markov"]]["bits"]
    assert summary["difference"]["bits"] == pytest.approx(summary["model"]["bits"] - best)


def test_unknown_letters_are_not_scored(answer, data):
    assert answer.summary["scored"] == data.test.letters == len(data.test) * 128 - 4


def test_whole_blocks_are_scored_beside_windows(answer):
    """With the context of the window before, orders above 0 lose a little less at window starts."""
    for markov in answer.summary["markov"]:
        assert markov["unbroken"] == pytest.approx(markov["bits"], abs=0.02)
    assert answer.summary["markov"][1]["unbroken"] < answer.summary["markov"][1]["bits"]


def test_part_of_the_split_leaves_blocks_out(oracle, data):
    summary = Likelihood(bases=1280, order=1).ask(oracle, data).summary
    assert summary["windows"] == 10
    assert summary["markov"][0]["unbroken"] is None


def test_same_seed_same_answer_whatever_the_batch(answer, chain, data, oracle):
    in_pieces = type(oracle)(chain, batch_tokens=7 * 128)
    assert Likelihood(order=4).ask(in_pieces, data).summary == answer.summary
    assert Likelihood(order=4, seed=1).ask(oracle, data).summary["model"] != answer.summary["model"]


def test_progress_ends_at_one(oracle, data):
    shares = []
    Likelihood(bases=5000, order=1, strata=1).ask(oracle, data, shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_table_has_a_row_for_every_order_and_the_model(answer):
    title, columns, rows = answer.table()
    assert "9,980 bases" in title
    assert columns == ("", "bits per base", "perplexity")
    assert len(rows) == 5 + 2
    assert all(len(row) == len(columns) for row in rows)
    assert f"{answer.summary['model']['bits']:.4f} ± {answer.summary['model']['se']:.4f}" in rows[5][1]


def test_a_model_that_knows_nothing_costs_two_bits(data, oracle, chain):
    blank = type(oracle)(chain, sharpness=0.0)
    summary = Likelihood(order=0).ask(blank, data).summary
    assert summary["model"]["bits"] == pytest.approx(2, abs=1e-6)
    assert summary["model"]["se_monte_carlo"] == pytest.approx(0, abs=1e-9)
