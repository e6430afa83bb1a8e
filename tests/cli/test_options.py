import io
import signal
import sys

import pytest
from typer.testing import CliRunner

from seqdiff.cli import app, guarded, options, train
from seqdiff.errors import UsageError


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(options.time, "monotonic", clock)
    return clock


def test_without_a_terminal_long_work_says_a_line_now_and_then(clock, capsys):
    with options.progress("score", "base", quiet=False, total=1000) as advance:
        advance(100)
        clock.now = 25
        advance(150)
        clock.now = 30
        advance(10)
    assert capsys.readouterr().err == "seqdiff: score: 250 bases of 1,000, 75 s left\n"


def test_work_of_unknown_size_says_how_far_it_has_come(clock, capsys):
    with options.progress("infill", "base", quiet=False) as advance:
        clock.now = 25
        advance(150)
    assert capsys.readouterr().err == "seqdiff: infill: 150 bases\n"


def test_a_share_is_a_percentage_and_has_no_plural(clock, capsys):
    with options.progress("likelihood", "%", quiet=False, total=100) as advance:
        clock.now = 30
        advance(75)
    assert capsys.readouterr().err == "seqdiff: likelihood: 75 %, 10 s left\n"


def test_quiet_work_says_nothing(clock, capsys):
    with options.progress("score", "base", quiet=True) as advance:
        clock.now = 100
        advance(1)
    assert capsys.readouterr().err == ""


def test_a_terminal_gets_a_bar(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    monkeypatch.setenv("TERM", "xterm")
    with options.progress("infill", "base", quiet=False, total=10) as advance:
        advance(5)
    assert "infill" in terminal.getvalue()
    assert "5 bases" in terminal.getvalue()


def test_what_has_come_so_far_becomes_what_is_new():
    steps = []
    report = options.difference(steps.append, scale=100)
    for share in (0.25, 0.25, 1.0):
        report(share)
    assert steps == [25, 0, 75]


def test_samplers_by_name():
    chosen = options.sampler("ancestral", ["grid=cosine"], steps=7, temperature=0.5, top_p=0.9)
    assert (chosen.kind, chosen.grid, chosen.steps, chosen.temperature, chosen.top_p) == (
        "ancestral",
        "cosine",
        7,
        0.5,
        0.9,
    )
    with pytest.raises(UsageError, match="write it as NAME=VALUE"):
        options.sampler("exact", ["grid"], steps=None, temperature=1, top_p=1)
    with pytest.raises(UsageError, match="--steps: the sampler exact has no such setting"):
        options.sampler("exact", [], steps=3, temperature=1, top_p=1)


@pytest.mark.parametrize("training", [True, False])
def test_out_of_memory_names_the_batch_only_to_who_trains(training, monkeypatch, capsys):
    def command():
        raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB\nmore")

    monkeypatch.setattr(signal, "signal", lambda number, what: None)
    if training:
        monkeypatch.setattr(train, "command", command)
    with pytest.raises(SystemExit, match="1"):
        guarded(command)()
    message = capsys.readouterr().err
    assert message.startswith("seqdiff: error: CUDA out of memory. Tried to allocate 2.00 GiB: ")
    assert message.endswith("use a machine with more memory\n")
    assert ("micro_batch_size" in message) == training


@pytest.mark.parametrize(
    "words",
    [
        ["infill", "--fasta", "nope.fa"],
        ["infill", "--fasta", "here.fa", "--bed", "nope.bed"],
        ["score", "--fasta", "nope.fa"],
        ["score", "--fasta", "here.fa", "--bed", "nope.bed"],
    ],
)
def test_a_file_that_is_not_there_is_said_before_a_model_is_loaded(tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here.fa").write_text(">a\nACGT\n")
    monkeypatch.setattr("seqdiff.model.load", None)
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 1
    assert f"there is no file {words[-1]}" in result.stderr
