"""Models of score entropy and of masked diffusion in steps as a user meets them: trained, evaluated, scored, sampled,
infilled, and what they refuse."""

import json

import pytest
import yaml
from stories import tiny_recipe, write_genome
from typer.testing import CliRunner

from seqdiff.cli import app

NETWORK = {"kind": "convolution", "width": 16, "hidden": 16, "depth": 2}
RUNS = {
    "score": ({"kind": "score"}, True),
    "discrete": ({"kind": "discrete", "steps": 50}, False),
    "without": ({"kind": "discrete", "carry_over": False, "zero_masking": False}, True),
    "untold": ({"kind": "discrete", "zero_masking": False, "schedule": {"kind": "cosine"}}, False),
}


def run(*words):
    result = CliRunner().invoke(app, list(map(str, words)))
    assert result.exit_code == 0, result.output
    return result.stdout


def fails(*words) -> str:
    result = CliRunner().invoke(app, list(map(str, words)))
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    (message,) = [line for line in result.stderr.splitlines() if line.startswith("seqdiff: error: ")]
    return message


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("steps")
    recipe = tiny_recipe(write_genome(folder / "genome.fa")).model_dump(mode="json", by_alias=True)
    for name, (process, told) in RUNS.items():
        recipe |= {"denoiser": NETWORK | {"time_conditioning": told}, "process": process}
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(recipe))
        run("train", folder / f"{name}.yaml", "--out", folder / name, "-q")
    (folder / "reads.fa").write_text(">a\nACGTTGCANNNNACGT\n>b\nACGTNNRNNN\n>c\nACGTTG\n")
    return folder


@pytest.mark.parametrize("name", RUNS)
def test_it_is_evaluated_and_scored_by_its_own_bound(files, name):
    questions = ("likelihood", "recovery", "--set", "likelihood.bases=300", "--set", "recovery.gaps=10")
    run("evaluate", files / name, *questions, "-q", "-o", files / "answer.json")
    answer = json.loads((files / "answer.json").read_text())["answers"]["likelihood"]
    assert 1 < answer["model"]["bits"] < 5
    words = ("score", "--model", files / name, "--fasta", files / "reads.fa")
    header, _, *lines = run(*words).splitlines()
    assert f"process={RUNS[name][0]['kind']}" in header
    assert [line.split("\t")[2] for line in lines] == ["12", "4", "6"]
    assert run(*words, "--method", "pseudo") != run(*words)


@pytest.mark.parametrize("name", RUNS)
def test_it_is_sampled_and_infilled_by_its_own_sampler_and_by_others(files, name):
    own = "tweedie" if name == "score" else "d3pm"
    model = ("--model", files / name)
    for options in ((), ("--sampler", own, "--steps", 3), ("--sampler", "exact", "--top-p", 0.9)):
        lines = run("sample", *model, "-n", 2, "--length", 30, "--seed", 1, *options).splitlines()
        assert [len(line) for line in lines[1::2]] == [30, 30]
        a, b, c = run("infill", *model, "--fasta", files / "reads.fa", *options).splitlines()[1::2]
        assert (a[:8], a[12:], b[:4], c) == ("ACGTTGCA", "ACGT", "ACGT", "ACGTTG")
        assert b[6] in "AG"
        assert set(a + b) <= set("ACGT")


def test_masked_diffusion_in_steps_has_the_default_sampler_of_masked_diffusion(files):
    words = ("sample", "--length", 20, "--report", files / "report.tsv", "-o", files / "new.fa", "--model")
    calls = {}
    for name in RUNS:
        run(*words, files / name)
        header, line = (text.split("\t") for text in (files / "report.tsv").read_text().splitlines())
        calls[name] = int(dict(zip(header, line, strict=True))["calls"])
    assert all(0 < count <= 21 for count in calls.values())
    assert calls["discrete"] < 18  # steps that reveal nothing are no passes


def test_what_does_not_fit_is_said(files):
    told = "denoiser={kind: convolution, width: 16, hidden: 16, depth: 2}"
    train = ("train", files / "score.yaml", "--out", files / "no")
    assert "set denoiser.time_conditioning=true" in fails(*train, "--set", told)
    assert "process={kind: discrete, steps: 9}" in fails(
        *train, "--set", "process={kind: masked, estimator: discrete, steps: 9}"
    )
    assert "there are" in fails(*train, "--set", "process={kind: discrete, carry: false}") or "did you mean" in fails(
        *train, "--set", "process={kind: discrete, carry: false}"
    )
    assert not (files / "no").exists()
    assert "is of process discrete" in fails("sample", "--model", files / "score", "--length", 5, "--sampler", "d3pm")
    assert "no such setting" in fails(
        "sample", "--model", files / "score", "--length", 5, "--sampler", "tweedie", "--set", "grid=cosine"
    )
