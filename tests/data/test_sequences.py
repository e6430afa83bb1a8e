"""Proteins as they are evaluated: every letter once, however long they are."""

import numpy as np
import pytest

from seqdiff.alphabet import PROTEIN
from seqdiff.data.proteome import Proteome
from seqdiff.data.sequences import Sequences


@pytest.fixture
def proteome(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "p.fa"
    path.write_text(
        "".join(f">r{i}\n{''.join(rng.choice(list('ACDEFX'), n))}\n" for i, n in enumerate([5, 23, 8, 9, 16]))
    )
    return Proteome.open(path)


def test_pieces_hold_every_letter_once_and_fit(proteome):
    records = np.array([1, 2, 3, 4])
    sequences = Sequences(proteome, records, 8)
    assert sequences.sizes.tolist() == [7, 8, 8, 8, 4, 5, 8, 8]
    assert sequences.unit.tolist() == [1, 1, 1, 2, 3, 3, 4, 4]
    assert sequences.letters == proteome.known[records].sum()
    rows = [sequences.batch(np.array([i])).tokens[0].numpy() for i in range(len(sequences))]
    assert np.concatenate(rows).tolist() == np.concatenate([proteome.tokens(int(r)) for r in records]).tolist()


def test_a_batch_is_as_wide_as_its_longest_and_unknown_letters_weigh_nothing(proteome):
    sequences = Sequences(proteome, np.arange(5), 64)
    batch = sequences.batch(np.array([0, 2]))
    assert batch.tokens.shape == (2, 8)
    assert (batch.tokens[0, 5:] == PROTEIN.pad).all()
    assert batch.weight.tolist() == (batch.tokens < PROTEIN.size).float().tolist()


def test_clusters_are_the_unit(proteome):
    assert Sequences(proteome, np.array([0, 1]), 8, np.array([7, 9])).unit.tolist() == [7, 9, 9, 9]
