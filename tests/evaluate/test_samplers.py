import numpy as np
import pytest
import torch

from seqdiff.diffusion.samplers import Ancestral, Confident, Exact, Remask
from seqdiff.errors import DataError
from seqdiff.evaluate import Samplers
from seqdiff.evaluate.samplers import variation, words

FEW = {"exact": Exact(), "at once": Ancestral(steps=1)}


@pytest.fixture(scope="module")
def summary(oracle, data):
    return Samplers(samplers=FEW, gap=8, flank=8, gaps=60).ask(oracle, data).summary


def row(summary, name):
    return next(row for row in summary["samplers"] if row["name"] == name)


def test_calls_are_those_of_a_gap(summary):
    assert (row(summary, "exact")["calls"], row(summary, "at once")["calls"]) == (8, 1)


def test_bits_of_the_true_letters_are_the_chains_own_conditional(summary, oracle, data, chain):
    """The bound of an oracle is the exact conditional, but for the draw of its masks."""
    truth, hidden = Samplers(gap=8, flank=8, gaps=60).place(data.test, 4)
    assert truth.shape == (60, 24)
    masked = torch.from_numpy(np.where(hidden, 4, truth))
    nats = chain.log_prob(masked) - chain.log_prob(torch.from_numpy(truth))
    assert summary["true"]["bits"]["value"] == pytest.approx(nats.sum().item() / np.log(2) / (60 * 8), abs=0.01)


def test_letters_drawn_one_at_a_time_cost_what_true_ones_do_and_all_at_once_more(summary):
    true, exact, at_once = summary["true"]["bits"], row(summary, "exact")["bits"], row(summary, "at once")["bits"]
    assert abs(exact["value"] - true["value"]) < 4 * (exact["se"] ** 2 + true["se"] ** 2) ** 0.5
    assert at_once["value"] > exact["value"] + 2 * at_once["se"]


def test_what_is_lost_is_the_divergence_of_what_was_drawn_together(summary):
    """0 at one letter a call; at once it is the total correlation of the letters of a gap, given its flanks."""
    lost = {name: row(summary, name)["lost"] for name in FEW}
    assert abs(lost["exact"]["value"]) < 0.02
    assert lost["at once"]["value"] > 0.1
    assert lost["at once"]["value"] > 4 * lost["at once"]["se"]
    assert summary["true"]["lost"] is None


def test_letters_that_were_redrawn_have_no_such_number(oracle, data):
    question = Samplers(samplers={"remask": Remask(steps=2)}, gap=4, flank=4, gaps=4)
    assert question.ask(oracle, data).summary["samplers"][0]["lost"] is None


def test_true_letters_are_recovered_and_are_the_floor_of_the_distance(summary):
    assert summary["true"]["recovered"] == {"value": 1.0, "se": 0.0}
    assert 0.2 < row(summary, "exact")["recovered"]["value"] < 0.9
    assert 0 < summary["halves"] < summary["true"]["distance"]["value"] < row(summary, "at once")["distance"]["value"]


def test_gaps_lie_among_known_letters_and_the_flanks_are_not_touched(data, oracle):
    question = Samplers(gap=20, flank=30, gaps=1000)
    truth, hidden = question.place(data.test, 4)
    assert len(truth) == len(data.test)
    assert (truth < 4).all()
    whole, _ = Samplers(gap=20, flank=54, gaps=1000).place(data.test, 4)
    assert len(whole) == len(data.test) - 1  # one window has unknown letters
    assert (hidden.sum(1) == 20).all()
    filled = question.fill(oracle, Ancestral(steps=2), truth[:5], hidden[:5])
    assert (filled.tokens[~hidden[:5]] == truth[:5][~hidden[:5]]).all()
    assert (filled.right == ((filled.tokens == truth[:5]) & hidden[:5]).sum(1)).all()


def test_a_sampler_does_not_depend_on_the_others_or_on_batches(oracle, data, summary, chain):
    small = type(oracle)(chain, batch_tokens=50)
    question = Samplers(samplers=FEW, gap=4, flank=3, gaps=7)
    alone = question.model_copy(update={"samplers": {"exact": Exact()}})
    assert alone.ask(small, data).summary["samplers"] == [row(question.ask(oracle, data).summary, "exact")]


def test_samplers_are_given_by_name_as_settings():
    question = Samplers.model_validate({"samplers": {"mine": {"kind": "confident", "positions": 3}}})
    assert question.samplers == {"mine": Confident(positions=3)}
    assert {"fast", "exact", "ancestral", "confident", "bounded", "remask", "correct"} == set(Samplers().samplers)


def test_no_room_for_a_gap_is_said(oracle, data):
    with pytest.raises(DataError, match="a gap of 127 leaves no flanks in windows of 128"):
        Samplers(gap=127).ask(oracle, data)
    truth, _ = Samplers(gap=100).place(data.test, 4)
    assert truth.shape[1] == 128


def test_words_that_touch_a_gap():
    tokens = np.array([[0, 1, 2, 3, 0, 1, 4, 2]])
    where = np.zeros((1, 8), bool)
    where[0, 3] = True
    counts = words(tokens, where, 4, 3)
    assert counts.sum() == 3
    assert np.flatnonzero(counts[0]).tolist() == sorted([1 * 16 + 2 * 4 + 3, 2 * 16 + 3 * 4, 3 * 16 + 0 * 4 + 1])
    assert words(tokens, np.ones((1, 8), bool), 4, 3).sum() == 4  # none across the unknown letter
    assert variation(np.array([3, 1]), np.array([3, 1])) == 0
    assert variation(np.array([3, 0]), np.array([0, 1])) == 1
