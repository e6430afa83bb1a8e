"""seqdiff embed: what is in the files, that they are whole or not there, and what is refused."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from seqdiff import model as models
from seqdiff.alphabet import DNA
from seqdiff.cli import app
from seqdiff.data import vectors

RECORDS = {"a": "ACGTTGCATGCATGACTAGCNTGCATCG" * 3, "none": "NNNN", "empty": "", "b": "ACG"}


@pytest.fixture(scope="module")
def model():
    return models.load(device="cpu")


@pytest.fixture(autouse=True)
def loaded_once(model, monkeypatch):
    monkeypatch.setattr(models, "load", lambda run, device: model)


@pytest.fixture
def fasta(tmp_path):
    path = tmp_path / "in.fa"
    path.write_text("".join(f">{name} some words\n{text}\n" for name, text in RECORDS.items()))
    return path


def run(*arguments, stdin=None):
    return CliRunner().invoke(app, ["embed", "-q", *map(str, arguments)], input=stdin)


def embedded(*arguments, stdin=None):
    """What an .npz holds, as plain arrays."""
    result = run(*arguments, stdin=stdin)
    assert result.exit_code == 0, result.output
    with np.load(arguments[arguments.index("-o") + 1], allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def refused(*arguments, code=2):
    result = run(*arguments)
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    return result.stderr


def test_a_vector_for_each_record(fasta, model, tmp_path):
    found = embedded("--fasta", fasta, "-o", tmp_path / "e.npz")
    assert found["names"].tolist() == list(RECORDS)
    assert found["lengths"].tolist() == [84, 4, 0, 3]
    assert found["known"].tolist() == [81, 0, 0, 3]
    assert found["offsets"].tolist() == [0, 1, 2, 3, 4]
    assert (found["embeddings"].dtype, found["embeddings"].shape) == (np.float32, (4, 112))
    np.testing.assert_allclose(found["embeddings"], model.embed(RECORDS.values()), atol=1e-6)
    assert np.isnan(found["embeddings"]).any(1).tolist() == [False, True, True, False]
    about = json.loads(str(found["metadata"]))
    assert (about["model"], about["alphabet"], about["per"], about["context"]) == ("demo", "DNA", "mean", 1024)
    assert len(about["weights"]) == 32
    assert "2 of 4 vectors are NaN" in run("--fasta", fasta, "-o", tmp_path / "e.npz").stderr


def test_both_strands_have_one_vector_and_residues_in_reverse(model, tmp_path):
    text = RECORDS["a"].encode()
    other = DNA.decode(DNA.reverse_complement(DNA.encode(text)))
    (tmp_path / "x.fa").write_bytes(b">x\n" + text + b"\n>y\n" + other + b"\n")
    one, two = embedded("--fasta", tmp_path / "x.fa", "-o", tmp_path / "e.npz")["embeddings"]
    np.testing.assert_allclose(one, two, atol=1e-5)
    forward = embedded("--fasta", tmp_path / "x.fa", "--strand", "forward", "-o", tmp_path / "e.npz")["embeddings"]
    assert np.abs(forward[0] - forward[1]).max() > 0.01
    np.testing.assert_allclose(forward.mean(0), one, atol=1e-5)
    found = embedded("--fasta", tmp_path / "x.fa", "--per", "residue", "-o", tmp_path / "e.npz")
    assert found["offsets"].tolist() == [0, 84, 168]
    assert found["position"].tolist() == [*range(1, 85)] * 2
    np.testing.assert_allclose(found["embeddings"][84:][::-1], found["embeddings"][:84], atol=1e-5)


def test_windows_say_where_they_are(fasta, model, tmp_path):
    found = embedded("--fasta", fasta, "--window", "30", "--stride", "20", "-o", tmp_path / "e.npz")
    starts = [1, 21, 41, 61, 1, 1, 1]
    assert found["start"].tolist() == starts
    assert found["end"].tolist() == [30, 50, 70, 84, 4, 0, 3]
    assert found["offsets"].tolist() == [0, 4, 5, 6, 7]
    whole = embedded("--fasta", fasta, "--window", "100", "-o", tmp_path / "w.npz")["embeddings"]
    np.testing.assert_allclose(whole, model.embed(RECORDS.values()), atol=1e-6)


def test_stdin_and_the_same_file_twice(fasta, tmp_path):
    one = embedded("--fasta", fasta, "-o", tmp_path / "1.npz")
    two = embedded("--fasta", "-", "-o", tmp_path / "2.npz", stdin=fasta.read_text())
    for name in one:
        np.testing.assert_array_equal(one[name], two[name])
    assert (tmp_path / "1.npz").read_bytes() == (tmp_path / "2.npz").read_bytes()


@pytest.mark.parametrize("per", [(), ("--per", "residue"), ("--window", "10")])
def test_parquet_holds_the_same(per, fasta, tmp_path, monkeypatch):
    pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    monkeypatch.setattr(vectors, "GROUP_BYTES", 4 * 112 * 7)
    found = embedded("--fasta", fasta, *per, "-o", tmp_path / "e.npz")
    assert run("--fasta", fasta, *per, "-o", tmp_path / "e.parquet").exit_code == 0
    file = pq.ParquetFile(tmp_path / "e.parquet")
    table = file.read()
    rows = len(found["embeddings"])
    assert table.num_rows == rows
    assert file.num_row_groups == -(-rows // 7) or per == ("--per", "residue")
    np.testing.assert_array_equal(np.array(table["embedding"].to_pylist(), np.float32), found["embeddings"])
    repeats = np.diff(found["offsets"])
    assert table["name"].to_pylist() == np.repeat(found["names"], repeats).tolist()
    for name in {"position", "start", "end", "known"} & found.keys():
        assert table[name].to_pylist() == found[name].tolist()
    assert json.loads(table.schema.metadata[b"seqdiff"]) == json.loads(str(found["metadata"]))


def test_proteins_by_the_model_that_ships_by_name(tmp_path, monkeypatch):
    monkeypatch.undo()
    (tmp_path / "p.fa").write_text(">a\nMKVLAAGIVGLPNVGKSTLF*\n>b\nMKXB\n")
    found = embedded("--model", "protein-demo", "--fasta", tmp_path / "p.fa", "-o", tmp_path / "e.npz")
    assert found["lengths"].tolist() == [20, 4]
    assert found["known"].tolist() == [20, 2]
    about = json.loads(str(found["metadata"]))
    assert (about["model"], about["alphabet"]) == ("protein-demo", "protein")
    assert "strand" not in about
    assert np.isfinite(found["embeddings"]).all()
    ask = ("--model", "protein-demo", "--fasta", tmp_path / "p.fa", "--strand", "forward", "-o", tmp_path / "f.npz")
    assert "protein has no other one" in refused(*ask)


def test_names_of_any_letters(tmp_path):
    (tmp_path / "x.fa").write_bytes(">gène|ß\nACGT\n>r\nAC\n".encode())
    found = embedded("--fasta", tmp_path / "x.fa", "-o", tmp_path / "e.npz")
    assert found["names"].tolist() == ["gène|ß", "r"]


def test_records_of_one_name_may_be_kept(tmp_path):
    (tmp_path / "x.fa").write_text(">r\nACGT\n>r\nACGG\n")
    assert "taken" in refused("--fasta", tmp_path / "x.fa", "-o", tmp_path / "e.npz", code=1)
    found = embedded("--fasta", tmp_path / "x.fa", "--duplicates", "keep", "-o", tmp_path / "e.npz")
    assert found["names"].tolist() == ["r", "r"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "embeddings need a file of their own: -o FILE.npz"),
        (("-o", "-"), "embeddings need a file of their own"),
        (("-o", "e.txt"), "ends in .npz or .parquet"),
        (("-o", "e.npz", "--per", "window"), "--per window needs --window LENGTH"),
        (("-o", "e.npz", "--per", "mean", "--window", "5"), "--window: not with --per mean"),
        (("-o", "e.npz", "--stride", "5"), "--stride 5: it is for --window"),
        (("-o", "e.npz", "--window", "4", "--stride", "5"), "--stride 5: it is for --window, and at most as long"),
        (("-o", "e.npz", "--per", "letter"), "--per letter: choose one of mean, residue, window"),
        (("-o", "e.npz", "--strand", "minus"), "--strand minus: choose one of both, forward"),
    ],
)
def test_words_that_make_no_sense_are_refused(words, says, fasta, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert says in refused("--fasta", fasta, *words)
    assert [path.name for path in tmp_path.iterdir()] == ["in.fa"]


def test_bad_records_leave_nothing_behind(tmp_path):
    (tmp_path / "x.fa").write_text(">r\nACGT\n>p\nMKVE\n")
    assert "record 'p' has 'E' at position 4" in refused("--fasta", tmp_path / "x.fa", "-o", tmp_path / "e.npz", code=1)
    assert [path.name for path in tmp_path.iterdir()] == ["x.fa"]


def test_without_pyarrow_parquet_says_what_to_install(fasta, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    assert "pip install 'seqdiff[parquet]'" in refused("--fasta", fasta, "-o", tmp_path / "e.parquet")
