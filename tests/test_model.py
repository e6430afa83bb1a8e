"""The Python API, with the model that ships."""

import pytest
import torch

import seqdiff
from seqdiff.diffusion.samplers import Confident, Exact
from seqdiff.errors import ConfigError, DataError
from seqdiff.model import SHIPPED


@pytest.fixture(scope="module")
def model():
    return seqdiff.load()


def test_infill_keeps_what_is_known(model):
    filled = model.infill(["ACGTNNNNacgt", "RR", ""], seed=1)
    assert filled[0][:4] + filled[0][8:] == "ACGTacgt"
    assert set(filled[0]) <= set("ACGTacgt")
    assert set(filled[1]) <= set("AG")
    assert filled[2] == ""


def test_samples_come_in_lists(model):
    several = model.infill(["NNNNNNNNNN", "ANA"], samples=3, seed=2)
    assert [len(each) for each in several] == [3, 3]
    assert len(set(several[0])) > 1
    assert [each[0] for each in several] == model.infill(["NNNNNNNNNN", "ANA"], seed=2)


@pytest.mark.parametrize("sampler", [Exact(), Confident(steps=3)])
def test_samplers_can_be_chosen(model, sampler):
    assert "N" not in model.infill(["ACGNNNNNNACG"], sampler)[0]


def test_score_knows_dna_from_noise(model):
    alu = "GGCTGAGGCAGGAGAATCGCTTGAACCCGGGAGGCGGAGGTTGCAGTGAGCCGAGATCGCGCCACTGCACTCCAGCCTGGGCGACAGAGCGAGACT"
    noise = "ACGGTCATTGCACGATCCGTTAGACTAGTCGATCGCATCGATTAGCGCTAGCATCTACGATCGTACGGCATATCGACTGATCGATGCTAGCTACG"
    scores = model.score([alu, noise])
    assert scores.bits_per_base[0] + 5 * scores.se[0] / len(alu) < scores.bits_per_base[1]


def test_sample_gives_new_sequences(model):
    a, b = model.sample(2, 50, seed=4)
    assert len(a) == len(b) == 50
    assert a != b
    assert model.sample(2, 50, seed=4) == [a, b]


def test_foreign_letters_are_refused(model):
    with pytest.raises(DataError, match="'E' at position 2"):
        model.infill(["MEEPQ"])
    with pytest.raises(DataError, match="position 2"):
        model.infill(["Aéa"])


def test_a_folder_that_is_no_run(tmp_path):
    with pytest.raises(ConfigError, match=r"no run directory .* human-chr20 and protein-demo ship"):
        seqdiff.load(tmp_path)


def test_a_run_can_be_moved_and_needs_no_data(tmp_path, model):
    import shutil

    shutil.copytree(SHIPPED, tmp_path / "run")
    moved = seqdiff.load(tmp_path / "run")
    assert moved.infill(["ACGNNNACG"], seed=3) == model.infill(["ACGNNNACG"], seed=3)


def test_denoise_has_no_gradient_and_answers_where_it_was_asked(model):
    logits = model.denoise(torch.tensor([[0, 4, 3]]))
    assert logits.shape == (1, 3, 4)
    assert logits.dtype == torch.float32
    assert not logits.requires_grad
