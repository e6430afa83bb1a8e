"""Words of samples beside those held out, counted by hand and drawn from chains whose law is known."""

import numpy as np
import pytest

from seqdiff.alphabet import DNA
from seqdiff.compare.samples import Yardstick, of_chain
from seqdiff.compare.settings import Samples
from seqdiff.errors import DataError
from seqdiff.evaluate import heldout
from seqdiff.evaluate.markov import MarkovModel
from seqdiff.modalities.dna import Dna, Splits


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "two.fa"
    path.write_text(">train\n" + "ACGT" * 20 + "\n>valid\n" + "ACGT" * 8 + "\n>test\n" + "A" * 32 + "C" * 32 + "\n")
    splits = Splits(valid=["valid"], test=["test"])
    return lambda strands: Dna(fasta=path, context=8, splits=splits, reverse_complement=strands).open()


def test_distances_by_hand(data):
    opened = data(False)
    stick = Yardstick(Samples(number=2, word=1), opened)
    share = (heldout.tokens(opened.test, np.arange(8)) == 0).sum() - (stick.pieces == 0).sum()
    share = share / (64 - stick.pieces.size)  # of A in what samples are held against
    assert stick.pieces.shape == (2, 8)
    assert stick.distance(np.zeros((3, 5), np.int64)).value == pytest.approx(1 - share)
    assert stick.distance(np.full((3, 5), 3)).value == 1.0
    mixed = np.array([[0] * 5, [1] * 5])
    assert stick.distance(mixed).value == pytest.approx(abs(share - 0.5))
    # Each of two left out: all of the other letter.
    assert stick.distance(mixed).se == pytest.approx(np.sqrt(0.5 * np.square([0.5 - share, share - 0.5]).sum()))


def test_both_strands_are_counted_where_training_reads_both(data):
    stick = Yardstick(Samples(number=2, word=2), data(True))
    one = DNA.encode(b"AACC")[None].astype(np.int64)
    other = DNA.encode(b"GGTT")[None].astype(np.int64)
    assert stick.distance(one).value == pytest.approx(stick.distance(other).value)
    assert (stick._counts(one) == stick._counts(other)).all()
    assert stick._counts(one).sum() == 6
    forward = Yardstick(Samples(number=2, word=2), data(False))
    assert forward.distance(one).value != pytest.approx(forward.distance(other).value)


def test_pieces_are_held_against_others(data):
    opened = data(False)
    stick = Yardstick(Samples(number=4, word=1, length=5), opened)
    assert stick.pieces.shape == (4, 5)
    assert stick._expected.sum() == 64 - 4 * 8


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"length": 9}, "samples.length: no held-out sequence has 9 letters"),
        ({"word": 14}, "samples.word: there are 268,435,456 words of 14 letters"),
    ],
)
def test_what_cannot_be_counted_is_refused(data, settings, message):
    with pytest.raises(DataError, match=message):
        Yardstick(Samples(**settings), data(False))


def test_samples_of_a_chain_have_its_law():
    rng = np.random.default_rng(0)
    start = np.array([0.4, 0.3, 0.2, 0.1])
    steps, second = rng.dirichlet(np.ones(4), 4), rng.dirichlet(np.ones(4), 16)
    chain = MarkovModel((start[None], steps, second), (1.0, 1.0, 1.0))
    rows = of_chain(chain, 2, 40_000, 3, seed=1)
    found = np.bincount(rows @ [16, 4, 1], minlength=64) / len(rows)
    exact = (start[:, None, None] * steps[:, :, None] * second.reshape(4, 4, 4)).ravel()
    assert np.abs(found - exact).sum() / 2 < 0.015
    zeroth = of_chain(chain, 0, 20_000, 4, seed=1)
    assert np.abs(np.bincount(zeroth.ravel()) / zeroth.size - start).max() < 0.01
    assert (of_chain(chain, 2, 5, 3, seed=1) == of_chain(chain, 2, 5, 3, seed=1)).all()
