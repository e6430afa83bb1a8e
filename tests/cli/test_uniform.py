"""A model of uniform noise as a user meets it: trained, evaluated, scored, sampled, infilled, and what it refuses."""

import json

import pytest
import yaml
from stories import tiny_recipe, write_genome
from typer.testing import CliRunner

from seqdiff.cli import app

NETWORK = {"kind": "transformer", "width": 16, "depth": 1, "heads": 2, "hidden": 16, "time_conditioning": True}


def run(*words):
    result = CliRunner().invoke(app, list(map(str, words)))
    assert result.exit_code == 0, result.output
    return result


def fails(*words, code=2) -> str:
    result = CliRunner().invoke(app, list(map(str, words)))
    assert (result.exit_code, result.stdout) == (code, ""), result.output
    (message,) = [line for line in result.stderr.splitlines() if line.startswith("seqdiff: error: ")]
    return message


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("uniform")
    recipe = tiny_recipe(write_genome(folder / "genome.fa")).model_dump(mode="json", by_alias=True)
    recipe |= {"denoiser": NETWORK, "process": {"kind": "uniform"}}
    (folder / "tiny.yaml").write_text(yaml.safe_dump(recipe))
    (folder / "reads.fa").write_text(">a\nACGTTGCANNNNACGT\n>b\nNNRNNN\n>c\nACGTTG\n")
    for name, steps in (("run", "null"), ("steps", 4)):
        run("train", folder / "tiny.yaml", "--out", folder / name, "-q", "--set", f"process.steps={steps}")
    return folder


@pytest.mark.parametrize("name", ["run", "steps"])
def test_it_is_evaluated_and_scored_by_its_bound(files, name):
    run("evaluate", files / name, "likelihood", "-q", "-o", files / "answer.json", "--set", "likelihood.bases=300",
        "--set", "likelihood.order=2")  # fmt: skip
    (answer,) = json.loads((files / "answer.json").read_text())["answers"].values()
    assert 1 < answer["model"]["bits"] < 3
    header, _, a, b, _ = run("score", "--model", files / name, "--fasta", files / "reads.fa").stdout.splitlines()
    assert "process=uniform" in header
    assert a.split("\t")[1:3] == ["16", "12"]
    assert b.split("\t")[2:4] == ["0", "."]


def test_it_is_sampled(files):
    first, again = (run("sample", "--model", files / "run", "-n", 2, "--length", 20, "--seed", 4) for _ in range(2))
    assert first.stdout == again.stdout
    names, sequences = first.stdout.splitlines()[::2], first.stdout.splitlines()[1::2]
    assert names == [">sample1", ">sample2"]
    assert all(len(s) == 20 and set(s) <= set("ACGT") for s in sequences)
    run("sample", "--model", files / "steps", "--length", 20, "--report", files / "report.tsv", "-o", files / "new.fq")
    header, line = (text.split("\t") for text in (files / "report.tsv").read_text().splitlines())
    assert dict(zip(header, line, strict=True))["calls"] == "5"  # the steps of its process, and a look before


def test_it_infills(files):
    words = ("infill", "--model", files / "run", "--fasta", files / "reads.fa", "--report", files / "report.tsv")
    filled = run(*words, "--sampler", "bayes", "--steps", 3, "--set", "repeats=2", "--top-p", 0.9).stdout.splitlines()
    assert filled[1].startswith("ACGTTGCA")
    assert filled[1].endswith("ACGT")
    assert filled[3][2] in "AG"
    assert filled[5] == "ACGTTG"
    lines = [text.split("\t") for text in (files / "report.tsv").read_text().splitlines()]
    table = {line[0]: dict(zip(lines[0], line, strict=True)) for line in lines[1:]}
    assert table["a"]["log_weight"] == "."  # letters are drawn again and again: nothing that weighs a draw
    assert (table["a"]["calls"], table["c"]["calls"]) == ("6", "0")


def test_guidance_is_by_two_models(files):
    words = ("sample", "--model", files / "run", "-n", 2, "--length", 20, "--steps", 5)
    other = ("--unconditional", files / "steps")
    alone = run(*words).stdout
    assert run(*words, *other, "--guidance", 1).stdout == alone
    assert run(*words, *other, "--guidance", 3).stdout != alone


def test_what_it_cannot_do_is_said(files):
    model = ("--model", files / "run")
    assert "does not learn to fill masks" in fails(
        "infill", *model, "--fasta", files / "reads.fa", "--sampler", "exact"
    )
    assert "does not learn to fill masks" in fails("score", *model, "--fasta", files / "reads.fa", "--method", "chain")
    assert "is of process uniform" in fails("sample", "--length", 5, "--sampler", "bayes")
    assert "no such setting" in fails("sample", *model, "--length", 5, "--sampler", "bayes", "--set", "grid=cosine")
    without = yaml.safe_dump(NETWORK | {"time_conditioning": False})
    refused = fails("train", files / "tiny.yaml", "--out", files / "no", "--set", f"denoiser={{{_flow(without)}}}")
    assert "set denoiser.time_conditioning=true" in refused
    hollow = yaml.safe_dump({"kind": "hollow-convolution", "width": 8, "depth": 1, "time_conditioning": True})
    words = ("--set", f"denoiser={{{_flow(hollow)}}}", "--set", "process.prediction=posterior")
    assert "set process.prediction: leave-one-out" in fails("train", files / "tiny.yaml", "--out", files / "no", *words)
    assert not (files / "no").exists()


def _flow(text: str) -> str:
    return ", ".join(text.splitlines())
