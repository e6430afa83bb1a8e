"""A model of blocks as a user meets it: trained, evaluated, scored, sampled, infilled, and what it refuses."""

import json

import pytest
import yaml
from stories import tiny_recipe, write_genome
from typer.testing import CliRunner

from seqdiff.cli import app

NETWORK = {"kind": "transformer", "width": 16, "depth": 1, "heads": 2, "hidden": 16, "block_length": 4}


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
    folder = tmp_path_factory.mktemp("block")
    recipe = tiny_recipe(write_genome(folder / "genome.fa")).model_dump(mode="json", by_alias=True)
    recipe |= {"denoiser": NETWORK, "process": {"kind": "block", "length": 4}}
    (folder / "tiny.yaml").write_text(yaml.safe_dump(recipe))
    (folder / "reads.fa").write_text(">a\nACGTTGCANNNNACGT\n>b\nACGTNNRNNN\n>c\nACGTTG\n")
    run("train", folder / "tiny.yaml", "--out", folder / "run", "-q")
    run("train", folder / "tiny.yaml", "--out", folder / "other", "-q", "--set", "process.mask_rates=[0.45, 0.95]")
    return folder


def report(path):
    header, *lines = (text.split("\t") for text in path.read_text().splitlines())
    return {line[0]: dict(zip(header, line, strict=True)) for line in lines}


@pytest.mark.parametrize("name", ["run", "other"])
def test_it_is_evaluated_and_scored_by_its_bound(files, name):
    run("evaluate", files / name, "likelihood", "-q", "-o", files / "answer.json", "--set", "likelihood.bases=300")
    (answer,) = json.loads((files / "answer.json").read_text())["answers"].values()
    assert 1 < answer["model"]["bits"] < 3
    header, _, a, b, _ = run("score", "--model", files / name, "--fasta", files / "reads.fa").stdout.splitlines()
    assert "process=block" in header
    assert a.split("\t")[1:3] == ["16", "12"]
    assert b.split("\t")[4] == "0.0000"  # all masks of four letters are taken


def test_a_region_is_scored_given_what_stands_before_it(files):
    (files / "cut.fa").write_text(">a\nACGTTGCA\n")
    lines = [
        run("score", "--model", files / "run", "--fasta", files / name, "--region", "a:5-8").stdout.splitlines()
        for name in ("reads.fa", "cut.fa")
    ]
    assert lines[0][1].startswith("# nats are of each region given the letters before it")
    assert lines[0][3] == lines[1][3]


def test_it_is_sampled_beyond_its_context_too(files):
    words = ("sample", "--model", files / "run", "-n", 2, "--seed", 4)
    first, again = (run(*words, "--length", 20) for _ in range(2))
    assert first.stdout == again.stdout
    sequences = first.stdout.splitlines()[1::2]
    assert all(len(s) == 20 and set(s) <= set("ACGT") for s in sequences)
    run(*words, "--length", 18, "--steps", 1, "--report", files / "report.tsv", "-o", files / "new.fa")
    # Five blocks, and a look at all.
    assert [line["calls"] for line in report(files / "report.tsv").values()] == ["6", "6"]
    long = run(*words, "--length", 150, "--steps", 1).stdout
    assert sum(len(line) for line in long.splitlines() if line[0] != ">") == 300


def test_it_infills_by_particles_where_letters_after_a_gap_are_known(files):
    words = ("infill", "--model", files / "run", "--fasta", files / "reads.fa", "--report", files / "report.tsv")
    filled = run(*words, "--set", "particles=4", "--top-p", 0.9).stdout.splitlines()
    assert run(*words, "--sampler", "blocks", "--set", "particles=4", "--top-p", 0.9).stdout.splitlines() == filled
    assert filled[1].startswith("ACGTTGCA")
    assert filled[1].endswith("ACGT")
    assert filled[3][6] in "AG"
    assert filled[5] == "ACGTTG"
    table = report(files / "report.tsv")
    assert 1 <= float(table["a"]["ess"]) <= 4
    assert float(table["a"]["log_weight"]) < 0
    assert float(table["b"]["log_weight"]) < 0  # of the R
    assert table["c"]["calls"] == "0"
    fastq = run("infill", "--model", files / "run", "--fasta", files / "reads.fa", "--format", "fastq").stdout
    assert fastq.splitlines()[3][:8] == "I" * 8


def test_guidance_is_by_two_models(files):
    words = ("sample", "--model", files / "run", "-n", 2, "--length", 20)
    other = ("--unconditional", files / "other")
    alone = run(*words).stdout
    assert run(*words, *other, "--guidance", 1).stdout == alone
    assert run(*words, *other, "--guidance", 3).stdout != alone


def test_what_it_cannot_do_is_refused(files):
    model = ("--model", files / "run", "--fasta", files / "reads.fa")
    assert "does not learn to fill masks from both sides" in fails("infill", *model, "--sampler", "exact")
    assert "does not learn to fill masks from both sides" in fails("score", *model, "--method", "pseudo")
    assert "sampler blocks has no such setting" in fails("infill", *model, "--set", "grid=cosine")
    assert "sampler ancestral has no such setting" in fails("infill", *model[2:], "--set", "particles=4")
    assert "sampler ancestral has no such setting" in fails("sample", "--length", 9, "--set", "particles=4")
    assert "greater than or equal to 1" in fails("infill", *model, "--sampler", "blocks", "--set", "particles=0")
    wrong = fails("train", files / "tiny.yaml", "--out", files / "x", "--set", "denoiser.block_length=8")
    assert "has blocks of 4 letters" in wrong
    assert "set denoiser.block_length=4" in wrong
