"""The probe on sequences whose labels are known to be in the embedding, in the k-mers, in both or in neither."""

import logging
from types import SimpleNamespace

import numpy as np
import pytest
from questions import keeps_the_contract

from seqdiff.alphabet import DNA, PROTEIN
from seqdiff.data.characters import BYTES
from seqdiff.errors import DataError
from seqdiff.evaluate import Probe
from seqdiff.evaluate.probe import _lengths

SIZE = 240


class Knows:
    """A model whose embedding of a sequence is what `of` says of its letters, and noise of its own."""

    alphabet = DNA

    def __init__(self, of):
        self.of, self.seen = of, []

    def embed_records(self, records, *, progress=None):
        for record in records:
            self.seen.append(record.sequence)
            noise = np.random.default_rng(sum(record.sequence)).normal(size=6)
            value = self.of(record.sequence)
            yield SimpleNamespace(vector=np.concatenate([[value], noise]).astype(np.float32))
            if progress:
                progress(len(record.sequence))


def place_of_g(text: bytes) -> float:
    """What no count of k-mers knows: where the Gs are."""
    where = np.flatnonzero(np.frombuffer(text, np.uint8) == ord("G"))
    return float(where.mean()) / len(text) if len(where) else 0.5


def share_of_gc(text: bytes) -> float:
    return sum(letter in b"GC" for letter in text) / len(text)


def sequences(count: int, seed: int) -> list[bytes]:
    rng = np.random.default_rng(seed)
    return [bytes(rng.choice(list(b"ACGT"), rng.integers(30, 60)).tolist()) for _ in range(count)]


def write(path, label, count=SIZE, seed=0, rows=None):
    rows = sequences(count, seed) if rows is None else rows
    path.write_text("sequence,label\n" + "".join(f"{text.decode()},{label(text)}\n" for text in rows))
    return path


@pytest.fixture
def ask(tmp_path):
    def asked(model, label, **settings):
        train = write(tmp_path / "train.csv", label, seed=1)
        test = write(tmp_path / "test.csv", label, seed=2)
        settings = {"train": train, "test": test, "kmers": (1, 2), "resamples": 100, "folds": 2} | settings
        return Probe(**settings).ask(model)

    return asked


def value(answer, who: str, name: str) -> float:
    return answer.summary["results"][who][name]["value"]


def test_what_the_embedding_knows_is_found_and_counts_do_not_know_it(ask):
    answer = ask(Knows(place_of_g), lambda text: "late" if place_of_g(text) > 0.5 else "early")
    assert answer.summary["task"] == "classification"
    assert sum(answer.summary["classes"].values()) == SIZE
    assert list(answer.summary["classes"]) == ["early", "late"]
    assert value(answer, "embeddings", "accuracy") > 0.93
    assert value(answer, "embeddings", "auroc") > 0.98
    assert abs(value(answer, "k-mers", "mcc")) < 0.25
    gap = answer.summary["results"]["difference"]["accuracy"]
    assert 0 < gap["low"] < gap["value"] < gap["high"]
    assert "late" not in answer.table().title
    assert len(answer.table().rows) == 3


def test_what_counts_know_they_find(ask):
    answer = ask(Knows(lambda text: 0.0), lambda text: int(share_of_gc(text) > 0.5))
    assert value(answer, "k-mers", "accuracy") > 0.93
    assert answer.summary["chosen"]["k-mers"]["k"] == 1
    assert abs(value(answer, "embeddings", "mcc")) < 0.3


def test_numbers_are_a_regression(ask):
    answer = ask(Knows(place_of_g), lambda text: 100 + 10 * place_of_g(text))
    assert answer.summary["task"] == "regression"
    assert answer.summary["classes"] is None
    assert value(answer, "embeddings", "spearman") > 0.99
    assert value(answer, "k-mers", "spearman") < 0.5
    assert answer.table().columns == ("", "spearman", "pearson")


def test_whole_numbers_may_be_a_quantity(ask):
    def label(text):
        return round(8 * share_of_gc(text))

    assert ask(Knows(share_of_gc), label, task="regression").summary["task"] == "regression"


def test_the_test_rows_choose_nothing(ask, tmp_path):
    """With other test rows the choices, and with other labels of theirs the predictions, are the same."""

    def label(text):
        return int(share_of_gc(text) > 0.5)

    model = Knows(place_of_g)
    one = ask(model, label).summary
    other = ask(model, label, test=write(tmp_path / "other.csv", lambda text: 1 - label(text), seed=2)).summary
    assert other["chosen"] == one["chosen"]
    assert other["results"]["k-mers"]["auroc"]["value"] == pytest.approx(1 - one["results"]["k-mers"]["auroc"]["value"])


def test_development_rows_choose_in_place_of_folds(ask, tmp_path):
    def label(text):
        return int(place_of_g(text) > 0.5)

    dev = write(tmp_path / "dev.csv", label, count=100, seed=5)
    summary = ask(Knows(place_of_g), label, dev=dev).summary
    assert summary["shared"]["test in dev"] == 0
    assert summary["chosen"]["on"] == "development rows"
    assert summary["rows"] == {"train": SIZE, "test": SIZE, "dev": 100}
    # The rows that chose are not learned from: with labels turned round they choose a weaker fit, and it still is one.
    turned = ask(Knows(place_of_g), label, dev=write(tmp_path / "dev.csv", lambda t: 1 - label(t), count=100, seed=5))
    assert turned.summary["chosen"]["embeddings"]["strength"] < summary["chosen"]["embeddings"]["strength"]
    assert value(turned, "embeddings", "auroc") > 0.7


