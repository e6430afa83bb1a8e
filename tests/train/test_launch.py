"""Several processes on one machine: what becomes of all when something happens to one."""

import os
import signal
import subprocess
import sys
import time

import pytest
from stories import tiny_recipe, write_genome
from typer.testing import CliRunner

from seqdiff.checkpoint import RunFolder
from seqdiff.cli import app
from seqdiff.errors import TrainingError
from seqdiff.train import launch
from seqdiff.train.launch import launch as start


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """A shell script in Python's place, in which $RANK says who it is."""

    def stand_in(text):
        path = tmp_path / "python"
        path.write_text("#!/bin/sh\n" + text)
        path.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(path))

    return stand_in


def test_each_process_is_told_who_it_is_and_what_to_do(tmp_path, stand_in):
    names = "$RANK $LOCAL_RANK $WORLD_SIZE $MASTER_ADDR $SEQDIFF_LAUNCHER"
    stand_in(f'echo "$@" {names} > {tmp_path}/$RANK\n')
    assert start(["train", "demo"], 3, killed=str) == 0
    for rank in range(3):
        said = (tmp_path / str(rank)).read_text().split()
        assert said == f"-m seqdiff train demo {rank} {rank} 3 127.0.0.1 {os.getpid()}".split()


def test_the_code_of_the_first_that_fails_is_that_of_all(stand_in):
    stand_in("[ $RANK = 1 ] && exit 2\nsleep 1\nexit 1\n")
    assert start([], 2, killed=str) == 2


def test_a_process_that_is_killed_is_named(stand_in):
    stand_in("[ $RANK = 1 ] && kill -9 $$\nsleep 0.5\nexit 1\n")
    with pytest.raises(TrainingError, match=r"process 2 of 3 was ended by SIGKILL \(out of memory\?\).*; go on with X"):
        start([], 3, killed=lambda: "go on with X")


def test_killed_before_the_first_save_it_is_not_told_to_go_on_from_one(tmp_path, stand_in):
    stand_in("kill -9 $$\n")
    result = CliRunner().invoke(app, ["train", "demo", "--out", str(tmp_path / "run"), "--processes", "2"])
    assert result.exit_code == 1
    assert "the others were ended with it; nothing had been saved yet: start it again\n" in result.stderr


def test_stopped_while_its_processes_begin_it_says_so_once(tmp_path):
    command = [sys.executable, "-m", "seqdiff", "train", "demo", "--out", str(tmp_path / "run"), "--processes", "2"]
    environment = {name: value for name, value in os.environ.items() if name != "WORLD_SIZE"}
    child = subprocess.Popen([*command, "--device", "cpu"], stderr=subprocess.PIPE, text=True, env=environment)
    while len(of_this(tmp_path / "run")) < 3:
        assert child.poll() is None, child.communicate()[1]
        time.sleep(0.01)
    child.send_signal(signal.SIGINT)
    said = child.communicate(timeout=120)[1]
    assert said == "seqdiff: error: interrupted; nothing was left half-written\n"
    assert child.returncode == 130
    assert not of_this(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_those_who_stay_are_ended(stand_in, monkeypatch):
    monkeypatch.setattr(launch, "GRACE", 0.6)
    stand_in("[ $RANK = 1 ] && exit 1\ntrap '' TERM\nexec sleep 60\n")
    began = time.monotonic()
    with pytest.raises(TrainingError, match="process 1 of 2 did not answer any more"):
        start([], 2, killed=str)
    assert time.monotonic() - began < 30


def test_told_to_stop_all_are_told_once(tmp_path, stand_in, monkeypatch):
    stand_in(
        f"trap 'echo told >> {tmp_path}/told.$RANK; sleep 0.3; exit 130' INT\ntouch {tmp_path}/up.$RANK\n"
        "while true; do sleep 0.05; done\n"
    )
    pause = time.sleep

    def interrupted(seconds):
        pause(seconds)
        if len(list(tmp_path.glob("up.*"))) == 2 and not list(tmp_path.glob("told.*")):
            pause(0.2)
            monkeypatch.setattr(time, "sleep", pause)
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", interrupted)
    assert start([], 2, killed=str) == 130
    assert [path.read_text() for path in sorted(tmp_path.glob("told.*"))] == ["told\n", "told\n"]


def of_this(run):
    """The processes that train into a folder, by rank; the launcher itself as None."""
    found = {}
    for process in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{process}/cmdline") as line, open(f"/proc/{process}/environ") as environment:
                words = line.read().split("\0")
                values = dict(pair.split("=", 1) for pair in environment.read().split("\0") if "=" in pair)
        except OSError:
            continue
        if str(run) in words and "train" in words:
            found[int(values["RANK"]) if "SEQDIFF_LAUNCHER" in values else None] = int(process)
    return found


def test_stopped_it_saves_and_resumed_with_one_killed_it_ends_with_one_message(tmp_path):
    file, run = tmp_path / "tiny.yaml", tmp_path / "run"
    made = tiny_recipe(write_genome(tmp_path / "genome.fa"), steps=100_000, save_every=20, validate_every=50)
    file.write_text(made.to_yaml())
    folder = RunFolder(run)

    def train(*more):
        command = [sys.executable, "-m", "seqdiff", "train", str(file), "--out", str(run), "--device", "cpu"]
        return subprocess.Popen(
            [*command, "--processes", "2", "--quiet", *more], stderr=subprocess.PIPE, text=True,
            env={name: value for name, value in os.environ.items() if name != "WORLD_SIZE"},
        )  # fmt: skip

    def until(condition):
        began = time.monotonic()
        while not condition():
            assert child.poll() is None, child.communicate()[1]
            assert time.monotonic() - began < 240
            time.sleep(0.1)

    child = train()
    until(folder.state_file.is_file)
    child.send_signal(signal.SIGTERM)
    said = child.communicate(timeout=120)[1]
    assert child.returncode == 143, said
    assert said.startswith("seqdiff: stopped at step "), said
    assert said.endswith(f"--resume --out {run} --processes 2\n"), said
    stopped = folder.read_state()[1]["step"]
    assert not of_this(run)

    child = train("--resume")
    until(lambda: folder.read_state()[1]["step"] > stopped)
    began = time.monotonic()
    os.kill(of_this(run)[1], signal.SIGKILL)
    said = child.communicate(timeout=120)[1]
    assert time.monotonic() - began < 60
    assert child.returncode == 1
    assert said == (
        "seqdiff: error: process 2 of 2 was ended by SIGKILL (out of memory?), and the others were ended with it; go "
        f"on from the last save with: seqdiff train {run}/recipe.yaml --resume --out {run} --processes 2\n"
    )
    assert not of_this(run)
    assert folder.read_state()[1]["step"] > stopped
