"""gather in this process: what is refused, and evaluations beside one another."""

import csv
import json

import pytest
from report.conftest import assay, likelihood, probe, recovery, variants
from typer.testing import CliRunner

from seqdiff.cli import app


def invoke(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def fails(*words, code):
    result = invoke(*words)
    assert result.exit_code == code, result.output
    assert isinstance(result.exception, SystemExit)
    assert result.stdout == ""
    return result.stderr


def evaluation(path, **answers):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"model": f"runs/{path.stem}", "recipe": "family", "answers": answers}))
    return path


def table(text):
    return list(csv.DictReader(text.splitlines(), delimiter="\t"))


def test_evaluations_are_a_row_each_with_intervals_and_rivals(tmp_path):
    one = evaluation(tmp_path / "blat.json", assay=assay())
    two = evaluation(
        tmp_path / "all.json", likelihood=likelihood(), recovery=recovery(), variants=variants(), probe=probe()
    )
    result = invoke("gather", one, two, "--figure", tmp_path / "x.png")
    assert result.exit_code == 0
    first, second = table(result.stdout)
    assert (first["evaluation"], first["model"], first["recipe"]) == (str(one), "runs/blat", "family")
    assert (first["mutants"], first["spearman"], first["spearman_low"], first["spearman_high"]) == (
        "4807", "0.71", "0.67", "0.75",
    )  # fmt: skip
    assert first["spearman_of_site_independent"] == "0.597"
    assert first["bits_per_base"] == second["spearman"] == "."
    assert float(second["bits_per_base"]) == 1.8691
    assert float(second["bits_per_base_high"]) == pytest.approx(1.8691 + 1.96 * 0.0051, abs=1e-4)
    assert float(second["bits_per_base_of_markov"]) == 1.8742
    assert (second["recovery_of_4"], second["auroc"], second["probe_mcc"]) == ("0.378", "0.64", "0.4")
    picture = (tmp_path / "x.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    invoke("gather", one, "--figure", tmp_path / "x.png", "-o", tmp_path / "x.tsv")
    assert (tmp_path / "x.png").read_bytes() != picture
    assert table((tmp_path / "x.tsv").read_text()) == [
        {key: value for key, value in first.items() if key in table((tmp_path / "x.tsv").read_text())[0]}
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"answers": {"likelihood": {}}}', "is JSON, but no evaluation as seqdiff evaluate -o writes it"),
        ('{"a": 1}', "is JSON, but no evaluation"),
        ('{"answers": {"assay": ', "is no JSON"),
        ('{"answers": {"couplings": {}}}', "asks none of likelihood, recovery"),
    ],
)
def test_what_is_no_evaluation(tmp_path, text, message):
    (tmp_path / "x.json").write_text(text)
    assert message in fails("gather", tmp_path / "x.json", "-o", tmp_path / "x.tsv", code=1)
    assert not (tmp_path / "x.tsv").exists()


def test_wrong_use_of_gather(tmp_path):
    for name in ("1-of-2.fa", "2-of-2.fa"):
        (tmp_path / name).write_bytes(b">%b\nA\n" % name.encode())
    one, two = tmp_path / "1-of-2.fa", tmp_path / "2-of-2.fa"
    for words, message in (
        ([one, two, one], "1-of-2.fa is given twice"),
        ([two, one], "1-of-2.fa comes after 2-of-2.fa"),
        ([one, two, "-o", one], "give it a file of its own"),
        ([one, two, "--figure", tmp_path / "x.png"], "--figure: it is of evaluations"),
        ([one, two, "--figure", tmp_path / "x.svg"], "a file that ends in .png"),
        ([one, tmp_path], "give files, or one folder alone"),
        (["/dev/null"], "give files, or one folder alone"),
    ):
        assert message in fails("gather", *words, code=2)
    for words, message in (
        ([one], "what is given lacks 2-of-2.fa: did a job fail?"),
        ([tmp_path / "3.fa"], "there is no file"),
    ):
        assert message in fails("gather", *words, code=1)
    (tmp_path / "x.parquet").write_bytes(b"PAR1")
    assert "Parquet needs no joining" in fails("gather", tmp_path / "x.parquet", code=2)
    assert invoke("gather", one, two).stdout == ">1-of-2.fa\nA\n>2-of-2.fa\nA\n"
    assert invoke("gather", "-q", tmp_path, "-o", tmp_path / "out.fa").stderr == ""
