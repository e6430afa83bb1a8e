"""Held-out questions about sequences of many lengths: an order-1 chain over the twenty residues, and its oracle."""

import numpy as np
import pytest
import torch
from oracles import MarkovChain
from questions import Bounded

from seqdiff.alphabet import ALIGNED, PROTEIN
from seqdiff.data.rows import Rows
from seqdiff.diffusion.samplers import Exact
from seqdiff.evaluate import Calibration, Likelihood, Recovery, Samplers, heldout
from seqdiff.evaluate.likelihood import masked_tokens
from seqdiff.modalities.protein import Protein
from seqdiff.modalities.whole import Shares
from seqdiff.streams import Streams


class Oracle(Bounded):
    """A model whose marginals are the exact posteriors; it refuses a batch that is mostly pads."""

    alphabet = PROTEIN

    def __init__(self, chain, batch_tokens=2048):
        self.chain, self.batch_tokens = chain, batch_tokens

    def denoise(self, tokens, time=None):
        assert tokens.shape[0] == 1 or tokens.numel() <= self.batch_tokens
        return self.chain(tokens).float()


@pytest.fixture(scope="module")
def chain():
    return MarkovChain(symbols=20, seed=2, concentration=0.3)


@pytest.fixture(scope="module")
def data(chain, tmp_path_factory):
    """600 proteins of 4 to 60 letters, some longer than the context of 40, three a cluster."""
    folder = tmp_path_factory.mktemp("proteins")
    letters = chain.sample(600, 60, seed=4)
    lengths = np.random.default_rng(0).integers(4, 61, 600)
    texts = [PROTEIN.decode(np.asarray(row)[:n]).decode() for row, n in zip(letters, lengths)]
    texts[7] = texts[7][:2] + "X" + texts[7][3:]
    (folder / "p.fa").write_text("".join(f">r{i}\n{text}\n" for i, text in enumerate(texts)))
    (folder / "c.tsv").write_text("".join(f"r{i - i % 3}\tr{i}\n" for i in range(600)))
    shares = Shares(valid=0.15, test=0.2)
    return Protein(fasta=folder / "p.fa", context=40, clusters=folder / "c.tsv", splits=shares).open()


@pytest.fixture(scope="module")
def answer(chain, data):
    return Likelihood(order=1).ask(Oracle(chain), data)


def true_bits(chain, data):
    items = np.arange(len(data.test))
    nats = [-float(chain.log_prob(data.test.batch(items[i : i + 1]).tokens)[0]) for i in items]
    return sum(nats) / data.test.letters / np.log(2)


def test_the_oracle_costs_what_the_sequences_cost(answer, chain, data):
    model = answer.summary["model"]
    assert answer.summary["scored"] == data.test.letters
    assert abs(model["bits"] - true_bits(chain, data)) < 4 * model["se_monte_carlo"]
    assert answer.summary["sample"] == len(np.unique(data.test.unit)) < answer.summary["windows"]
    assert "unlike one another" in answer.table().title


def test_batches_and_pads_change_nothing(chain, data):
    question = Likelihood(order=1, bases=400, masked_draws=1)
    one, other = (question.ask(Oracle(chain, batch_tokens=n), data).summary for n in (1, 2048))
    for name in ("bits", "se", "se_monte_carlo"):
        assert one["model"][name] == pytest.approx(other["model"][name], rel=1e-6)
    assert one["masked_token"]["bits"] == pytest.approx(other["masked_token"]["bits"], rel=1e-6)


