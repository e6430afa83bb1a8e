"""infill, score and sample with models of text, in this process."""

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from seqdiff import model as models
from seqdiff import recipe
from seqdiff.checkpoint import Provenance, RunFolder
from seqdiff.cli import app
from seqdiff.model import Model

SMALL = ["denoiser={kind: convolution, width: 8, depth: 1, kernel: 3}", "data.context=16"]
SETTINGS = {
    "text8": ["data.coding=text8"],
    "bytes": ["data.coding=bytes"],
    "lines": ["data.coding=characters", "data.mode=documents", "data.characters=abcdefghij é"],
}


def untrained(name):
    loaded = recipe.load("text8", [*SMALL, *SETTINGS[name]])
    torch.manual_seed(0)
    network = loaded.network()
    torch.nn.init.normal_(network.head.weight)
    facts = {"lengths": [[3, 1], [5, 1]]} if name == "lines" else {}
    return Model(network, loaded, Provenance(name, 16, "", "", 0, None, facts=facts), torch.device("cpu"))


@pytest.fixture(scope="module", autouse=True)
def loaded_once():
    runs = {name: untrained(name) for name in SETTINGS}
    shipped = models.load(device="cpu")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "load", lambda run, device: runs.get(str(run), shipped))
        yield


@pytest.fixture
def invoke(tmp_path, monkeypatch):
    """Runs a command in a folder that holds a text with blanks."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_bytes(TEXT)
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def run(invoke):
    def run(*words):
        result = invoke(*words)
        assert result.exit_code == 0, result.stderr
        return result

    return run


TEXT = "Le café __ est _là_,\r\n{{?3}} a bad {{?2}}!\r\n".encode()


@pytest.mark.parametrize("model", list(SETTINGS))
def test_blanks_are_filled_and_nothing_else(run, model):
    result = run("infill", "--text", "a.txt", "--model", model)
    filled = result.stdout_bytes
    if model == "bytes":
        assert filled.startswith("Le café ".encode())
        assert b" est _l\xc3\xa0_,\r\n" in filled
        assert filled.endswith(b"!\r\n")
        assert len(filled) == len(TEXT) - len("{{?3}}{{?2}}") + 5
    else:
        text = filled.decode()
        assert (text[:8], text[10:22], text[25:32], text[34:]) == ("Le café ", " est _là_,\r\n", " a bad ", "!\r\n")
        symbols = models.load(model, "cpu").alphabet.symbols
        assert set(text[8:10] + text[22:25] + text[32:34]) <= set(symbols)
    assert "filled 7" in result.stderr
    assert filled == run("infill", "--text", "a.txt", "--model", model).stdout_bytes
    assert filled != run("infill", "--text", "a.txt", "--model", model, "--seed", 1).stdout_bytes


def test_what_the_model_does_not_know_is_counted(run):
    result = run("infill", "--text", "a.txt", "--model", "text8", "--sampler", "best")
    assert "characters that the model does not know (it knows 27): 6;" in result.stderr  # é, à, _ twice, comma and !
    assert "does not know" not in run("infill", "--text", "a.txt", "--model", "bytes").stderr


def test_several_fillings_stand_under_headlines(run, tmp_path):
    run("infill", "--text", "a.txt", "--model", "text8", "--samples", 2, "-o", "b.txt", "--report", "r.tsv")
    text = (tmp_path / "b.txt").read_bytes().decode()
    first, second = text.split("==> sample2 <==\n")
    assert first.startswith("==> sample1 <==\nLe café ")
    assert second.endswith("!\r\n")
    assert first.split("\n", 1)[1] != second
    rows = [line.split("\t") for line in (tmp_path / "r.tsv").read_text().splitlines()]
    assert [row[:3] for row in rows[1:]] == [["a.txt", "1", "7"], ["a.txt", "2", "7"]]


def test_a_text_without_blanks_comes_out_as_it_is(run, tmp_path):
    (tmp_path / "a.txt").write_bytes(b"no blank_here\r\n")
    result = run("infill", "--text", "a.txt", "--model", "text8")
    assert result.stdout_bytes == b"no blank_here\r\n"
    assert "has no blank" in result.stderr


def test_the_file_itself_can_be_the_output(run, tmp_path):
    expected = run("infill", "--text", "a.txt", "--model", "text8").stdout_bytes
    run("infill", "--text", "a.txt", "--model", "text8", "-o", "a.txt")
    assert (tmp_path / "a.txt").read_bytes() == expected


def test_a_stream_is_scored_whole_and_documents_by_line(run):
    def rows(model):
        return [line.split("\t") for line in run("score", "--text", "a.txt", "--model", model).stdout.splitlines()]

    stream = rows("text8")
    assert stream[1][-2:] == ["bits_per_character", "perplexity"]
    assert [row[0] for row in stream[2:]] == ["a.txt"]
    assert int(stream[2][1]) == len(TEXT.decode()) - 2  # new lines are one character
    assert [row[0] for row in rows("lines")[2:]] == ["line1", "line2"]
    assert rows("bytes")[1][-2] == "bits_per_byte"
    assert int(rows("bytes")[2][1]) == len(TEXT)


def test_samples_of_documents_are_lines_as_long_as_documents_are(run):
    lines = run("sample", "--model", "lines", "-n", 6).stdout.splitlines()
    assert {len(line) for line in lines} == {3, 5}
    assert {len(line) for line in run("sample", "--model", "lines", "-n", 3, "--length", 4).stdout.splitlines()} == {4}


def test_samples_of_running_text_are_as_long_as_the_context(run, tmp_path):
    assert len(run("sample", "--model", "text8", "-n", 2).stdout.splitlines()[1]) == 16
    run("sample", "--model", "bytes", "-n", 2, "--length", 40, "-o", "b", "--report", "r.tsv")
    data = (tmp_path / "b").read_bytes()
    assert data.startswith(b"==> sample1 <==\n")
    assert len(data) in range(2 * 56, 2 * 57 + 1)
    assert len((tmp_path / "r.tsv").read_text().splitlines()) == 3


@pytest.mark.parametrize(("per", "rows"), [("mean", 2), ("residue", 40), ("window", 8)])
def test_documents_are_embedded_by_line(run, tmp_path, per, rows):
    lines = models.load("lines", "cpu")
    RunFolder("lines").write_recipe(lines.recipe)
    RunFolder("lines").write_weights(lines.denoise.network.state_dict(), lines.provenance)
    words = ["--window", 6] if per == "window" else ["--per", per]
    run("embed", "--text", "a.txt", "--model", "lines", *words, "-o", "a.npz")
    with np.load(tmp_path / "a.npz") as found:
        assert found["names"].tolist() == ["line1", "line2"]
        assert found["lengths"].tolist() == [20, 20]
        assert found["embeddings"].shape == (rows, 8)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("infill --text a.txt", "--text: the model that ships reads DNA"),
        ("infill --text a.txt --model other", "was trained on DNA; give it --fasta FILE"),
        ("infill --fasta a.txt --model text8", "the model was trained on text (text8); give it --text FILE"),
        ("score --fasta a.txt --model text8", "the model was trained on text (text8); give it --text FILE"),
        ("infill --model text8", "give --fasta FILE; or --text or --image"),
        ("infill --text a.txt --fasta a.txt --model text8", "give --fasta FILE; or --text or --image"),
        ("infill --text a.txt --model text8 --region a:1-2", "--region: it is for sequences, not for --text"),
        ("infill --text a.txt --model text8 --format fasta", "--format: it is for sequences, not for --text"),
        ("infill --text a.txt --model text8 --soft-evidence", "--soft-evidence: it is for sequences"),
        ("infill --text a.txt --model text8 --insert 3:1-2", "--insert: it is for sequences"),
        ("infill --text a.txt --model text8 --blanks dots", "--blanks dots: choose one of both, braces, underscores"),
        ("infill --text a.txt --model text8 --report a.txt", "--report a.txt: give it a file of its own"),
        ("infill --text a.txt --model text8 --samples 2 --sampler best", "draws nothing"),
        ("infill --fasta a.txt --blanks both", "--blanks: it says what is to be filled in --text"),
        ("score --text a.txt --model text8 --region a:1-2", "--region: it is for sequences, not for --text"),
        ("score --text a.txt --model text8 -o a.txt", "-o a.txt: give it a file of its own"),
        ("embed --text a.txt --model text8 -o a.npz --strand forward", "--strand: it is for sequences"),
        ("sample --model text8 --format fasta", "was trained on text, which is written as it is"),
        ("sample --model text8 --gc 40-60%", "are for DNA"),
    ],
)
def test_what_makes_no_sense_is_wrong_usage(invoke, words, message):
    result = invoke(*words.split())
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"a\nb {{?x}}", "a.txt, line 2: '{{?x}}': a blank is {{?12}}"),
        (b"caf\xe9 __", "a.txt, line 1: the byte '\\xe9' is not UTF-8"),
        (b"a\0b", "no text file"),
        (None, "there is no file none.txt"),
    ],
)
def test_texts_that_are_damaged_leave_no_output(invoke, tmp_path, text, message):
    if text is not None:
        (tmp_path / "a.txt").write_bytes(text)
    result = invoke("infill", "--text", "none.txt" if text is None else "a.txt", "--model", "text8", "-o", "b.txt")
    assert result.exit_code == 1
    assert message in result.stderr
    assert not (tmp_path / "b.txt").exists()
