"""report as a user runs it, in this process: runs of every kind, whole and damaged."""

import json
import shutil

import pytest
import torch
from report.page.pages import keeps_the_contract
from stories import tiny_recipe, write_genome
from typer.testing import CliRunner

from seqdiff.cli import app
from seqdiff.evaluate.evaluation import Evaluation
from seqdiff.files import sha256
from seqdiff.recipe import load, parse
from seqdiff.report.page import Figure
from seqdiff.report.style import Drawing
from seqdiff.train.loop import train

FEW = ("--set", "likelihood.bases=300", "--set", "likelihood.order=2", "--set", "recovery.gaps=10", "--set",
       "recovery.order=2", "--set", "recovery.lengths=[1, 4]", "--set", "calibration.bases=300", "--set",
       "spectra.samples=3")  # fmt: skip


def run(*words, **more):
    return CliRunner().invoke(app, ["report", *map(str, words)], **more)


def fails(*words, code: int = 2) -> str:
    result = run(*words)
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    return next(line for line in result.stderr.splitlines() if line.startswith("seqdiff: error: "))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run, and the page of it with everything asked."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    train(tiny_recipe(write_genome(folder.parent / "g.fa")), folder, device="cpu", quiet=True)
    result = run(folder, "-o", folder / "page.html", *FEW, "-q")
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    return folder


@pytest.fixture
def folder(trained, tmp_path, monkeypatch):
    """A copy of the run, to be spoiled; its pages have empty figures, since drawing takes its time."""

    def undrawn(cls, caption, description, draw, *numbers):
        drawing = Drawing()
        drawing.svg = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"/>'
        return cls(caption, description, drawing, numbers)

    monkeypatch.setattr(Figure, "of", classmethod(undrawn))
    shutil.copytree(trained, tmp_path / "tiny")
    return tmp_path / "tiny"


def test_the_page_of_a_run_has_everything(trained):
    text = (trained / "page.html").read_text()
    assert keeps_the_contract(text).words["h2"] == [
        "What was trained on what", "Training", "Held-out likelihood", "Gaps recovered", "Calibration",
        "Samples beside held-out sequences", "Speed and memory", "Recipe", "Provenance",
    ]  # fmt: skip
    assert sha256(trained / "model.safetensors") in text
    assert "MiB, of the first process since it last started" in text
    assert "the CPU, float32" in text
    assert "Markov, order 2 (best)" in text or "(best)" in text


def test_what_was_asked_is_kept_and_not_asked_again(trained):
    kept = json.loads((trained / "report.json").read_text())
    assert list(kept["answers"]) == ["likelihood", "recovery", "calibration", "spectra"]
    assert kept["weights"] == sha256(trained / "model.safetensors")
    before = (trained / "report.json").stat().st_mtime_ns
    assert run(trained, "-o", trained / "again.html", *FEW, "-q").exit_code == 0
    assert (trained / "report.json").stat().st_mtime_ns == before
    assert (trained / "again.html").read_text() == (trained / "page.html").read_text()


def test_a_page_goes_to_standard_output_where_no_file_is_named(folder):
    result = run(folder, "--quick", "-q")
    assert result.stdout.startswith("<!DOCTYPE html>")
    keeps_the_contract(result.stdout)


def test_another_setting_is_asked_again(folder):
    assert run(folder, "-o", folder / "p.html", "--set", "spectra.samples=4", "-q").exit_code == 0
    kept = json.loads((folder / "report.json").read_text())
    assert kept["answers"]["spectra"]["settings"]["samples"] == 4
    assert kept["answers"]["recovery"]["settings"]["gaps"] == 10


