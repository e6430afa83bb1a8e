"""A published checkpoint as a user takes it in: import, fill, score, train on, evaluate."""

import json
import random
import re

import public
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


@pytest.mark.parametrize("name", ["esm2", "evodiff"])
def test_an_imported_protein_model_fills_scores_samples_and_goes_on_training(name, tmp_path):
    given = {"esm2": [], "evodiff": ["--max-dilation", "4", "--activation", "gelu", "--context", "32"]}[name]
    imported = tmp_path / "imported"
    said = run("import", name, public.path(name), "--out", imported, *given).stderr
    assert "windows of 32 residues" in said
    fasta = tmp_path / "in.fa"
    fasta.write_text(">a\nMKTAYXXXXBZQR*\n>b\n" + "ACDEFGHIKLMNPQRSTVWY" * 3 + "\n")
    lines = run("infill", "--model", imported, "--fasta", fasta, "--steps", "4").stdout.splitlines()
    assert re.fullmatch("MKTAY[ACDEFGHIKLMNPQRSTVWY]{4}[DN][EQ]QR", lines[1])
    assert "".join(lines[3:]) == "ACDEFGHIKLMNPQRSTVWY" * 3
    rows = run("score", "--model", imported, "--fasta", fasta, "--draws", "4").stdout.splitlines()
    assert [row.split("\t")[:3] for row in rows[2:]] == [["a", "13", "7"], ["b", "60", "60"]]
    sampled = run("sample", "--model", imported, "-n", "2", "--length", "30").stdout.splitlines()
    assert [len(line) for line in sampled[1::2]] == [30, 30]

    draw = random.Random(1)
    proteins = ("".join(draw.choices("ACDEFGHIKLMNPQRSTVWY", k=draw.randint(15, 40))) for _ in range(120))
    fasta.write_text("".join(f">p{i}\n{protein}\n" for i, protein in enumerate(proteins)))
    changes = {
        "data.fasta": fasta, "process": "{kind: masked}", "training.steps": 2, "training.warmup_steps": 1,
        "training.batch_size": 2, "training.validation_windows": 2,
    }  # fmt: skip
    settings = [word for key, value in changes.items() for word in ("--set", f"{key}={value}")]
    tuned = tmp_path / "tuned"
    run("train", imported / "recipe.yaml", "--from", imported, "--out", tuned, "--device", "cpu", *settings)
    after = model.load(tuned, "cpu")
    assert after.recipe.denoiser == model.load(imported, "cpu").recipe.denoiser
    assert after.provenance.start["run"] == str(imported)


def test_options_of_another_format_are_refused(tmp_path):
    out = tmp_path / "x"
    esm2 = ["import", "esm2", public.path("esm2"), "--out", out]
    assert "--max-dilation is of evodiff, not of esm2" in run(*esm2, "--max-dilation", "4", code=2).stderr
    evodiff = ["import", "evodiff", public.path("evodiff"), "--out", out]
    assert "choose one of gelu, relu" in run(*evodiff, "--activation", "tanh", code=2).stderr
    assert "is a folder" in run("import", "evodiff", public.path("esm2"), "--out", out, code=1).stderr
    assert not out.exists()


def test_an_imported_protein_model_is_evaluated_on_proteins_that_it_is_given(tmp_path):
    fasta = tmp_path / "in.fa"
    draw = random.Random(1)
    rows = ("".join(draw.choices("ACDEFGHIKLMNPQRSTVWY", k=draw.randint(15, 40))) for _ in range(120))
    fasta.write_text("".join(f">p{i}\n{row}\n" for i, row in enumerate(rows)))
    imported, answer = tmp_path / "esm2", tmp_path / "answer.json"
    esm2 = ["import", "esm2", public.path("esm2"), "--out", imported, "--fasta"]
    assert "no such file; --fasta is" in run(*esm2, tmp_path / "no.fa", code=1).stderr
    run(*esm2, fasta)
    said = run("evaluate", imported, "likelihood", "-o", answer).stderr
    assert "was imported, and what it was trained on is not known" in said
    assert json.loads(answer.read_text())["data"].startswith("in.fa, 120 proteins")


def test_an_imported_protein_model_has_no_data_of_its_own(tmp_path):
    imported, out = tmp_path / "esm2", tmp_path / "x"
    run("import", "esm2", public.path("esm2"), "--out", imported)
    train = ["train", imported / "recipe.yaml", "--out", out, "--device", "cpu"]
    said = "no file of proteins is named: train with --set data.fasta=FILE, import with --fasta FILE"
    assert said in run(*train, code=2).stderr
    assert said in run("evaluate", imported, "likelihood", code=2).stderr
    assert not out.exists()
