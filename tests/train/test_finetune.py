"""Tuning learns what is there, by the network it is given, and leaves a run that predicts the same."""

import json

import numpy as np
import pytest
import torch
from tuning import QUICK, base_run, motif_rows, write_rows

from seqdiff import predictor
from seqdiff.alphabet import DNA
from seqdiff.checkpoint import RunFolder
from seqdiff.data.fasta import Record
from seqdiff.data.labelled import read_labelled
from seqdiff.denoisers import Caduceus
from seqdiff.errors import ConfigError, DataError, TrainingError, UsageError
from seqdiff.train import finetuning
from seqdiff.train.finetune import _rate, finetune
from seqdiff.train.rows import Rows, batches


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return base_run(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    return read_labelled(write_rows(tmp_path_factory.mktemp("rows") / "train.csv", motif_rows(400, 1)), DNA)


def tuned(base, rows, out, *settings, **options):
    return finetune(finetuning.load("probe", [*QUICK, *settings]), base, rows, RunFolder(out), device="cpu", **options)


@pytest.fixture(scope="module")
def run(base, rows, tmp_path_factory):
    out = tmp_path_factory.mktemp("tuned")
    return tuned(base, rows, out, "training.epochs=5"), out


def records(texts) -> list[Record]:
    return [Record(f"r{i}", f"r{i}", text.encode()) for i, text in enumerate(texts)]


def values(found) -> np.ndarray:
    return np.stack([prediction.values for prediction in found])


def other_strand(text: str) -> str:
    return DNA.decode(DNA.reverse_complement(DNA.encode(text.encode()))).decode()


def test_a_motif_is_learned(run):
    result, _ = run
    assert result.predictor.target.classes == ("with", "without")
    texts = motif_rows(200, seed=9)
    found = values(result.predictor.predict(records(texts)))
    assert found.sum(1) == pytest.approx(1)
    right = (found.argmax(1) == 0) == (np.arange(200) % 2 == 1)
    assert right.mean() > 0.9
    assert result.rows["train"] + result.rows["validation"] == 400
    assert 15 < result.rows["validation"] < 75


def test_what_was_written_predicts_the_same(run):
    result, out = run
    again = predictor.load(out, "cpu")
    texts = motif_rows(20, seed=5)
    np.testing.assert_array_equal(
        values(again.predict(records(texts))), values(result.predictor.predict(records(texts)))
    )
    assert again.target == result.predictor.target
    assert again.target.start["fresh"] is False
    assert len(again.target.start["checksum"]) == 32
    assert {path.name for path in out.iterdir()} == {
        "recipe.yaml", "finetune.yaml", "model.safetensors", "metrics.jsonl"
    }  # fmt: skip
    assert finetuning.load(str(out / "finetune.yaml")).training.epochs == 5
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    losses = [line["valid_loss"] for line in lines if "valid_loss" in line]
    assert len(losses) == 5
    assert min(losses) == pytest.approx(again.target.validation_loss)
    assert losses[-1] < 0.6 * losses[0]


def test_both_strands_are_predicted_alike_whatever_the_length(run):
    result, _ = run
    texts = [*motif_rows(6, seed=3), *motif_rows(4, seed=4, length=(90, 200))]
    one = values(result.predictor.predict(records(texts)))
    other = values(result.predictor.predict(records(map(other_strand, texts))))
    np.testing.assert_allclose(one, other, atol=1e-5)


def test_predictions_do_not_depend_on_neighbours_and_unknown_sequences_have_none(run):
    result, _ = run
    texts = [*motif_rows(5, seed=3), "NNN", "", *motif_rows(2, seed=4, length=(90, 200))]
    together = values(result.predictor.predict(records(texts)))
    for text, row in zip(texts, together, strict=True):
        np.testing.assert_allclose(values(result.predictor.predict(records([text])))[0], row, atol=1e-5)
    assert np.isnan(together).all(1).tolist() == [False] * 5 + [True] * 2 + [False] * 2
    assert list(result.predictor.predict([])) == []
    assert np.isnan(values(result.predictor.predict(records(["", ""])))).all()


def test_a_tuning_comes_out_the_same_every_time(base, rows, tmp_path):
    found = [tuned(base, rows, tmp_path / name, "training.epochs=1").validation_loss for name in "ab"]
    assert found[0] == found[1]
    assert tuned(base, rows, tmp_path / "c", "training.epochs=1", "seed=2").validation_loss != found[0]


def test_numbers_are_a_regression_in_their_own_units(base, tmp_path):
    texts = motif_rows(240, seed=1)
    path = write_rows(
        tmp_path / "x.csv", texts, lambda _, text: 50 + 10.5 * (text.count("G") + text.count("C")) / len(text)
    )
    result = tuned(base, read_labelled(path, DNA), tmp_path / "run", "training.epochs=6")
    assert result.predictor.target.task == "regression"
    fresh = motif_rows(100, seed=2)
    found = values(predictor.load(tmp_path / "run", "cpu").predict(records(fresh)))[:, 0]
    truth = np.array([50 + 10.5 * (text.count("G") + text.count("C")) / len(text) for text in fresh])
    assert np.corrcoef(found, truth)[0, 1] > 0.9
    assert abs(found.mean() - truth.mean()) < 0.5


def test_a_frozen_network_is_left_as_it_is(base, rows, tmp_path):
    tuned(base, rows, tmp_path / "run", "training.freeze=true", "training.epochs=1")
    weights, _ = RunFolder(tmp_path / "run").read_tensors()
    before, _ = RunFolder(base).read_tensors()
    for name, tensor in before.items():
        assert torch.equal(weights[f"denoiser.{name}"], tensor)


def test_a_fresh_network_has_learned_nothing_of_the_run(base, rows, tmp_path):
    slow = ("training.learning_rate=1.0e-12", "training.epochs=1", "training.weight_decay=0")
    tuned(base, rows, tmp_path / "a", *slow)
    tuned(base, rows, tmp_path / "b", *slow, fresh=True)
    (old, _), (new, header) = (RunFolder(tmp_path / name).read_tensors() for name in "ab")
    name = next(name for name in old if name.endswith("conv.weight"))
    before = RunFolder(base).read_tensors()[0][name.removeprefix("denoiser.")]
    assert torch.allclose(old[name], before, atol=1e-6)
    assert not torch.allclose(new[name], before, atol=1e-2)
    assert json.loads(header[predictor.HEADER])["start"]["fresh"] is True


def test_copies_and_reverse_complements_do_not_validate_one_another(base, tmp_path):
    texts = motif_rows(60, seed=1)
    both = [strand for text in texts for strand in (text, other_strand(text).lower())]
    path = write_rows(tmp_path / "x.csv", both, lambda number, _: number // 2 % 2)
    result = tuned(base, read_labelled(path, DNA), tmp_path / "run", "training.epochs=1", "training.validation=0.3")
    assert result.rows["train"] % 2 == result.rows["validation"] % 2 == 0


def test_muon_moves_the_matrices_of_the_network_and_adamw_the_rest(base, rows, tmp_path):
    muon = ("training.optimizer=muon", "training.epochs=1")
    still = ("training.learning_rate=1.0e-12", "training.head_learning_rate=1.0e-12", "training.weight_decay=0")
    tuned(base, rows, tmp_path / "run", *muon, "training.matrix_learning_rate=0.05", *still)
    weights, _ = RunFolder(tmp_path / "run").read_tensors()
    moved = {
        name for name, before in RunFolder(base).read_tensors()[0].items()
        if not torch.allclose(weights[f"denoiser.{name}"], before, atol=1e-6)
    }  # fmt: skip
    assert moved
    assert all(name.startswith("blocks.") and name.endswith("weight") and "norm" not in name for name in moved)
    for wrong in (muon, (*muon, "training.matrix_learning_rate=0.05", "training.freeze=true")):
        with pytest.raises(ConfigError, match="optimizer muon"):
            tuned(base, rows, tmp_path / "x", *wrong)


def test_patience_ends_it(base, rows, tmp_path):
    result = tuned(
        base, rows, tmp_path / "run", "training.patience=1", "training.epochs=50", "training.learning_rate=1.0e-9",
        "training.head_learning_rate=1.0e-9", "training.ema=0",
    )  # fmt: skip
    assert result.epochs < 50


def test_every_row_is_shown_once_an_epoch_on_either_strand(base):
    settings = finetuning.load("probe", [*QUICK, "training.epochs=2", "training.batch_size=7"])
    recipe = RunFolder(base).read_recipe()
    tokens = [DNA.encode(text.encode()) for text in motif_rows(40, seed=0, length=(8, 60))]
    rows = Rows(tokens, torch.arange(40))
    shown = list(batches(rows, settings, recipe, torch.device("cpu")))
    numbers = torch.cat([wanted for _, wanted in shown])
    assert sorted(numbers[:40].tolist()) == sorted(numbers[40:].tolist()) == list(range(40))
    turned = kept = 0
    for x, wanted in shown:
        assert x.shape[1] <= 32
        for row, number in zip(x.numpy(), wanted.tolist(), strict=True):
            letters = DNA.decode(row[row < 5].astype(np.uint8)).decode()
            whole = DNA.decode(tokens[number]).decode()
            assert len(letters) == min(32, len(whole))
            kept += letters in whole
            turned += other_strand(letters) in whole
    assert kept > 20
    assert turned > 20
    assert kept + turned == 80
    equivariant = recipe.model_copy(update={"denoiser": Caduceus(width=8, depth=1)})
    for x, wanted in batches(rows, settings, equivariant, torch.device("cpu")):
        for row, number in zip(x.numpy(), wanted.tolist(), strict=True):
            assert DNA.decode(row[row < 5].astype(np.uint8)) in DNA.decode(tokens[number])


def test_the_rate_rises_and_falls():
    tuning = finetuning.load("probe", ["training.warmup=0.2"]).training
    rates = [_rate(step, 10, tuning) for step in range(1, 11)]
    assert rates[:2] == [0.5, 1.0]
    assert rates[-1] == pytest.approx(0)
    assert rates[1:] == sorted(rates[1:], reverse=True)


def test_what_cannot_be_learned_from_is_refused(base, rows, tmp_path, monkeypatch):
    with pytest.raises(DataError, match=r"2 rows are too few to hold back 1 %"):
        tuned(base, rows.select([0, 1]), tmp_path / "x", "training.validation=0.01")
    with pytest.raises(DataError, match="every label is 'with'"):
        tuned(base, rows.select(range(1, 400, 2)), tmp_path / "x")
    other = read_labelled(write_rows(tmp_path / "v.csv", motif_rows(4, 2), lambda n, _: "aught" if n else "with"), DNA)
    with pytest.raises(DataError, match=r"the label 'aught' is none of those"):
        tuned(base, rows, tmp_path / "x", valid=other)
    (tmp_path / "n.csv").write_text("sequence,label\nACGT,1\nNNN,0\n")
    dark = read_labelled(tmp_path / "n.csv", DNA)
    with pytest.raises(DataError, match=r"n.csv, line 3: no letter of the sequence is known"):
        tuned(base, dark, tmp_path / "x", valid=dark.select([0]))
    with pytest.raises(TrainingError, match=r"lower training\.learning_rate"):
        tuned(base, rows, tmp_path / "x", "training.learning_rate=1.0e+30", "training.clip=null", "training.warmup=0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="without torchrun"):
        tuned(base, rows, tmp_path / "x")


def test_a_run_that_predicts_is_no_model_and_the_other_way_round(run, base):
    from seqdiff import model as models

    _, out = run
    with pytest.raises(ConfigError, match="was fine-tuned to predict labels"):
        models.load(out, "cpu")
    with pytest.raises(ConfigError, match="predicts no labels: it is a model of sequences"):
        predictor.load(base, "cpu")
