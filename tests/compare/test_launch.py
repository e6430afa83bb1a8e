"""Training in a process of its own."""

import sys

import pytest

from seqdiff.checkpoint import RunFolder
from seqdiff.compare.launch import Place, apart
from seqdiff.errors import TrainingError


@pytest.fixture
def recipe(load):
    comparison = load(budget={"tokens": 1})
    whole = comparison.recipe(comparison.systems[0], 1)
    training = whole.training.model_copy(update={"steps": 2, "warmup_steps": 1})
    return whole.model_copy(update={"training": training})


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """A script in Python's place."""

    def stand_in(text):
        path = tmp_path / "python"
        path.write_text("#!/bin/sh\n" + text)
        path.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(path))

    return stand_in


def test_it_trains(recipe, tmp_path, capfd):
    apart(recipe, tmp_path / "masked-1", Place(device="cpu", threads=1))
    assert RunFolder(tmp_path / "masked-1").weights_file.is_file()
    said = (tmp_path / "masked-1.log").read_text()
    assert "step 2/2  validation" in said
    assert "masked: step 2/2  validation" in capfd.readouterr().err
    assert RunFolder(tmp_path / "masked-1").read_recipe().differences(recipe) == []


def test_what_it_is_called_with(recipe, tmp_path, stand_in):
    stand_in(f'echo "$@" > {tmp_path}/words\n')
    apart(recipe, tmp_path / "run", Place(device="cuda", threads=3, processes=8, quiet=True))
    words = (tmp_path / "words").read_text().split()
    rest = f"--out {tmp_path}/run --resume --device cuda --processes 8 --threads 3 --quiet"
    assert words == ["-m", "seqdiff", "train", f"{tmp_path}/run.yaml", *rest.split()]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("echo 'seqdiff: a'; echo 'seqdiff: error: it diverged' >&2; exit 1", r"it diverged \(exit code 1; "),
        ("kill -9 $$", r"it said nothing \(signal 9; all of it in .*run.log\)"),
    ],
)
def test_a_crash_is_told(recipe, tmp_path, stand_in, text, message):
    stand_in(text)
    with pytest.raises(TrainingError, match=message):
        apart(recipe, tmp_path / "run", Place(quiet=True))


def test_told_to_stop_it_lets_the_other_save(recipe, tmp_path, stand_in, monkeypatch):
    """What stands for Ctrl-C comes when the first line does; the other process gets its one SIGTERM and ends itself."""
    stand_in(
        f"trap 'echo saved > {tmp_path}/saved; exit 143' TERM\necho going >&2\n"
        "while true; do sleep 0.05; done\n"
    )  # fmt: skip

    def interrupted(*words, **settings):
        raise KeyboardInterrupt

    monkeypatch.setattr("builtins.print", interrupted)
    with pytest.raises(KeyboardInterrupt):
        apart(recipe, tmp_path / "run", Place())
    assert (tmp_path / "saved").read_text() == "saved\n"