def test_answers_of_evaluate_are_taken_where_they_are_of_these_weights(folder):
    (folder / "report.json").rename(folder / "evaluation.json")
    assert run(folder, "-o", folder / "p.html", *FEW, "-q").exit_code == 0
    assert not (folder / "report.json").exists()
    of_others = json.loads((folder / "evaluation.json").read_text()) | {"weights": "0" * 64}
    (folder / "evaluation.json").write_text(json.dumps(of_others))
    result = run(folder, "-o", folder / "q.html", "--quick")
    assert "is of other weights" in result.stderr
    assert "Held-out likelihood: it was not asked" in (folder / "q.html").read_text()
    says = fails(folder, "--evaluation", folder / "evaluation.json", "--quick")
    assert "answers of other weights" in says
    of_others["weights"] = sha256(folder / "model.safetensors")
    (folder / "mine.json").write_text(json.dumps(of_others))
    assert run(folder, "--evaluation", folder / "mine.json", "--quick", "-o", folder / "r.html").exit_code == 0
    assert "Held-out likelihood</h2>" in (folder / "r.html").read_text()


def test_damaged_answers_are_said_and_left_out_or_refused(folder):
    (folder / "report.json").write_text('{"model": ')
    result = run(folder, "-o", folder / "p.html", "--quick")
    assert result.exit_code == 0
    assert "not an evaluation that `seqdiff evaluate -o` wrote" in result.stderr
    assert "not an evaluation" in fails(folder, "--evaluation", folder / "report.json", code=1)
    assert "cannot be read: " in fails(folder, "--evaluation", folder / "nowhere.json", code=1)


def test_a_run_in_training_has_a_page(folder):
    (folder / "model.safetensors").unlink()
    result = run(folder, "-o", folder / "p.html")
    assert result.exit_code == 0, result.output
    assert "There is no model yet: training stands at step 12 of 12" in (folder / "p.html").read_text()


def test_data_that_are_gone_are_said_and_what_is_kept_is_shown(folder, trained):
    text = (folder / "recipe.yaml").read_text()
    (folder / "recipe.yaml").write_text(text.replace("g.fa", "gone.fa"))
    result = run(folder, "-o", folder / "p.html")
    assert result.exit_code == 0, result.output
    found = (folder / "p.html").read_text()
    assert "The data of the run are not at hand" in found
    assert "gone.fa" in found
    assert "Held-out likelihood</h2>" in found


def test_data_that_have_changed_are_not_asked(folder, trained, tmp_path):
    text = (folder / "recipe.yaml").read_text()
    write_genome(tmp_path / "other.fa", 7200)
    (folder / "recipe.yaml").write_text(text.replace(str(trained.parent / "g.fa"), str(tmp_path / "other.fa")))
    assert run(folder, "-o", folder / "p.html").exit_code == 0
    assert "are not the data (or not the splits)" in (folder / "p.html").read_text()


def test_a_folder_that_cannot_be_written_still_gives_a_page(folder, tmp_path, monkeypatch):
    (folder / "report.json").unlink()

    def full(self, path):
        from seqdiff.errors import DataError

        raise DataError(f"cannot write {path}: the disk is full")

    monkeypatch.setattr(Evaluation, "write", full)
    result = run(folder, "-o", tmp_path / "p.html", *FEW)
    assert result.exit_code == 0, result.output
    assert result.stderr.count("the disk is full; the answers go into the page, and are not kept") == 1
    assert not (folder / "report.json").exists()


def test_the_model_that_ships_has_a_page_and_nothing_is_written_beside_it(tmp_path):
    from seqdiff import resources
    from seqdiff.model import SHIPPED

    result = run("--quick", "-o", tmp_path / "p.html")
    assert result.exit_code == 0, result.output
    keeps_the_contract((tmp_path / "p.html").read_text())
    assert run("protein-demo", "--quick", "-q", "-o", tmp_path / "q.html").exit_code == 0
    assert "protein" in (tmp_path / "q.html").read_text()
    for name in resources.shipped_runs():
        assert {path.name for path in (SHIPPED.parent / name).iterdir()} == {"recipe.yaml", "model.safetensors"}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--quick", "--set", "recovery.gaps=3"), "--quick asks nothing: leave --set out"),
        (("--quick", "--seed", "3"), "--quick asks nothing: leave --seed out"),
        (("--set", "variants.order=2"), "the page of this run does not ask it; it asks likelihood, recovery"),
        (("--set", "recovery.gap=2"), "--set recovery.gap"),
        (("--fasta", "x.fa"), "--fasta: it is for the page of filled letters or variants"),
        (("--measured", "fitness"), "--measured: it is for the page of filled letters or variants"),
    ],
)
def test_options_that_would_change_nothing_are_refused(trained, words, says):
    assert says in fails(trained, *words)


