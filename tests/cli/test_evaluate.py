"""evaluate as a user runs it, in this process, with the model that ships."""

import json
import re

import numpy as np
import pytest
from labelled import HEADER, substitutions
from typer.testing import CliRunner

from seqdiff import model as models
from seqdiff.cli import app
from seqdiff.evaluate import DEFAULT, QUESTIONS

QUICK = ("--set", "variants.order=2", "--set", "variants.resamples=100", "--set", "variants.block=2000")


def run(*words):
    return CliRunner().invoke(app, ["evaluate", *map(str, words)])


def fails(*words, code: int = 2) -> str:
    result = run(*words)
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    (message,) = [line for line in result.stderr.splitlines() if line.startswith("seqdiff: error: ")]
    return message


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> tuple:
    """Substitutions where the shipped model was tested, half of them drawn from what neighbours go together."""
    data = models.load().recipe.data.open()
    (place,) = data.intervals["test"][:1]
    tokens = data.genome.tokens(place)
    together = np.ones((4, 4))
    np.add.at(together, (tokens[:-1] % 4, tokens[1:] % 4), 1)
    together /= together.sum(1, keepdims=True)
    lines = substitutions(data.genome, together, range(place.start + 600, place.end - 600, 500), place.contig)
    path = tmp_path_factory.mktemp("variants") / "x.vcf"
    path.write_text(HEADER + "\n".join(lines) + "\n")
    return "--vcf", path, "--fasta", data.genome.path


def test_the_help_lists_every_question_and_says_which_are_asked():
    """By hand, since no help waits for torch, which the questions need."""
    text = " ".join(run("--help").stdout.split("Example:")[0].split())
    default, named = text.split("Asked by name:")
    listed = re.compile(r"(\w+) \(")
    assert tuple(listed.findall(default.split("none is named:")[1])) == DEFAULT
    assert {name for name in listed.findall(named) if name in QUESTIONS} == set(QUESTIONS) - set(DEFAULT)
    assert set(DEFAULT) < set(QUESTIONS)


def test_variants_from_files_to_json_table_and_figure(files, tmp_path):
    result = run(
        models.SHIPPED, "variants", *files, "--positive", "AF<0.001", "--negative", "AF>=0.05",
        "-o", tmp_path / "e.json", "--figures", tmp_path, *QUICK, "-q",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    answer = json.loads((tmp_path / "e.json").read_text())["answers"]["variants"]
    everything = answer["classes"][0]
    assert everything["class"] == "all"
    assert everything["positives"] == answer["counts"]["positive"] > 30
    assert answer["trained_on"] == 0
    assert "transversion" in result.stdout
    assert f"{everything['model']['auroc']['value']:.3f} [" in result.stdout
    assert (tmp_path / "variants.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("likelihood", "--vcf", "x.vcf"), "--vcf is for the question variants, which is not asked"),
        (("--label", "BAD"), "--label is for the question variants"),
        (("variants",), "variants: give --vcf"),
        (("variants", "--vcf", "x.vcf"), "variants: give --fasta"),
        (("variants", "--vcf", "x.vcf", "--fasta", "x.fa"), "variants: say what is positive and what negative"),
        (("variants", "--label", "BAD", "--set", "variants.label=GOOD"), "--label and --set variants.label: give one"),
        (("variants", "--check-ref", "maybe"), "--check-ref maybe: choose one of error, warn, exclude"),
        (("likelihood", "--train", "x.csv"), "--train is for the question probe, which is not asked"),
        (("probe", "--train", "x.csv"), "probe: give --test"),
        (("probe", "--task", "guessing"), "--task guessing: choose one of classification, regression"),
        (("odd",), "question odd: choose one of likelihood, recovery, calibration, "),
    ],
)
def test_words_that_make_no_sense_together_are_refused(words, says):
    assert says in fails("nowhere", *words)


def test_a_question_without_a_run_is_asked_of_the_model_that_ships(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert fails("variants").endswith("variants: give --vcf")
    (tmp_path / "variants").mkdir()
    assert "variants: no run directory" in fails("variants")


def test_a_probe_needs_two_tables_and_not_the_models_data(tmp_path, monkeypatch):
    monkeypatch.setattr("seqdiff.modalities.dna.Dna.open", lambda self: pytest.fail("the data is not needed"))
    rng = np.random.default_rng(0)
    for name, rows in (("train.csv", 60), ("test.csv", 20)):
        texts = ["".join(rng.choice(list("ACGT"), 30, p=[p, 0.5 - p, 0.5 - p, p])) for p in [0.15, 0.35] * (rows // 2)]
        lines = [f"{i},{text},{['rich', 'poor'][i % 2]}" for i, text in enumerate(texts)]
        (tmp_path / name).write_text("id,dna,gc\n" + "\n".join(lines) + "\n")
    result = run(
        "probe", "--train", tmp_path / "train.csv", "--test", tmp_path / "test.csv", "--sequence-column", "dna",
        "--label-column", "gc", "-o", tmp_path / "e.json", "--figures", tmp_path, "--set", "probe.resamples=100",
        "--set", "probe.kmers=[1,2]", "-q",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    answer = json.loads((tmp_path / "e.json").read_text())["answers"]["probe"]
    assert answer["results"]["embeddings"]["accuracy"]["value"] > 0.8
    assert answer["rows"] == {"train": 60, "test": 20}
    assert "embeddings" in result.stdout
    assert (tmp_path / "probe.png").read_bytes().startswith(b"\x89PNG")
    said = fails("probe", "--train", tmp_path / "none.csv", "--test", tmp_path / "test.csv", code=1)
    assert "none.csv" in said


def test_bad_files_are_refused_before_other_questions_are_asked(files, tmp_path):
    _, vcf, _, fasta = files
    ask = ("likelihood", "variants", "--fasta", fasta)
    assert "none.vcf" in fails("nowhere", *ask, "--vcf", tmp_path / "none.vcf", "--label", "BAD", code=1)
    said = fails("nowhere", *ask, "--vcf", vcf, "--label", "GOOD", code=1)
    assert "declares no INFO field 'GOOD'. There are AF, BAD" in said
    assert "no condition" in fails("nowhere", *ask, "--vcf", vcf, "--positive", "AF=0.1", "--negative", "AF>1")
    (tmp_path / "cut.vcf").write_text(vcf.read_text()[:150])
    assert "cut short" in fails("nowhere", *ask, "--vcf", tmp_path / "cut.vcf", "--label", "BAD", code=1)
