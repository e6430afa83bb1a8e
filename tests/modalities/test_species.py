"""DNA of several species: every window with its species, every species as often as it should be."""

import numpy as np
import pytest
import torch

from seqdiff.alphabet import DNA
from seqdiff.errors import DataError
from seqdiff.modalities import Species

LENGTHS = {"a": 4000, "c": 20_000, "g": 8000}
"""Species by the one letter that their genomes are made of."""


def genomes(folder):
    for name, length in LENGTHS.items():
        (folder / f"{name}.fa").write_text(f">{name}\n{name.upper() * length}\n")
    return {name: {"fasta": folder / f"{name}.fa"} for name in LENGTHS}


@pytest.fixture
def species(tmp_path):
    return Species(genomes=genomes(tmp_path), context=100, reverse_complement=False)


def letters_of(batch):
    """The letter of each row, which must be of one."""
    assert (batch.tokens == batch.tokens[:, :1]).all()
    return batch.tokens[:, 0]


def test_every_window_has_its_species(species):
    data = species.open()
    assert species.labels == ("a", "c", "g")
    for split in (data.train, data.valid, data.test):
        assert len(split) == len(split.sizes) == split.letters // 100
        batch = split.batch(np.random.default_rng(0).permutation(len(split)))
        assert torch.equal(letters_of(batch), batch.labels)
    assert [len(part) for part in data.test.parts] == [2, 10, 4]
    assert b"".join(DNA.decode(piece) for piece in data.text("test")) == b"A" * 200 + b"C" * 1000 + b"G" * 400


@pytest.mark.parametrize(("power", "shares"), [(0, [342, 341, 341]), (1, [128, 640, 256]), (0.5, [220, 493, 311])])
def test_training_shows_each_species_as_often_as_its_power_says(species, power, shares):
    loader = species.model_copy(update={"power": power, "label_dropout": 0.0}).open().loader(seed=1, batch_size=64)
    found = torch.cat([loader.batch(step, range(64)).labels for step in range(1, 33)]).bincount()
    assert found.sum() == 2048
    assert (found - 2 * torch.tensor(shares)).abs().max() <= 4


def test_rows_are_the_same_whoever_asks_and_no_window_waits_for_a_second_round(species):
    loader = species.model_copy(update={"label_dropout": 0.5}).open().loader(seed=3, batch_size=48)
    for step in (1, 21, 22, 500):  # 21 and 22 lie on both sides of the end of a cycle
        whole = loader.batch(step, range(48))
        parts = [loader.batch(step, range(first, first + 16)) for first in (0, 16, 32)]
        assert torch.equal(whole.tokens, torch.cat([part.tokens for part in parts]))
        assert torch.equal(whole.labels, torch.cat([part.labels for part in parts]))
        told = whole.labels < 3
        assert torch.equal(letters_of(whole)[told], whole.labels[told])
        assert (whole.labels <= 3).all()
    order = np.concatenate([loader._places(np.arange(n, n + 16))[1] for n in range(0, 4096, 16)])
    which = np.concatenate([loader._places(np.arange(n, n + 16))[0] for n in range(0, 4096, 16)])
    for number in range(3):
        assert sorted(order[which == number]) == list(range((which == number).sum()))


def test_a_share_of_the_rows_is_told_nothing(species):
    loader = species.model_copy(update={"label_dropout": 0.25}).open().loader(seed=1, batch_size=1000)
    untold = float((loader.batch(1, range(1000)).labels == 3).float().mean())
    assert 0.2 < untold < 0.3


def test_other_names_or_genomes_are_other_data(species, tmp_path):
    data = species.open()
    renamed = Species(genomes={name * 2: source.model_dump() for name, source in species.genomes.items()}, context=100)
    assert renamed.open().checksum != data.checksum
    assert species.open().checksum == data.checksum
    assert "c: c.fa" in data.source
    assert "3 species" in data.contents


def test_a_wrong_genome_is_named(species, tmp_path):
    wrong = {**genomes(tmp_path), "t": {"fasta": tmp_path / "none.fa"}}
    with pytest.raises(DataError, match=r"data\.genomes\.t: .*none\.fa"):
        Species(genomes=wrong, context=100).open()
    with pytest.raises(ValueError, match="t: give genome"):
        Species(genomes={**genomes(tmp_path), "t": {}}, context=100)
    with pytest.raises(ValueError, match="at least 2"):
        Species(genomes={"a": {"genome": "human-chr20"}}, context=100)
