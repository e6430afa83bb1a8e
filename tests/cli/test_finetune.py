"""seqdiff finetune and seqdiff predict, as a user runs them."""

import json

import numpy as np
import pytest
from tuning import QUICK, base_run, motif_rows, write_rows
from typer.testing import CliRunner

from seqdiff.cli import app

SETTINGS = [word for setting in QUICK for word in ("--set", setting)]


def run(*words, stdin=None):
    return CliRunner().invoke(app, list(map(str, words)), input=stdin)


def fails(*words, code=2) -> str:
    result = run(*words)
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    (message,) = [line for line in result.stderr.splitlines() if line.startswith("seqdiff: error: ")]
    return message


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    base_run(folder / "base")
    train = motif_rows(240, 1)
    write_rows(folder / "train.csv", train)
    write_rows(folder / "test.csv", [*motif_rows(58, 2), train[0], train[1]])
    return folder


@pytest.fixture(scope="module")
def tuned(files):
    result = run(
        "finetune", "--model", files / "base", "--train", files / "train.csv", "--test", files / "test.csv",
        "--out", files / "tuned", *SETTINGS,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    return files / "tuned", result


def test_a_run_with_everything_in_it(tuned):
    out, result = tuned
    assert {path.name for path in out.iterdir()} == {
        "recipe.yaml", "finetune.yaml", "model.safetensors", "metrics.jsonl", "test.json",
    }  # fmt: skip
    answer = json.loads((out / "test.json").read_text())
    assert (answer["rows"], answer["classes"]) == (60, ["with", "without"])
    accuracy = answer["results"]["accuracy"]
    assert 0.75 < accuracy["low"] < accuracy["value"] <= accuracy["high"]
    assert f"{accuracy['value']:.3f} [" in result.stdout
    assert "2 of 60 sequences are in" in result.stderr
    assert "tuning the convolution" in result.stderr


def table(text: str) -> list[dict[str, str]]:
    columns, *rows = [line.split("\t") for line in text.splitlines() if not line.startswith("#")]
    return [dict(zip(columns, row, strict=True)) for row in rows]


def test_records_are_predicted(tuned, tmp_path):
    out, _ = tuned
    texts = [*motif_rows(20, 7), "NNNN"]
    (tmp_path / "x.fa").write_text("".join(f">r{i}\n{text}\n" for i, text in enumerate(texts)))
    result = run("predict", "--model", out, "--fasta", tmp_path / "x.fa")
    assert result.exit_code == 0, result.output
    rows = table(result.stdout)
    assert list(rows[0]) == ["name", "length", "label", "p_with", "p_without"]
    assert [row["name"] for row in rows] == [f"r{i}" for i in range(21)]
    assert list(rows[-1].values()) == ["r20", "4", ".", ".", "."]
    right = [row["label"] == ("with" if i % 2 else "without") for i, row in enumerate(rows[:-1])]
    assert np.mean(right) > 0.8
    assert all(float(row["p_with"]) + float(row["p_without"]) == pytest.approx(1, abs=1e-5) for row in rows[:-1])
    again = run("predict", "--model", out, "--fasta", "-", stdin=(tmp_path / "x.fa").read_text())
    assert again.stdout == result.stdout
    assert result.stdout.startswith("# seqdiff ")


def test_a_table_is_predicted_and_judged_where_it_has_labels(tuned, files, tmp_path):
    out, _ = tuned
    result = run("predict", "--model", out, "--csv", files / "test.csv", "-o", tmp_path / "p.tsv")
    assert result.exit_code == 0, result.output
    rows = table((tmp_path / "p.tsv").read_text())
    assert [row["name"] for row in rows] == [str(line) for line in range(2, 62)]
    accuracy = json.loads((out / "test.json").read_text())["results"]["accuracy"]["value"]
    assert f"{accuracy:.3f} [" in result.stderr
    (tmp_path / "x.tsv").write_text("id\tdna\nq\tACGT\n")
    named = run("predict", "--model", out, "--csv", tmp_path / "x.tsv", "--sequence-column", "dna", "-q")
    assert [row["name"] for row in table(named.stdout)] == ["q"]
    assert named.stderr == ""


def test_rows_without_a_label_are_predicted_and_not_judged(tuned, tmp_path):
    out, _ = tuned
    (tmp_path / "x.csv").write_text("sequence,label\nACGT,\nACGG,with\nACTT,without\n")
    some = run("predict", "--model", out, "--csv", tmp_path / "x.csv")
    assert len(table(some.stdout)) == 3
    assert "on the 2 rows of" in " ".join(some.stderr.split())
    (tmp_path / "x.csv").write_text("sequence,label\nACGT,neither\n")
    other = run("predict", "--model", out, "--csv", tmp_path / "x.csv")
    assert [row["name"] for row in table(other.stdout)] == ["2"]
    assert "not judged by the column 'label'" in other.stderr


def test_a_label_or_name_with_a_tab_is_one_cell(files, tmp_path):
    label = lambda i, _: '"a\tb"' if i % 2 else "c"  # noqa: E731
    write_rows(tmp_path / "t.csv", motif_rows(60, 4), label)
    made = run("finetune", "--model", files / "base", "--train", tmp_path / "t.csv", "--valid", tmp_path / "t.csv",
               "--test", tmp_path / "t.csv", "--out", tmp_path / "run", "--set", "training.epochs=1")  # fmt: skip
    assert made.exit_code == 0, made.output
    assert "what is measured on them was chosen on them" in " ".join(made.stderr.split())
    (tmp_path / "x.csv").write_text('name,sequence\n"q\nr",ACGT\n')
    result = run("predict", "--model", tmp_path / "run", "--csv", tmp_path / "x.csv", "-q")
    (row,) = table(result.stdout)
    assert (list(row), row["name"]) == (["name", "length", "label", "p_a b", "p_c"], "q r")


def test_numbers_are_predicted_as_values(files, tmp_path):
    texts = motif_rows(120, 4)
    write_rows(tmp_path / "n.csv", texts, lambda _, text: text.count("G") / len(text))
    made = run("finetune", "--model", files / "base", "--train", tmp_path / "n.csv", "--valid", tmp_path / "n.csv",
               "--test", tmp_path / "n.csv", "--out", tmp_path / "run", "-q", *SETTINGS)  # fmt: skip
    assert made.exit_code == 0, made.output
    assert "spearman" in made.stdout
    result = run("predict", "--model", tmp_path / "run", "--csv", tmp_path / "n.csv", "-q")
    rows = table(result.stdout)
    assert list(rows[0]) == ["name", "length", "value"]
    found = [float(row["value"]) for row in rows]
    assert np.corrcoef(found, [text.count("G") / len(text) for text in texts])[0, 1] > 0.5


def test_nothing_is_left_when_it_fails_and_nothing_is_overwritten(tuned, files, tmp_path):
    ask = ("finetune", "--model", files / "base", "--train", files / "train.csv", "-q")
    assert "exists already and is not overwritten" in fails(*ask, "--out", tuned[0], code=1)
    out = tmp_path / "run"
    explode = ("--set", "training.learning_rate=1.0e+30", "--set", "training.clip=null", "--set", "training.warmup=0")
    assert "the loss is not a number" in fails(*ask, "--out", out, *explode, code=1)
    assert "did you mean 'epochs'?" in fails(*ask, "--out", out, "--set", "training.epoch=2")
    assert "no recipe of this name" in fails(*ask, "--out", out, "--recipe", "prob")
    assert "no recipe of seqdiff finetune" in fails(*ask, "--out", out, "--recipe", "configs/demo.yaml")
    assert "--task guess: choose one of" in fails(*ask, "--out", out, "--task", "guess")
    assert "has no column 'kind'; it has" in fails(*ask, "--out", out, "--label-column", "kind", code=1)
    assert "no run directory" in fails("finetune", "--model", tmp_path, "--train", files / "train.csv", "--out", out)
    assert "predict labels and is no model" in fails("finetune", "--model", tuned[0], *ask[3:], "--out", out)
    assert list(tmp_path.iterdir()) == []


def test_predict_refuses_what_makes_no_sense(tuned, files, tmp_path):
    out, _ = tuned
    ask = ("predict", "--model", out)
    assert "give --fasta FILE or --csv FILE" in fails(*ask)
    assert "give --fasta FILE or --csv FILE" in fails(*ask, "--fasta", "a", "--csv", "b")
    assert "--label-column: it is for --csv" in fails(*ask, "--fasta", "a", "--label-column", "b")
    assert "predicts no labels" in fails("predict", "--model", files / "base", "--fasta", "a")
    assert "predicts no labels" in fails("predict", "--model", "protein-demo", "--fasta", "a")
    (tmp_path / "x.fa").write_text(">p\nMKVE\n")
    assert "'E' at position 4" in fails(*ask, "--fasta", tmp_path / "x.fa", code=1)
    (tmp_path / "x.csv").write_text("sequence,label\nACGT,neither\n")
    chosen = ("--csv", tmp_path / "x.csv", "--label-column", "label")
    assert "line 2: the label 'neither' is none of those" in fails(*ask, *chosen, code=1)
    assert "give it a file of its own" in fails(*ask, "--csv", tmp_path / "x.csv", "-o", tmp_path / "x.csv")
    assert "was fine-tuned to predict labels" in fails("score", "--model", out, "--fasta", tmp_path / "x.fa")
