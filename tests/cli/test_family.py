"""A family from its alignment to what its model is used for, by the commands."""

import json

import numpy as np
import pytest
import torch
from family import COLUMNS, QUERY, toy_recipe, toy_rows, write_family
from typer.testing import CliRunner

import seqdiff
from seqdiff.cli import app
from seqdiff.errors import ConfigError, UsageError
from seqdiff.train.loop import train


def run(*words, code=0):
    result = CliRunner().invoke(app, [*map(str, words)], catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A trained toy family."""
    folder = tmp_path_factory.mktemp("family")
    train(toy_recipe(write_family(folder / "toy.fa")), folder / "run", quiet=True)
    return folder


@pytest.fixture(scope="module")
def model(folder):
    return seqdiff.load(folder / "run", device="cpu")


def test_the_model_remembers_its_query_and_its_columns(model):
    assert model.facts["query"] == {"name": QUERY, "first": 24, "sequence": toy_rows()[0]}
    assert model.columns == model.context == COLUMNS
    assert model.recipe.data.context == COLUMNS


def test_the_bound_is_below_that_of_columns_by_themselves(folder):
    run("evaluate", folder / "run", "likelihood", "-o", folder / "answers.json", "-q")
    answer = json.loads((folder / "answers.json").read_text())
    answer = answer.get("likelihood") or answer["answers"]["likelihood"]
    assert answer["profile"]["bits"] == pytest.approx(2, abs=0.1)  # four letters in every column
    assert answer["profile"]["difference"]["bits"] + 3 * answer["profile"]["difference"]["se"] < 0
    assert answer["unit"] == "column"


def test_the_strongest_couplings_are_those_that_made_the_family(folder):
    run(
        "evaluate",
        folder / "run",
        "couplings",
        "-o",
        folder / "couplings.json",
        "-q",
        "--set",
        "couplings.separation=1",
    )
    answer = json.loads((folder / "couplings.json").read_text())
    pairs = (answer.get("couplings") or answer["answers"]["couplings"])["pairs"]
    assert {(pair["i"], pair["j"]) for pair in pairs[:6]} == {(i, i + 6) for i in range(24, 30)}


def test_a_masked_column_is_filled_from_its_partner(folder, model):
    gap = folder / "gap.fa"
    gap.write_text(">a\nWAAAAAXAAAAA\n>b\nKAAAAAXAAAAA\n")
    result = run("infill", "--fasta", gap, "--model", folder / "run", "--sampler", "best", "-q", "-o", "-")
    assert result.stdout.splitlines() == [">a", "WAAAAAWAAAAA", ">b", "KAAAAAKAAAAA"]
    logits = model.denoise(torch.from_numpy(model.alphabet.encode(b"WXXXXXXXXXXX")[None].astype(np.int64)))
    assert logits[0, 6].softmax(-1)[model.alphabet.symbols.index("W")] > 0.6


def test_samples_are_rows_of_the_family(folder):
    lines = run("sample", "-n", 3, "--model", folder / "run", "-q", "-o", "-").stdout.splitlines()
    assert [len(line) for line in lines[1::2]] == [COLUMNS] * 3
    run("sample", "--length", 9, "--model", folder / "run", code=2)


def test_scores_tell_members_from_shuffled_ones(folder):
    pair = folder / "pair.fa"
    pair.write_text(">member\nADKWADADKWAD\n>other\nADKWADKWADKW\n")
    table = run("score", "--fasta", pair, "--model", folder / "run", "-q", "-o", "-").stdout
    member, other = (float(line.split("\t")[3]) for line in table.splitlines() if line[:6] in ("member", "other\t"))
    assert member < other - 3


@pytest.mark.parametrize("command", ["score", "infill"])
def test_records_that_are_not_aligned_are_refused(folder, command):
    short = folder / "short.fa"
    short.write_text(">a\nADKWADADKWAD\n>b\nADKW\n")
    result = run(command, "--fasta", short, "--model", folder / "run", "-o", folder / "none", code=1)
    message = " ".join(result.stderr.split())
    assert f"record 'b' has 4 columns, and the family of {QUERY} has 12: give it aligned to the query" in message
    assert not (folder / "none").exists()


def test_mutations_are_numbered_as_the_query_is(folder):
    table, wild_type = folder / "mutants.csv", folder / "wt.fa"
    query = toy_rows()[0]
    other = next(letter for letter in "ADKW" if letter != query[0])
    table.write_text(f"mutant\n{query[0]}24{other}\n{query[0]}24{other}:{query[6]}30{other}\n")
    wild_type.write_text(f">{QUERY}\n{query}\n")
    out = folder / "scored.tsv"
    words = ["variants", "--mutations", table, "--fasta", wild_type, "--first-residue", 24, "--model", folder / "run"]
    run(*words, "-o", out, "-q")
    one, both = (float(line.split("\t")[1]) for line in out.read_text().splitlines() if line.startswith(query[0]))
    assert one < -1  # its partner disagrees
    assert both > one  # and agrees again


def test_training_resumes_with_the_columns_of_the_file(tmp_path):
    whole = toy_recipe(write_family(tmp_path / "toy.fa"), training={"steps": 8, "save_every": 4, "validate_every": 4})
    train(whole, tmp_path / "whole", quiet=True)
    longer = seqdiff.load(tmp_path / "whole", device="cpu").recipe
    assert longer.data.context == COLUMNS
    train(longer, tmp_path / "whole", resume=True, quiet=True)
    write_family(tmp_path / "toy.fa", [row[1:] for row in toy_rows()])
    with pytest.raises(ConfigError, match=r"data\.context is 12, but the query of .* has 11 columns"):
        train(longer, tmp_path / "whole", resume=True, quiet=True)


@pytest.mark.parametrize(
    "denoiser",
    [
        {"kind": "transformer", "width": 16, "depth": 1, "heads": 2, "hidden": 16, "learned_positions": True},
        {"kind": "convolution", "width": 16, "hidden": 16, "depth": 2, "learned_positions": True},
        {"kind": "hollow-convolution", "width": 16, "depth": 2, "radius": 2},
    ],
    ids=lambda settings: settings["kind"],
)
def test_other_networks_learn_families_too(tmp_path, denoiser):
    estimator = "hollow" if denoiser["kind"] == "hollow-convolution" else "exact-count"
    small = toy_recipe(
        write_family(tmp_path / "toy.fa"), denoiser=denoiser, process={"kind": "masked", "estimator": estimator},
        training={"learning_rate": 0.01},
    )  # fmt: skip
    stopped = train(small, tmp_path / "run", quiet=True)
    assert stopped.nats_per_symbol < 0.6 * np.log(21)
    assert len(seqdiff.load(tmp_path / "run", device="cpu").sample(1)[0]) == COLUMNS


def test_lengths_cannot_be_chosen(model):
    with pytest.raises(UsageError, match="have the 12 columns of a family: leave length out"):
        model.sample(1, 9)
