"""A published checkpoint as a user takes it in: import, fill, score, train on, evaluate."""

import json

import published
import pytest
from stories import tiny_recipe, write_genome
from typer.testing import CliRunner

from seqdiff import model
from seqdiff.cli import app


def run(*arguments, code=0):
    result = CliRunner().invoke(app, [*map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == code, result.stderr
    return result


@pytest.fixture
def imported(tmp_path):
    config = published.make_config(depth=2)
    folder = published.write(tmp_path / "ps_seqlen-64", config, published.make_tensors(config), drop_tied=True)
    result = run("import", "caduceus", folder, "--out", tmp_path / "imported")
    assert "windows of 64 bases" in result.stderr
    return tmp_path / "imported"


def test_an_imported_checkpoint_fills_scores_and_goes_on_training(imported, tmp_path):
    fasta = tmp_path / "in.fa"
    fasta.write_text(">a\nACGTNNNNACGTAGCTAGCNTAGC\n>b\n" + "ACGT" * 40 + "\n")
    filled = run("infill", "--model", imported, "--fasta", fasta, "--steps", "4").stdout
    assert filled.startswith(">a\nACGT")
    assert "N" not in filled
    rows = run("score", "--model", imported, "--fasta", fasta, "--draws", "4").stdout.splitlines()
    assert [row.split("\t")[:3] for row in rows[2:]] == [["a", "24", "19"], ["b", "160", "160"]]

    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(tiny_recipe(write_genome(tmp_path / "genome.fa"), steps=4, learning_rate=1e-3).to_yaml())
    tuned = tmp_path / "tuned"
    said = run("train", recipe, "--from", imported, "--out", tuned, "--device", "cpu").stderr
    assert f"it started from {imported}, which was imported, and what it was trained on is not known" in said
    after = model.load(tuned, "cpu")
    assert after.recipe.denoiser == model.load(imported, "cpu").recipe.denoiser
    assert after.recipe.denoiser.swap_strands
    assert after.recipe.process.kind == "masked"
    assert after.provenance.start["run"] == str(imported)
    run("train", recipe, "--from", imported, "--out", tuned, "--device", "cpu", "--resume")
    answer = tmp_path / "answer.json"
    said = run("evaluate", tuned, "likelihood", "--set", "likelihood.bases=400", "-o", answer).stderr
    assert "may flatter it" in said
    assert len(json.loads(answer.read_text())["doubts"]) == 1


def test_what_goes_wrong_is_one_message(imported, tmp_path):
    folder, out = tmp_path / "ps_seqlen-64", tmp_path / "x"
    assert "is not overwritten" in run("import", "caduceus", folder, "--out", imported, code=1).stderr
    (tmp_path / "notmine.txt").write_text("precious")
    inside = tmp_path / "notmine.txt" / "deep" / "sub"
    assert (
        f"{tmp_path}/notmine.txt is not a folder" in run("import", "caduceus", folder, "--out", inside, code=1).stderr
    )
    silent = folder.rename(tmp_path / "silent")  # nothing says its context, but --out comes first
    assert "is not overwritten" in run("import", "caduceus", silent, "--out", imported, code=1).stderr
    assert "--context" in run("import", "caduceus", silent, "--out", out, code=2).stderr
    assert "choose one of caduceus" in run("import", "bert", folder, "--out", out, code=2).stderr
    twice = ["--from", imported, "--set", "training.start=elsewhere"]
    assert "give one of the two" in run("train", "hg38", *twice, "--out", out, code=2).stderr
    assert "no run directory" in run("train", "demo", "--from", tmp_path, "--out", out, code=2).stderr
    assert not out.exists()