def test_the_order_of_the_rows_changes_nothing(ask, tmp_path):
    def label(text):
        return int(share_of_gc(text) > 0.5)

    one = ask(Knows(place_of_g), label).summary["chosen"]
    shuffled = write(tmp_path / "shuffled.csv", label, rows=sequences(SIZE, 1)[::-1])
    other = ask(Knows(place_of_g), label, train=shuffled).summary["chosen"]
    for who in ("embeddings", "k-mers"):
        assert other[who]["strength"] == one[who]["strength"]
        assert other[who]["loss"] == pytest.approx(one[who]["loss"], rel=1e-3)


def test_test_rows_that_were_trained_on_are_counted_and_said(ask, tmp_path, caplog):
    logging.getLogger("seqdiff").propagate = True
    train, fresh = sequences(SIZE, 1), sequences(60, 9)
    other_strand = DNA.decode(DNA.reverse_complement(DNA.encode(train[1])))
    test = write(
        tmp_path / "leaky.csv", lambda t: int(share_of_gc(t) > 0.5), rows=[train[0].lower(), other_strand, *fresh]
    )
    answer = ask(Knows(share_of_gc), lambda text: int(share_of_gc(text.upper()) > 0.5), test=test)
    assert answer.summary["shared"] == {"test": 2}
    assert "2 of 62 sequences are in" in caplog.text
    assert "2 test sequences are training sequences as well" in answer.table().title


def test_proteins_are_counted_by_residues(tmp_path):
    model = Knows(lambda text: 0.0)
    model.alphabet = PROTEIN
    rng = np.random.default_rng(0)
    rows = [bytes(rng.choice(list(PROTEIN.symbols.encode()), 40).tolist()) for _ in range(120)]
    train = write(tmp_path / "a.csv", lambda text: int(text.count(b"W") > 1), rows=rows[:80])
    test = write(tmp_path / "b.csv", lambda text: int(text.count(b"W") > 1), rows=rows[80:])
    answer = Probe(train=train, test=test, resamples=100, folds=2).ask(model)
    assert answer.summary["chosen"]["k-mers"]["k"] == 1
    assert value(answer, "k-mers", "auroc") > 0.8


@pytest.mark.parametrize(
    ("train", "test", "says"),
    [
        ("sequence,kind\nACGT,1\n", None, r"train.csv has no column 'label'; it has 'sequence', 'kind'"),
        ("sequence,label\nACGT,\n", None, r"train.csv, line 2: no label"),
        ("sequence,label\nACGT,1\nMKVE,0\n", None, r"train.csv, line 3, column 'sequence': 'E' at position 4"),
        ("sequence,label\nACGT,1\nAGGT,1\n", None, r"every label is '1': give rows of two classes"),
        ("sequence,label\nACGT,1\nAGGT,0\n", None, r"its label '0' has a single sequence"),
        ("sequence,label\nACGT,1\nGGT,0\n", "sequence,label\nAAA,2\n", r"test.csv, line 2: the label '2' is none"),
        ("sequence,label\nAC,1.5\nAA,1\n", "sequence,label\nAAA,high\n", r"test.csv, line 2: the label 'high' is no"),
        ("sequence,label\nACGT,1.5\nACGA,1.5\n", "sequence,label\nAAA,1.5\n", r"every label is the same"),
        ("sequence,label\n", None, r"train.csv"),
    ],
)  # fmt: skip
def test_bad_tables_are_refused(train, test, says, tmp_path):
    (tmp_path / "train.csv").write_text(train)
    (tmp_path / "test.csv").write_text(test or "sequence,label\nACGT,1\n")
    with pytest.raises(DataError, match=says):
        Probe(train=tmp_path / "train.csv", test=tmp_path / "test.csv").ask(Knows(share_of_gc))


def test_a_row_without_a_known_letter_is_refused(ask, tmp_path):
    model = Knows(lambda text: np.nan if set(text) <= set(b"N") else 0.5)
    test = write(tmp_path / "n.csv", lambda text: 1, rows=[b"ACGT", b"NNN"])
    with pytest.raises(DataError, match=r"n.csv, line 3: no letter of the sequence is known"):
        ask(model, lambda text: int(share_of_gc(text) > 0.5), test=test)


def test_it_keeps_the_contract(tmp_path):
    train, test = (write(tmp_path / f"{seed}.csv", lambda t: int(share_of_gc(t) > 0.5), seed=seed) for seed in (1, 2))
    settings = {"train": train, "test": test, "kmers": (1,), "resamples": 100, "folds": 2}
    keeps_the_contract("probe", settings, Knows(place_of_g), None, tmp_path)


def test_kmers_that_are_tried_stay_few_for_text():
    assert (_lengths(DNA), _lengths(PROTEIN)) == ((2, 3, 4, 5, 6), (1, 2, 3))
    assert _lengths(BYTES) == (1, 2)
