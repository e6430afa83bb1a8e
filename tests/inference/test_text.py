"""Text through the verbs of a model: what is not of the alphabet is context that stays, a blank is filled."""

import math

import pytest
import torch

from seqdiff import recipe
from seqdiff.checkpoint import Provenance
from seqdiff.data.characters import UNKNOWN
from seqdiff.diffusion.samplers import Ancestral, Particles
from seqdiff.model import Model


@pytest.fixture(params=["text8", "bytes", "characters"], scope="module")
def model(request):
    characters = ["data.characters='Où est-il?'"] if request.param == "characters" else []
    settings = [f"data.coding={request.param}", *characters, "data.context=24"]
    loaded = recipe.load("text8", ["denoiser={kind: convolution, width: 8, depth: 1, kernel: 3}", *settings])
    torch.manual_seed(0)
    network = loaded.network()
    torch.nn.init.normal_(network.head.weight)
    return Model(network, loaded, Provenance(request.param, 24, "", "", 0, None), torch.device("cpu"))


TEXT = f"Où {UNKNOWN * 4} est — {UNKNOWN}? " + "est-il là " * 4 + UNKNOWN


@pytest.mark.parametrize("sampler", [Ancestral(), Particles(particles=2)], ids=lambda s: s.kind)
def test_blanks_are_filled_and_nothing_else(model, sampler):
    filled, other = model.infill([TEXT, "est"], sampler, seed=3)
    assert other == "est"
    assert UNKNOWN not in filled or model.alphabet.name == "bytes"  # drawn bytes need not be UTF-8
    parts = TEXT.split(UNKNOWN)
    assert filled.startswith(parts[0])
    assert parts[4] in filled
    assert parts[5] in filled
    if model.alphabet.name != "bytes":
        assert len(filled) == len(TEXT)
        assert all(a == b for a, b in zip(filled, TEXT) if b != UNKNOWN)
        drawn = {a for a, b in zip(filled, TEXT) if b == UNKNOWN}
        assert drawn <= set(model.alphabet.symbols)


def test_what_is_drawn_does_not_depend_on_what_else_is_asked(model):
    alone = model.infill([TEXT], seed=3)
    assert model.infill([TEXT, "est " * 30 + UNKNOWN], seed=3)[:1] == alone
    assert model.infill([TEXT], seed=4) != alone


def test_samples_and_scores_count_characters(model):
    sample = model.sample_records([30], seed=1)
    tokens = model.alphabet.encode(next(sample).record.sequence)
    assert len(tokens) == 30
    assert (tokens < model.alphabet.size).all()
    score, empty = model.score(["Où est-il?", ""]).itertuples()
    known = {"text8": 7, "bytes": 11, "characters": 10}[model.alphabet.name]
    length = 11 if model.alphabet.name == "bytes" else 10
    assert (score.length, score.scored) == (length, known)
    assert score.nats > 0
    assert empty.scored == 0
    assert math.isnan(empty.nats)


def test_text_is_embedded(model):
    assert model.embed(["Où est-il?"]).shape == (1, 8)