def test_errors_take_clusters_as_the_sample(answer, chain, data):
    """Against the jackknife over clusters."""
    items = np.arange(len(data.test))
    unit = np.unique(data.test.unit, return_inverse=True)[1]
    summary = Likelihood(order=0, strata=1, masked_draws=0).ask(Oracle(chain), data).summary
    counts = np.array([float(data.test.batch(items[i : i + 1]).weight.sum()) for i in items])
    rival = heldout.markov(data, 0)
    nats = np.array([-rival.log_prob(heldout.tokens(data.test, items[i : i + 1])).sum() for i in items])
    total, letters = np.bincount(unit, nats) / np.log(2), np.bincount(unit, counts)
    without = (total.sum() - total) / (letters.sum() - letters)
    jackknife = np.sqrt((len(total) - 1) / len(total) * np.square(without - without.mean()).sum())
    assert summary["markov"][0]["se"] == pytest.approx(jackknife, rel=0.05)


def test_masked_token_perplexity_is_its_definition(chain):
    """Mean over all masks, by enumeration: sum of -log mu of masked letters over sum of their number, k uniform."""
    tokens = torch.from_numpy(np.asarray(chain.sample(1, 4, seed=1))).long()
    padded = torch.cat([tokens, torch.full((1, 3), 21)], 1)
    nats = letters = 0.0
    for mask in range(1, 16):
        hidden = torch.tensor([[bool(mask >> i & 1) for i in range(4)]])
        k = int(hidden.sum())
        logits = chain(tokens.masked_fill(hidden, 20)).log_softmax(-1)
        share = 1 / 4 / [1, 4, 6, 4, 1][k]
        nats -= share * float(logits[hidden].gather(1, tokens[hidden][:, None]).sum())
        letters += share * k
    rows = 400
    draws = masked_tokens(chain, padded.repeat(rows, 1), padded.repeat(rows, 1) < 20, Streams.of(0, range(rows)), 8)
    assert draws[1].sum() == rows * 8 * letters  # strata: each k as often
    assert float(draws[0].sum() / draws[1].sum()) == pytest.approx(nats / letters, rel=0.02)


def test_the_masked_token_row_can_be_left_out(chain, data):
    assert "masked_token" not in Likelihood(order=0, bases=200, masked_draws=0).ask(Oracle(chain), data).summary


def test_gaps_lie_inside_their_sequences(data):
    chain = heldout.markov(data, 1)
    gaps = Recovery(apart=8).place(data.test, 3, 2000, chain)
    assert (gaps.read(gaps.tokens, -1, 5) < 20).all()
    assert len(gaps.row) > 100
    assert len(np.unique(gaps.row)) > 40


def test_the_oracle_recovers_what_can_be_recovered(chain, data):
    summary = Recovery(lengths=(1, 4), apart=8, gaps=400, order=1).ask(Oracle(chain), data).summary
    for gap in summary["gaps"]:
        assert gap["model"]["log2_probability"]["value"] > gap["most_frequent"]["log2_probability"]["value"] + 0.2
        assert abs(gap["difference"]["log2_probability"]["value"]) < 0.35


def test_the_oracle_is_calibrated(chain, data):
    summary = Calibration().ask(Oracle(chain), data).summary
    assert summary["ece"] < 2 * summary["ece_of_noise"]
    again = Calibration().ask(Oracle(chain, batch_tokens=300), data).summary
    assert again["log_loss"]["value"] == pytest.approx(summary["log_loss"]["value"], rel=1e-6)


def test_samplers_fill_gaps_of_sequences_that_have_room(chain, data):
    summary = Samplers(samplers={"exact": Exact()}, gap=4, flank=8, gaps=20, word=2).ask(Oracle(chain), data).summary
    assert summary["piece_length"] == 20
    assert summary["gaps"] == 20
    assert abs(summary["samplers"][0]["lost"]["value"]) < 4 * summary["samplers"][0]["lost"]["se"] + 0.1


def test_rows_of_one_length_are_sequences_not_windows():
    tokens = np.zeros((6, 4), np.uint8)
    rows = Rows(tokens, np.ones(6), np.array([0, 0, 1, 2, 2, 2]), ALIGNED)
    assert heldout.described(rows, np.arange(6)) == "6 test sequences of 4, 3 of them unlike one another"