def test_nothing_is_asked_for_minutes_where_nothing_is_named():
    result = CliRunner().invoke(app, ["report"])
    assert result.exit_code == 2
    assert "give a run directory, filled gaps or scored variants" in result.output


def test_folders_that_are_no_runs_and_files_that_are_nothing(tmp_path):
    assert "no run directory" in fails(tmp_path)
    (tmp_path / "x.txt").write_text("hello\n")
    assert "--quick: it is for the page of a run" in fails(tmp_path / "x.txt", "--quick")
    for words in ((), ("--quick",), ("--fasta", "x.fa")):
        assert "nowhere: no such run directory, and no such file; the models that ship are human-chr20" in fails(
            tmp_path / "nowhere", *words, code=1
        )


def test_a_question_without_an_answer_is_said_and_the_others_are_there(folder, monkeypatch):
    from seqdiff.errors import DataError
    from seqdiff.evaluate import Calibration

    (folder / "report.json").unlink()

    def none(self, model, data, progress):
        raise DataError("no held-out window has a known letter")

    monkeypatch.setattr(Calibration, "ask", none)
    result = run(folder, "-o", folder / "p.html", *FEW, "-q")
    assert result.exit_code == 0, result.output
    text = (folder / "p.html").read_text()
    assert "The question calibration could not be answered: no held-out window has a known letter." in text
    assert list(json.loads((folder / "report.json").read_text())["answers"]) == ["likelihood", "recovery", "spectra"]


def test_a_network_tuned_to_labels_is_refused(folder):
    from seqdiff.checkpoint import RunFolder

    RunFolder(folder).write_tensors({"w": torch.zeros(2)}, {"seqdiff_predictor": "{}"})
    assert "use it with seqdiff predict" in fails(folder)


def test_a_model_that_goes_from_left_to_right_has_a_page(tmp_path):
    recipe = tiny_recipe(write_genome(tmp_path / "g.fa")).model_dump(mode="json", by_alias=True)
    network = {"kind": "transformer", "width": 16, "depth": 1, "heads": 2, "causal": True}
    train(
        parse(recipe | {"process": {"kind": "autoregressive"}, "denoiser": network}, "x"), tmp_path / "ar", quiet=True
    )
    few = ("--set", "likelihood.bases=200", "--set", "likelihood.order=1", "--set", "spectra.samples=2")
    assert run(tmp_path / "ar", "-o", tmp_path / "p.html", *few, "-q").exit_code == 0
    text = (tmp_path / "p.html").read_text()
    assert "costs the model exactly" in text
    assert "Calibration: a model of process <code>autoregressive</code> does not fill masks." in text


def test_a_model_of_images_shows_what_it_draws_and_fills(tmp_path, monkeypatch):
    monkeypatch.setattr("seqdiff.cli.report_images.LABELS", 3)
    changes = ["denoiser.width=8", "denoiser.groups=4", "training.steps=2", "training.warmup_steps=1"]
    changes += ["training.batch_size=8", "training.validation_windows=4"]
    train(load("digits", changes), tmp_path / "digits", quiet=True)
    few = ("likelihood.bases=200", "likelihood.order=1", "recovery.gaps=4", "recovery.order=1", "calibration.bases=200")
    settings = [word for one in few for word in ("--set", one)]
    assert run(tmp_path / "digits", "-o", tmp_path / "p.html", *settings, "-q").exit_code == 0
    text = (tmp_path / "p.html").read_text()
    assert len(keeps_the_contract(text).of("img")) == 2
    assert "A row each of the classes 0, 1, 2" in text
    assert "images have no words" in text
