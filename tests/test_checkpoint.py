import itertools
import os
import pickle
import shutil

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from stories import tiny_recipe
from torch import nn

from seqdiff.checkpoint import Provenance, RunFolder
from seqdiff.errors import ConfigError, DataError, TrainingError

WHAT = Provenance("DNA", 32, "a genome", "abc", 7, 1.2, 0.1)


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path / "run")


def test_weights_come_back_bitwise_with_what_they_are(folder):
    network = nn.Linear(3, 2)
    folder.write_weights(network.state_dict(), WHAT)
    other = nn.Linear(3, 2)
    assert folder.read_weights(other) == WHAT
    assert torch.equal(other.weight, network.weight)


def test_state_comes_back(folder):
    whole = {"step": 5, "best": None, "data": "abc", "nats": 0.0, "count": 0.0, "strikes": 0}
    folder.write_state({"a": torch.arange(3)}, whole)
    tensors, position = folder.read_state()
    assert position["step"] == 5
    assert torch.equal(tensors["a"], torch.arange(3))


def test_killed_anywhere_in_a_save_it_has_a_whole_one(folder):
    """Saves 1, 2 and 3, the last ones damaged or not; then save 4, killed before each thing it does on the disk."""
    whole = {"step": 3, "best": None, "data": "abc", "nats": 0.0, "count": 0.0, "strikes": 0}
    for keep, damaged in ((1, 0), (1, 1), (2, 1), (3, 2)):
        for killed_at in itertools.count(1):
            shutil.rmtree(folder.path, ignore_errors=True)
            for step in (1, 2, 3):
                folder.write_state({"a": torch.tensor([step])}, whole | {"step": step}, keep=3)
            for file in folder.saves[:damaged]:
                os.truncate(file, 20)
            child = os.fork()
            if not child:
                _save_and_die(RunFolder(folder.path), whole | {"step": 4}, keep, killed_at)
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            tensors, position = RunFolder(folder.path).read_state()
            assert position["step"] in (3 - damaged, 4), (keep, damaged, killed_at)
            assert tensors["a"] == position["step"]
            if code == 0:
                assert position["step"] == 4
                assert len(folder.saves) == min(keep, 4 - damaged)
                break
        assert killed_at > 4


def _save_and_die(folder, position, keep, at):
    """In a process of its own, which ends by itself."""
    calls = itertools.count(1)

    def mortal(original):
        def call(*arguments, **named):
            if next(calls) == at:
                os._exit(9)
            return original(*arguments, **named)

        return call

    for name in ("fsync", "chmod", "replace", "unlink"):
        setattr(os, name, mortal(getattr(os, name)))
    try:
        folder.read_state()
        folder.write_state({"a": torch.tensor([4])}, position, keep)
    finally:
        os._exit(0 if folder.position()["step"] == 4 else 1)


def test_the_recipe_says_which_version_wrote_it(folder, tmp_path):
    recipe = tiny_recipe(tmp_path / "x.fa")
    folder.write_recipe(recipe)
    assert folder.read_recipe().written_by.startswith("seqdiff ")
    assert folder.read_recipe().differences(recipe) == []


def test_weights_of_another_network_are_refused(folder):
    folder.write_weights(nn.Linear(3, 2).state_dict(), WHAT)
    with pytest.raises(DataError, match="does not fit"):
        folder.read_weights(nn.Linear(2, 2))


@pytest.mark.parametrize("content", [b"", b"\x00" * 50, b"not a safetensors file", pickle.dumps({"a": 1})])
def test_damaged_weights_are_named_and_nothing_is_unpickled(folder, content):
    folder.path.mkdir()
    folder.weights_file.write_bytes(content)
    with pytest.raises(DataError, match=r"model.safetensors: damaged"):
        folder.read_weights(nn.Linear(2, 2))


def test_weights_that_seqdiff_did_not_write(folder):
    folder.path.mkdir()
    save_file({"weight": torch.zeros(2)}, folder.weights_file)
    with pytest.raises(DataError, match="not written by seqdiff"):
        folder.read_weights(nn.Linear(2, 2))


def test_a_folder_that_is_no_run(folder):
    with pytest.raises(ConfigError, match="no run directory"):
        folder.read_recipe()


@pytest.mark.parametrize("text", ["", "just text", "a: [", "schema: 1\nnonsense: 2"])
def test_a_damaged_recipe(folder, text):
    folder.path.mkdir()
    folder.recipe_file.write_text(text)
    with pytest.raises(ConfigError, match=r"recipe.yaml"):
        folder.read_recipe()


def test_a_state_that_seqdiff_did_not_write(folder):
    folder.write_state({"a": torch.arange(3)}, {"step": 5})
    with pytest.raises(TrainingError, match="not a state that this seqdiff can resume"):
        folder.read_state()


def test_broken_lines_of_metrics_are_left_out(folder):
    folder.path.mkdir()
    folder.metrics_file.write_bytes(b'{"step": 1}\n{"step": 2}\n\xff\x00\n[1]\n{"ste')
    assert folder.read_metrics() == [{"step": 1}, {"step": 2}]


def test_a_disk_that_is_full_while_tensors_are_written(folder, monkeypatch):
    def full(*_):
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("seqdiff.tensorfile.save_file", full)
    with pytest.raises(DataError, match=r"model.safetensors: cannot be written: the disk is full"):
        folder.write_weights(nn.Linear(3, 2).state_dict(), WHAT)
    assert list(folder.path.iterdir()) == []


def test_a_failed_save_leaves_the_old_one(folder, monkeypatch):
    folder.write_weights(nn.Linear(3, 2).state_dict(), WHAT)
    before = folder.weights_file.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("seqdiff.files.os.replace", full)
    with pytest.raises(DataError, match="disk is full"):
        folder.write_weights(nn.Linear(3, 2).state_dict(), WHAT)
    assert folder.weights_file.read_bytes() == before
    assert {p.name for p in folder.path.iterdir()} == {"model.safetensors"}


@pytest.mark.parametrize("inside", ["taken", "taken/run", "taken/runs/a"])
def test_a_file_where_a_folder_should_be_is_named(tmp_path, inside):
    (tmp_path / "taken").touch()
    with pytest.raises(DataError, match=r"/taken is not a folder"), RunFolder(tmp_path / inside).locked():
        pass


def test_where_a_save_stands_is_read_from_its_header_alone(tmp_path):
    folder = RunFolder(tmp_path)
    assert folder.position() == {}
    folder.write_state({"w": torch.zeros(2)}, {"step": 3, "memory": 5})
    assert folder.position()["memory"] == 5
    folder.state_file.write_bytes(b"damaged")
    assert folder.position() == {}
