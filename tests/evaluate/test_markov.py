import math
from collections import Counter

import numpy as np
import pytest
import torch

from seqdiff.alphabet import DNA, PROTEIN
from seqdiff.errors import DataError
from seqdiff.evaluate.markov import MarkovModel, contexts, count


def random_text(length: int, seed: int) -> str:
    return "".join(np.random.default_rng(seed).choice(list("ACGTN"), length, p=[0.3, 0.2, 0.25, 0.2, 0.05]))


def counted_one_by_one(texts: list[str], order: int) -> Counter:
    words = Counter()
    for text in texts:
        for strand in (text, text[::-1].translate(str.maketrans("ACGT", "TGCA"))):
            words.update(strand[i : i + order + 1] for i in range(len(strand) - order))
    return Counter({word: n for word, n in words.items() if "N" not in word})


@pytest.mark.parametrize("order", [0, 1, 2, 5])
def test_counts_both_strands_and_skips_unknown_letters(order):
    texts = [random_text(n, seed=n) for n in (400, 7, 1, 90)]
    counts = count([DNA.encode(t.encode()) for t in texts], 4, order, both_strands=True)
    for k, table in enumerate(counts):
        expected = counted_one_by_one(texts, k)
        assert table.sum() == expected.total()
        for word, n in expected.items():
            context = int("0" + "".join(str("ACGT".index(a)) for a in word[:-1]), 4)
            assert table[context, "ACGT".index(word[-1])] == n


def test_pieces_never_join():
    apart = count([DNA.encode(b"AC"), DNA.encode(b"GT")], 4, 1, both_strands=False)
    assert apart[1].sum() == 2
    assert apart[1][1, 2] == 0


def test_contexts_of_rows_are_their_own():
    index, length = contexts(np.array([[0, 1, 2], [3, 4, 3]]), 4, order=2)
    assert length.tolist() == [[0, 1, 2], [0, -1, 0]]
    assert (index % 4 ** (length + 1)).tolist() == [[0, 1, 6], [3, 0, 3]]


def test_probabilities_follow_the_interpolation_formula():
    training, validation = random_text(3000, 0), random_text(500, 1)
    model = MarkovModel.fit([DNA.encode(training.encode())], [DNA.encode(validation.encode())], DNA, order=4)
    words = [counted_one_by_one([training], k) for k in range(5)]
    totals = [Counter() for _ in words]
    for k, of_order in enumerate(words):
        for word, n in of_order.items():
            totals[k][word[:-1]] += n
    text = "ACCGTNGATTACA"
    nats = model.log_prob(DNA.encode(text.encode())[None])
    for order in range(5):
        for i, letter in enumerate(text):
            before = text[:i].rpartition("N")[2][-order:] if order else ""
            p = 0.25
            for k in range(len(before) + 1):
                context = before[len(before) - k :]
                s = model.concentrations[k]
                p = (words[k][context + letter] + s * p) / (totals[k][context] + s)
            expected = 0.0 if letter == "N" else math.log(p)
            assert nats[order, 0, i] == pytest.approx(expected, abs=1e-12)


def test_every_context_has_a_distribution(chain):
    model = MarkovModel.fit([chain.draw(2000, 3)], [chain.draw(1000, 4)], DNA, order=6)
    for table in model.tables:
        assert np.allclose(table.sum(-1), 1)
        assert (table > 0).all()


def test_recovers_the_entropy_of_a_chain(chain):
    """Order 1 finds the entropy rate; higher orders lose next to nothing, since interpolation falls back on it."""
    test = chain.draw(20_000, 7)[None]
    model = MarkovModel.fit([chain.draw(80_000, 5)], [chain.draw(20_000, 6)], DNA, order=8, both_strands=False)
    bits = -model.log_prob(test).mean((1, 2)) / np.log(2)
    truth = -float(chain.log_prob(torch.from_numpy(test.astype(np.int64)))[0])
    assert bits[1] == pytest.approx(truth / test.size / np.log(2), abs=1e-3)
    assert bits[0] > bits[1] + 0.2
    assert (bits[2:] < bits[1] + 2e-3).all()


def test_concentrations_are_of_highest_likelihood_on_validation(chain):
    """Two chains letter by letter in turn: what stands two before matters, and 600 letters do not teach it fully."""
    training, validation = (
        np.stack([chain.draw(n, seed), chain.draw(n, seed + 1)], 1).ravel() for n, seed in ((300, 1), (2000, 3))
    )
    model = MarkovModel.fit([training], [validation], DNA, order=2, both_strands=False)
    counts = count([training], 4, 2, both_strands=False)

    def nats(s: float) -> float:
        prior = np.tile(model.tables[1], (4, 1))
        table = (counts[2] + s * prior) / (counts[2].sum(-1, keepdims=True) + s)
        index, length = contexts(validation, 4, 2)
        return -np.log(table.ravel()[index[length == 2]]).sum()

    best = model.concentrations[2]
    assert nats(best) < nats(best * 1.3)
    assert nats(best) < nats(best / 1.3)


def test_the_test_split_does_not_tune(chain):
    one = MarkovModel.fit([chain.draw(500, 1)], [chain.draw(500, 2)], DNA, order=3)
    other = MarkovModel.fit([chain.draw(500, 1)], [chain.draw(500, 3)], DNA, order=3)
    assert one.concentrations != other.concentrations


def test_order_is_lowered_to_what_a_table_can_hold():
    residues = np.random.default_rng(0).integers(0, 20, 500)
    assert MarkovModel.fit([residues], [residues], PROTEIN, order=11).order == 4


def test_nothing_to_count_or_to_tune_is_said():
    with pytest.raises(DataError, match="training"):
        MarkovModel.fit([DNA.encode(b"NNN")], [DNA.encode(b"ACGT")], DNA, order=2)
    with pytest.raises(DataError, match="validation"):
        MarkovModel.fit([DNA.encode(b"ACGT")], [], DNA, order=2)
