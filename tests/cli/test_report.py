"""report as a user runs it, in this process: runs of every kind, whole and damaged."""

import json
import shutil

import pytest
from report.page.pages import keeps_the_contract
from stories import tiny_recipe, write_genome
from typer.testing import CliRunner

from seqdiff.cli import app
from seqdiff.evaluate.evaluation import Evaluation
from seqdiff.files import sha256
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
def folder(trained, tmp_path):
    """A copy of the run, to be spoiled."""
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


def test_what_was_asked_is_kept_and_not_asked_again(trained, folder):
    kept = json.loads((folder / "report.json").read_text())
    assert list(kept["answers"]) == ["likelihood", "recovery", "calibration", "spectra"]
    assert kept["weights"] == sha256(folder / "model.safetensors")
    result = run(folder, "-o", "-", "--quick")
    assert result.stdout.count("</figure>") == (trained / "page.html").read_text().count("</figure>")
    before = (folder / "report.json").stat().st_mtime_ns
    assert run(folder, "-o", folder / "again.html", *FEW, "-q").exit_code == 0
    assert (folder / "report.json").stat().st_mtime_ns == before
    assert (folder / "again.html").read_text() == (trained / "page.html").read_text()


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
    assert "the disk is full; the answers go into the page, and are not kept" in result.stderr
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


def test_folders_that_are_no_runs_and_files_that_are_nothing(tmp_path):
    assert "no run directory" in fails(tmp_path)
    (tmp_path / "x.txt").write_text("hello\n")
    assert "--quick: it is for the page of a run" in fails(tmp_path / "x.txt", "--quick")
    says = fails(tmp_path / "nowhere", code=1)
    assert "nowhere" in says
