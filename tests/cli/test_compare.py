"""seqdiff compare, in this process: its trainings too."""

import copy
import csv
import json
from functools import partial

import pytest
import yaml
from stories import SETTINGS, write_genome
from typer.testing import CliRunner

from seqdiff.cli import app
from seqdiff.compare import launch, pace, run
from seqdiff.compare.pace import Pace


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    """No trials, no processes, no drawing; everything in a folder of its own."""
    monkeypatch.setattr(pace, "measured", lambda recipe, data, device, processes: Pace(1024.0, 100, "cpu", 1))
    monkeypatch.setattr(run, "compare", partial(run.compare, launch=launch.here))
    monkeypatch.setattr("seqdiff.report.compare.compare_figure", lambda path, summary: path.write_bytes(b"drawn"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def comparison(tmp_path):
    values = copy.deepcopy(SETTINGS) | {"name": "base"}
    values["data"] = {"kind": "dna", "fasta": str(write_genome(tmp_path / "genome.fa")), "context": 32,
                      "splits": {"valid": 0.1, "test": 0.1}}  # fmt: skip
    values["training"] = values["training"] | {"steps": 2, "validate_every": 1}
    whole = {
        "kind": "compare", "schema": 1, "name": "tiny", "base": values, "budget": {"tokens": 512},
        "systems": [{"name": "a", "label": "A"}, {"name": "b", "set": {"denoiser.kernel": 3}}],
        "evaluation": {"letters": 100, "order": 1, "strata": 1}, "samples": {"number": 2, "word": 1, "length": 8},
    }  # fmt: skip

    def write(name="tiny", **changed):
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(whole | {"name": name} | changed))
        return path

    return write


def invoke(*words):
    return CliRunner().invoke(app, ["compare", *map(str, words), "--device", "cpu", "-q"])


def test_tables_in_all_forms(comparison, tmp_path):
    result = invoke(comparison(), "--out", "runs", "-o", "found/table")
    assert result.exit_code == 0, result.output
    assert "bits per base" in result.stdout
    assert sorted(path.name for path in (tmp_path / "found").iterdir()) == [
        "table.json", "table.md", "table.png", "table.tsv"
    ]  # fmt: skip
    with open("found/table.tsv") as file:
        names = [row["name"] for row in csv.DictReader(file, delimiter="\t")]
    assert names[:2] == ["a", "b"]
    (summary,) = json.loads((tmp_path / "found/table.json").read_text())
    assert [row["state"] for row in summary["halves"][0]["rows"][:2]] == ["measured", "measured"]
    again = invoke(comparison(), "--out", "runs", "-o", "only.tsv")
    assert again.stdout == result.stdout
    assert (tmp_path / "only.tsv").read_bytes() == (tmp_path / "found/table.tsv").read_bytes()
    assert not (tmp_path / "only.json").exists()


def test_a_hyphen_is_stdout(comparison, tmp_path):
    result = invoke(comparison(), "--only", "a", "-o", "-")
    assert result.exit_code == 0, result.output
    names = [row["name"] for row in csv.DictReader(result.stdout.splitlines(), delimiter="\t")]
    assert names[:2] == ["a", "b"]
    assert not list(tmp_path.glob("-*"))


def test_by_default_the_table_is_beside_the_runs(comparison, tmp_path):
    assert invoke(comparison(), "--only", "a").exit_code == 0
    folder = tmp_path / "runs/compare/tiny"
    assert {"table.tsv", "table.png", "tokens", "comparison.yaml"} <= {path.name for path in folder.iterdir()}
    assert (folder / "tokens/a-1/model.safetensors").is_file()
    assert not (folder / "tokens/b-1").exists()


def test_several_comparisons_in_one_table(comparison, tmp_path):
    result = invoke(comparison(), comparison("other"), "--out", "runs", "-o", "table")
    assert result.exit_code == 0, result.output
    with open("table.tsv") as file:
        assert {row["comparison"] for row in csv.DictReader(file, delimiter="\t")} == {"tiny", "other"}
    assert {path.name for path in tmp_path.glob("*.png")} == {"table-tiny.png", "table-other.png"}


def test_a_failure_is_in_the_table_and_in_the_exit_code(comparison, tmp_path):
    (tmp_path / "runs/tiny/tokens").mkdir(parents=True)
    (tmp_path / "runs/tiny/tokens/a-1").write_text("in the way")
    result = invoke(comparison(), "--out", "runs", "-o", "table.md")
    assert result.exit_code == 1
    assert "A failed: " in result.stderr
    text = (tmp_path / "table.md").read_text()
    assert "| A | failed |" in text
    assert "| b | " in text


def test_a_plan_says_how_long_it_takes_and_writes_no_table(comparison, tmp_path):
    result = invoke(comparison(), "--plan", "--out", "runs")
    assert result.exit_code == 0, result.output
    assert "not run" in result.stdout
    assert not list(tmp_path.rglob("table.*"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nope"], "nope: no comparison of this name; there are"),
        (["{tiny}", "{tiny}"], "two comparisons are called tiny"),
        (["{tiny}", "{other}", "--only", "a"], "--only is for a single comparison"),
        (["{tiny}", "--only", "c"], "--only c: tiny has no such system; it has a, b"),
        (["{tiny}", "--set", "budget.hours=1"], "budget.hours: no such setting"),
        (["{tiny}", "--set", "denoiser.depth=0"], "tiny: a: denoiser.depth"),
        (["{tiny}", "--set", "samples.length=33"], "samples.length: no held-out sequence has 33 letters"),
        (["{tiny}", "--set", "data.fasta=gone.fa"], "gone.fa"),
    ],
)
def test_what_is_wrong_is_said(comparison, words, message):
    places = {"tiny": comparison(), "other": comparison("other")}
    result = invoke(*(word.format(**places) for word in words))
    assert result.exit_code in (1, 2)
    assert message in result.stderr
    assert result.stderr.count("\n") <= 3
