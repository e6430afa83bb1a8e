"""The benchmarks do not run here; what their arithmetic says does."""

import doctest
import importlib

import pytest


@pytest.mark.parametrize("name", ["rates", "rounds"])
def test_examples(name, monkeypatch):
    module = importlib.import_module(f"benchmarks.{name}")
    attempted = doctest.testmod(module)
    assert attempted.failed == 0
    assert attempted.attempted > 0
