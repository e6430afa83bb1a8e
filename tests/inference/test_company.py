"""No result depends on what shares a batch with it: the same numbers, to the last bit, however records are divided."""

import random

import numpy as np
import pytest
import torch

from seqdiff import model as models
from seqdiff.data.fasta import Record
from seqdiff.diffusion.likelihood import Chain, Elbo, Pseudo
from seqdiff.diffusion.samplers import Ancestral
from seqdiff.inference.filled import report_line, table_lines

LENGTHS = [37, 100, 8, 230, 5, 61]


@pytest.fixture(scope="module", params=["human-chr20", "protein-demo"])
def model(request):
    return models.load(request.param, "cpu")


@pytest.fixture(scope="module")
def records(model):
    rng = random.Random(2)
    letters = [rng.choices(model.alphabet.symbols, k=length) for length in LENGTHS]
    for sequence in letters:
        for place in rng.sample(range(len(sequence)), len(sequence) // 9 + 1):
            sequence[place] = model.alphabet.unknown
    return [Record(f"r{i}", f"r{i}", "".join(sequence).encode()) for i, sequence in enumerate(letters)]


@pytest.fixture
def divisions(model, records, monkeypatch):
    """Batches of other sizes, other neighbours, other threads: `answer(records)` in each, by record."""
    threads = torch.get_num_threads()

    def each(answer):
        for tokens, count, parts in (
            (16_384, 1, [records]),
            (300, 2, [records[::-1]]),
            (1_100, 1, [records[:4], records[4:]]),
        ):
            monkeypatch.setattr(model, "batch_tokens", tokens)
            torch.set_num_threads(count)
            yield dict(found for part in parts for found in answer(part))

    yield each
    torch.set_num_threads(threads)


def test_filled_letters_and_their_probabilities(model, divisions):
    def answer(part):
        for found in model.infill_records(part, Ancestral(steps=3), seed=3, samples=2):
            told = found.record.sequence, found.marginals.tobytes(), report_line(found), table_lines("x", found)
            yield (found.record.name, found.replicate), told

    first, *others = divisions(answer)
    assert all(other == first for other in others)


@pytest.mark.parametrize("scorer", [Elbo(strata=4, replicates=2), Chain(orders=2), Pseudo()], ids=lambda one: one.kind)
def test_scores(model, records, divisions, scorer):
    def answer(part):
        short = [record for record in part if len(record.sequence) < (40 if scorer.kind == "chain" else 110)]
        for found in model.score_records(short, scorer, seed=3):
            yield found.name, (found.nats, found.se, found.df, found.orders)

    first, *others = divisions(answer)
    assert all(other == first for other in others)


def test_vectors(model, divisions):
    def answer(part):
        for found in model.embed_records(part, window=50):
            yield (found.name, found.start), np.nan_to_num(found.vector).tobytes()

    first, *others = divisions(answer)
    assert all(other == first for other in others)
