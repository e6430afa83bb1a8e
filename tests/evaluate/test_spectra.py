import numpy as np
import pytest
import torch
from questions import Bounded

from seqdiff.alphabet import DNA, PROTEIN
from seqdiff.diffusion.samplers import Exact
from seqdiff.errors import UsageError
from seqdiff.evaluate import Spectra
from seqdiff.evaluate.spectra import divergence, spectrum
from seqdiff.modalities.image import Image

QUICK = {"samples": 60, "length": 100, "longest_word": 3, "sampler": Exact()}


class Uniform(Bounded):
    """Knows nothing: every letter is as probable as another."""

    alphabet, batch_tokens = DNA, 4096

    def denoise(self, tokens, time=None):
        return torch.zeros(*tokens.shape, 4)


class Forward(Uniform):
    """Has a sampler of its own, and does not fill masks."""

    fills_masks = False

    def asked_by(self, sampler):
        assert sampler == self.sampler()
        return super().asked_by(sampler)


@pytest.fixture(scope="module")
def summary(oracle, data):
    return Spectra(**QUICK).ask(oracle, data).summary


def test_samples_of_the_true_law_are_as_near_as_training_sequences(summary):
    for row in summary["spectra"]:
        error = (row["samples"]["se"] ** 2 + row["train"]["se"] ** 2) ** 0.5
        assert abs(row["samples"]["value"] - row["train"]["value"]) < 4 * error


def test_samples_of_another_law_are_further_the_longer_the_words(summary, data):
    other = Spectra(**QUICK).ask(Uniform(), data).summary
    for row, of_other in zip(summary["spectra"], other["spectra"], strict=True):
        assert of_other["samples"]["value"] > row["samples"]["value"] + 5 * of_other["samples"]["se"]
        assert of_other["train"] == row["train"]
    assert other["composition"][0]["samples"]["value"] == pytest.approx(0.25, abs=0.02)
    assert other["cpg"]["samples"]["value"] == pytest.approx(1.0, abs=0.15)


def test_independent_letters_are_the_limit_of_a_model_that_knows_the_composition_alone(data):
    """Many samples of independent letters come near to the number that needs none."""
    rng = np.random.default_rng(0)
    row = Spectra(**QUICK).ask(Uniform(), data).summary["spectra"][2]
    letters = data.test.batch(np.arange(len(data.test))).tokens.numpy()
    known = letters[letters < 4]
    both = np.concatenate([known, 3 - known])
    drawn = rng.choice(both, (2000, 100)).astype(np.int64)
    near = divergence(spectrum(drawn, DNA, 3).sum(0), spectrum(letters[:, :100], DNA, 3).sum(0))
    assert near == pytest.approx(row["independent"], rel=0.05)


def test_words_of_both_strands_are_one():
    tokens = DNA.encode(b"ACGTTGCAAC")[None].astype(np.int64)
    turned = 3 - tokens[:, ::-1]
    for k in (1, 2, 3):
        assert (spectrum(tokens, DNA, k) == spectrum(turned, DNA, k)).all()
        assert spectrum(tokens, DNA, k).sum() == 11 - k
    protein = PROTEIN.encode(b"MKMK")[None].astype(np.int64)
    assert spectrum(protein, PROTEIN, 2).max() == 2


def test_content_and_cpg_are_counted_by_window(summary, data):
    tokens = data.test.batch(np.arange(len(data.test))).tokens.numpy()[:, :100]
    gc = summary["gc"]["test"]
    assert sum(gc["counts"]) == len(tokens)
    known = tokens < 4
    assert gc["mean"]["value"] == pytest.approx(((tokens == 1) | (tokens == 2)).sum() / known.sum())
    pairs = sum(bytes(row.astype(np.uint8)).count(b"\x01\x02") for row in tokens)
    expected = (tokens == 1).sum() * (tokens == 2).sum() / known.sum()
    assert summary["cpg"]["test"]["value"] == pytest.approx(pairs / expected)


def test_words_are_named_and_the_most_frequent_stand_first(summary):
    words = summary["words"]
    assert words["k"] == 3
    assert all(set(row[0]) <= set("ACGT") and len(row[0]) == 3 for row in words["rows"])
    test = [row[1] for row in words["rows"]]
    assert test == sorted(test, reverse=True)
    assert sum(test) == pytest.approx(1, abs=1e-3)


def test_what_is_drawn_does_not_depend_on_batches(oracle, data, chain):
    question = Spectra(samples=5, length=20, longest_word=1, sampler=Exact())
    small = type(oracle)(chain, batch_tokens=30)
    sizes = np.array([7, 12, 12, 20, 20])
    drawn = question.draw(oracle, Exact(), sizes)
    assert (drawn == question.draw(small, Exact(), sizes)).all()
    assert ((drawn < 4).sum(1) == sizes).all()


def test_a_model_that_does_not_fill_masks_is_asked_by_its_own_sampler(data):
    assert Spectra(samples=4, length=8).ask(Forward(), data).summary["sampler"]["kind"] == "ancestral"


def test_images_are_refused():
    with pytest.raises(UsageError, match="images have no words"):
        Spectra().ask(Uniform(), Image(source="digits", size=(8, 8), levels=4).open())
