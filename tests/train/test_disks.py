"""What becomes of a training whose disk is full, fails, or may not be written."""

import errno
import os
from pathlib import Path

import pytest
from safetensors import SafetensorError
from stories import curve, same_weights, tiny_recipe, write_genome

from seqdiff import tensorfile
from seqdiff.checkpoint import RunFolder
from seqdiff.errors import DataError
from seqdiff.train.append import Appended
from seqdiff.train.loop import train


@pytest.fixture
def genome(tmp_path):
    return write_genome(tmp_path / "genome.fa")


def fails_from(monkeypatch, first, number):
    """Every write from the `first` one on fails: tensors, text, lines, names."""
    writes = []

    def failing(original, as_safetensors):
        def write(*arguments, **named):
            writes.append(original)
            if len(writes) < first:
                return original(*arguments, **named)
            if as_safetensors:
                raise SafetensorError(f"Error while serializing: I/O error: {os.strerror(number)} (os error {number})")
            raise OSError(number, os.strerror(number))

        return write

    for owner, name in (
        (tensorfile, "save_file"), (os, "fsync"), (os, "replace"), (os, "pwrite"), (Path, "write_text"),
        (Appended, "_write"),
    ):  # fmt: skip
        monkeypatch.setattr(owner, name, failing(getattr(owner, name), name == "save_file"))


def failure_of(recipe, folder):
    try:
        train(recipe, folder.path, resume=True, quiet=True, device="cpu")
    except DataError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(("number", "said", "stride"), [
    (errno.ENOSPC, "the disk is full", 3), (errno.EDQUOT, "quota used up", 13), (errno.EIO, "Input/output error", 11),
])  # fmt: skip
def test_a_disk_that_fails_at_any_write_is_said_and_nothing_is_lost(
    genome, tmp_path, monkeypatch, number, said, stride
):
    recipe = tiny_recipe(genome, steps=3, warmup_steps=0, validate_every=2, save_every=1)
    train(recipe, tmp_path / "whole", quiet=True, device="cpu")
    first = 1
    while True:
        folder = RunFolder(tmp_path / f"run{first}")
        with monkeypatch.context() as patched:
            fails_from(patched, first, number)
            failure = failure_of(recipe, folder)
        if not failure:  # the run was over before that write, or had nothing more to write
            assert curve(tmp_path / "whole") == curve(folder.path)
            break
        assert said in failure
        assert str(folder.path) in failure
        assert not list(folder.path.rglob("*.partial"))
        if folder.saves:
            assert all(tensorfile.read(file) for file in folder.saves)
            with monkeypatch.context() as patched:  # nor is it lost by trying again before there is room
                fails_from(patched, 1 + first % 4, number)
                assert said in failure_of(recipe, folder)
        train(recipe, folder.path, resume=True, quiet=True, device="cpu")
        assert curve(tmp_path / "whole") == curve(folder.path)
        assert same_weights(tmp_path / "whole", folder.path)
        first += stride
    assert first > 25
