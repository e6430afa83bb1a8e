"""Couplings that no memory holds are refused before they are made."""

import pytest
import torch
from family import toy_recipe, write_family

from seqdiff import devices
from seqdiff.errors import ConfigError
from seqdiff.train import loop, memory


def test_memory_of_this_machine_is_known():
    assert devices.memory(torch.device("cpu")) > 1e8


def test_couplings_that_do_not_fit_are_refused_and_leave_nothing(tmp_path, monkeypatch):
    recipe = toy_recipe(write_family(tmp_path / "toy.fa"))
    weights = 12 * 11 // 2 * 21**2
    monkeypatch.setattr(devices, "memory", lambda device: weights * 20)
    memory.check(recipe.resolved(), torch.device("cpu"))
    monkeypatch.setattr(devices, "memory", lambda device: weights * 20 - 1)
    with pytest.raises(ConfigError, match=r"12 columns have 29,106 couplings, .* align a domain"):
        loop.train(recipe, tmp_path / "run", quiet=True, device="cpu")
    assert not (tmp_path / "run").exists()
