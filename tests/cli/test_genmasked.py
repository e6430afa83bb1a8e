"""A model with a schedule of each letter as a user meets it: trained, evaluated, scored, sampled, infilled, refused."""

import json

import pytest
import yaml
from stories import tiny_recipe, write_genome
from typer.testing import CliRunner

from seqdiff.cli import app

NETWORK = {"kind": "convolution", "width": 16, "hidden": 16, "depth": 2, "time_conditioning": True}


def run(*words):
    result = CliRunner().invoke(app, list(map(str, words)))
    assert result.exit_code == 0, result.output
    return result


def fails(*words) -> str:
    result = CliRunner().invoke(app, list(map(str, words)))
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    (message,) = [line for line in result.stderr.splitlines() if line.startswith("seqdiff: error: ")]
    return message


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("genmasked")
    recipe = tiny_recipe(write_genome(folder / "genome.fa")).model_dump(mode="json", by_alias=True)
    recipe |= {"denoiser": NETWORK, "process": {"kind": "genmasked"}}
    (folder / "tiny.yaml").write_text(yaml.safe_dump(recipe))
    (folder / "reads.fa").write_text(">a\nACGTTGCANNNNACGT\n>b\nACGTNNRNNN\n>c\nACGTTG\n")
    run("train", folder / "tiny.yaml", "--out", folder / "run", "-q")
    return folder


def test_it_is_evaluated_and_its_schedules_are_drawn(files):
    run(
        "evaluate", files / "run", "likelihood", "-q", "-o", files / "answer.json", "--set", "likelihood.bases=300",
        "--figures", files / "figures",
    )  # fmt: skip
    (answer,) = json.loads((files / "answer.json").read_text())["answers"].values()
    assert 1 < answer["model"]["bits"] < 3
    names = {"likelihood.png", "training.png", "schedules.png"}
    assert {path.name for path in (files / "figures").iterdir()} == names


def test_it_is_scored_by_its_own_bound(files):
    header, _, *lines = run("score", "--model", files / "run", "--fasta", files / "reads.fa").stdout.splitlines()
    assert "process=genmasked" in header
    assert [line.split("\t")[2] for line in lines] == ["12", "4", "6"]
    assert all(float(line.split("\t")[3]) > 0 < float(line.split("\t")[4]) for line in lines)


@pytest.mark.parametrize("options", [(), ("--sampler", "powers", "--steps", "4"), ("--sampler", "thinning"),
                                     ("--sampler", "ancestral", "--steps", "4")])  # fmt: skip
def test_it_is_sampled_and_infilled_by_its_own_samplers_and_by_others(files, options):
    sampled = run("sample", "--model", files / "run", "-n", "2", "--length", "30", "--seed", "1", *options).stdout
    assert [len(line) for line in sampled.splitlines()[1::2]] == [30, 30]
    filled = run("infill", "--model", files / "run", "--fasta", files / "reads.fa", *options).stdout.splitlines()
    assert (filled[1][:8], filled[1][12:]) == ("ACGTTGCA", "ACGT")
    assert set(filled[1]) <= set("ACGT")
    assert filled[3][6] in "AG"  # R is A or G
    assert filled[5] == "ACGTTG"


def test_what_does_not_fit_is_refused(files, tmp_path):
    assert "is of process genmasked" in fails("sample", "-n", "1", "--length", "9", "--sampler", "thinning")
    untold = ("--set", "denoiser.time_conditioning=false")
    message = fails("train", files / "tiny.yaml", "--out", tmp_path / "run", *untold)
    assert "set denoiser.time_conditioning=true" in message
    message = fails(
        "sample", "--model", files / "run", "-n", "1", "--length", "9", "--sampler", "thinning", "--steps", 4
    )
    assert "--steps" in message
