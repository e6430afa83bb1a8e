"""Couplings: known ones are found, and numbered as the residues of the query."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from family import write_family
from questions import Bounded, keeps_the_contract

from seqdiff.alphabet import ALIGNED
from seqdiff.denoisers import Convolution, Pairwise
from seqdiff.errors import UsageError
from seqdiff.evaluate.couplings import Couplings, corrected, strengths
from seqdiff.evaluate.heldout import Asked
from seqdiff.modalities import Family

COLUMNS = 16


class Model(Bounded):
    alphabet, batch_tokens = ALIGNED, 1000

    def __init__(self, network):
        self.denoise = lambda tokens: network(tokens)
        self.denoiser = SimpleNamespace(network=network)


@pytest.fixture
def data(tmp_path):
    """A family whose query is ACDEFGHIKLMNPQRS, residues 24 to 39."""
    others = np.random.default_rng(0).integers(0, 20, (40, COLUMNS))
    rows = ["ACDEFGHIKLMNPQRS", *("".join(ALIGNED.symbols[i] for i in row) for row in others)]
    return Family(alignment=write_family(tmp_path / "toy.fa", rows)).open()


@pytest.fixture
def network():
    """Noise, with columns 2 and 11 coupled, and 5 and 6; the symbol of column 9 shifts all its couplings alike."""
    network = Pairwise().build(ALIGNED.size, COLUMNS)
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for block in network.couplings:
            block += 0.01 * torch.randn(block.shape, generator=draw)
        for start, middle, stop, pairs in network.blocks():
            for i, j in ((2, 11), (5, 6)):
                if start <= i < middle <= j < stop:
                    pairs[i - start, j - middle] += torch.eye(ALIGNED.size)
            if middle <= 9 < stop:
                pairs[:, 9 - middle] += 3 * torch.randn(ALIGNED.size, generator=draw)
    return network


def test_the_strongest_pair_far_apart_comes_first(network, data):
    model = Model(network)
    assert isinstance(model, Asked)
    answer = Couplings().ask(model, data)
    pairs = answer.summary["pairs"]
    assert len(pairs) == COLUMNS
    assert (pairs[0]["i"], pairs[0]["j"], pairs[0]["residues"]) == (26, 35, ["D26", "N35"])
    assert pairs[0]["deviations"] > 5
    assert pairs[0]["score"] > 20 * abs(pairs[1]["score"])
    assert answer.table().rows[0][1:4] == ("D26", "N35", "9")
    assert all(pair["j"] - pair["i"] >= 6 for pair in pairs)


def test_neighbours_are_shown_where_they_are_asked_for(network, data):
    pairs = Couplings(separation=1, per_column=0.125).ask(Model(network), data).summary["pairs"]
    assert {(pair["i"], pair["j"]) for pair in pairs} == {(26, 35), (29, 30)}


def test_strengths_are_norms_in_the_zero_sum_gauge(network):
    found = strengths(network, gap=20)
    _, couplings = network.potts()
    j = couplings.double()
    j = j - j.mean(2, keepdim=True) - j.mean(3, keepdim=True) + j.mean((2, 3), keepdim=True)
    np.testing.assert_allclose(found, j[:, :, :20, :20].norm(dim=(2, 3)), atol=1e-5)
    assert found[9, 1] < 1  # what depends on one of two columns alone is no coupling


def test_the_correction_takes_away_what_a_column_has_with_all():
    of_columns = np.outer([1.0, 2, 3, 4], [1.0, 2, 3, 4])
    np.fill_diagonal(of_columns, 0)
    flat = corrected(of_columns)[np.triu_indices(4, 1)]
    assert np.abs(flat).max() < 0.35 * of_columns.max()
    assert (corrected(np.zeros((3, 3))) == 0).all()


def test_what_has_no_couplings_is_refused(network, data):
    with pytest.raises(UsageError, match="are those of a pairwise network"):
        Couplings().ask(Model(Convolution(width=8, hidden=8, depth=1).build(ALIGNED.size)), data)
    with pytest.raises(UsageError, match="no two of the 16 columns are 16 apart"):
        Couplings(separation=16).ask(Model(network), data)


def test_it_keeps_the_contract(network, data, tmp_path):
    keeps_the_contract("couplings", {}, Model(network), data, tmp_path)
