"""The benchmarks do not run here; what their arithmetic says does."""

import doctest
import importlib

import pytest
import torch
from benchmarks import rates
from torch.utils.flop_counter import FlopCounterMode

from seqdiff.denoisers import Caduceus, paths


@pytest.mark.parametrize("name", ["rates", "rounds"])
def test_examples(name):
    outcome = doctest.testmod(importlib.import_module(f"benchmarks.{name}"))
    assert outcome.failed == 0
    assert outcome.attempted > 0


def test_the_bound_counts_the_matrix_products_of_a_training_step():
    tokens = torch.zeros(2, 24, dtype=torch.long)
    with FlopCounterMode(display=False) as counter, paths.use("reference"):
        Caduceus(width=40, depth=3, states=8).build(4)(tokens).sum().backward()
    counted = counter.get_flop_counts()["Global"][torch.ops.aten.mm]
    head = 3 * 2 * 2 * 40 * 4
    assert counted == tokens.numel() * (rates.caduceus_ps(width=40, depth=3, states=8).product + head)
