"""Length buckets: the fewest pads, everything alike often, any step at any time."""

import itertools
from collections import Counter

import numpy as np
import pytest

from seqdiff.alphabet import PROTEIN
from seqdiff.data.buckets import Buckets, widths
from seqdiff.data.proteome import Proteome

STARTS = ["".join(letters) for letters in itertools.product("ACDEFGH", repeat=3)]


@pytest.fixture(scope="module")
def proteome(tmp_path_factory):
    """300 proteins of 3 to 120 letters; the first letters say which protein it is."""
    rng = np.random.default_rng(1)
    path = tmp_path_factory.mktemp("buckets") / "p.fa"
    lengths = rng.integers(3, 121, 300)
    path.write_text("".join(f">r{i}\n{STARTS[i]}{'K' * (n - 3)}\n" for i, n in enumerate(lengths)))
    return Proteome.open(path)


def whole(proteome, loader, step):
    """Which protein each row of a step is."""
    rows = loader.batch(step, range(loader.rows(step))).tokens.numpy()
    return [STARTS.index(PROTEIN.decode(row[:3]).decode()) for row in rows]


def pads(sizes, ends):
    return sum(min(e for e in ends if e >= s) - s for s in sizes)


@pytest.mark.parametrize("seed", range(4))
def test_widths_leave_the_fewest_pads(seed):
    """Against every choice of three ends, where a batch takes one sequence and so every bucket fills it."""
    sizes = np.random.default_rng(seed).integers(1, 60, 40)
    found = widths(sizes, 64, budget=8, most=3)
    choices = itertools.chain.from_iterable(itertools.combinations(range(8, 65, 8), n) for n in (1, 2, 3))
    best = min(pads(sizes, ends) for ends in choices if max(ends) >= sizes.max())
    assert pads(sizes, found) == best
    assert (found % 8 == 0).all()


def test_a_bucket_fills_a_batch():
    sizes = np.array([10] * 3 + [60] * 200)
    assert widths(sizes, 64, budget=640).tolist() == [64]  # three of 16 would leave 37 rows of a batch to repeat
    assert widths(sizes, 64, budget=48).tolist() == [16, 64]


def test_a_context_that_is_no_multiple_of_eight_is_the_last_width():
    assert widths(np.array([7] * 6 + [50, 51]), 51, budget=51).tolist() == [8, 51]


def test_a_wide_range_is_searched_on_a_coarse_grid():
    sizes = np.random.default_rng(0).integers(1, 30_000, 5000)
    found = widths(sizes, 30_000, budget=240_000)
    assert len(found) <= 24
    assert found[-1] >= sizes.max()
    assert pads(sizes, found) < 0.05 * sizes.sum()


def test_every_batch_fits_the_budget_and_pads_to_its_width(proteome):
    loader = Buckets(proteome, np.arange(300), 128, batch_size=4, seed=0)
    seen = set()
    for step in range(1, 200):
        batch = loader.batch(step, range(loader.rows(step)))
        assert batch.tokens.numel() <= 4 * 128
        assert len(batch) == loader.rows(step) == 4 * 128 // batch.tokens.shape[1]
        assert ((batch.tokens < PROTEIN.size) == (batch.weight > 0)).all()
        seen.add(batch.tokens.shape[1])
    assert seen == set(loader.widths.tolist())


def test_every_protein_comes_alike_often(proteome):
    loader = Buckets(proteome, np.arange(300), 128, batch_size=4, seed=0)
    rows = Counter()
    steps = 0
    while rows.total() < 300 * 10:
        steps += 1
        rows.update(whole(proteome, loader, steps))
    assert len(rows) == 300
    assert min(rows.values()) >= 9
    assert max(rows.values()) <= 11


def test_a_step_is_the_same_whenever_and_by_whomever_it_is_asked_for(proteome):
    first, later = (Buckets(proteome, np.arange(300), 64, batch_size=3, seed=5) for _ in range(2))
    for step in (977, 3, 978, 1, 40_000):
        rows = first.rows(step)
        assert rows == later.rows(step)
        together = first.batch(step, range(rows))
        parts = [later.batch(step, range(a, b)) for a, b in ((0, rows // 2), (rows // 2, rows))]
        assert together.tokens.tolist() == [row for part in parts for row in part.tokens.tolist()]
    other = Buckets(proteome, np.arange(300), 64, batch_size=3, seed=6)
    assert any(first.rows(step) != other.rows(step) for step in range(1, 20))


def test_what_is_longer_than_the_context_is_cropped_anywhere(tmp_path):
    path = tmp_path / "long.fa"
    path.write_text(">a\n" + PROTEIN.symbols + "\n>b\nMK\n")
    loader = Buckets(Proteome.open(path), np.array([0]), 16, batch_size=4, seed=0)
    starts = Counter()
    for step in range(1, 101):
        for row in loader.batch(step, range(loader.rows(step))).tokens.tolist():
            assert row == list(range(row[0], row[0] + 16))
            starts[row[0]] += 1
    assert set(starts) == {0, 1, 2, 3, 4}
    assert min(starts.values()) > 50


def test_weights_are_how_often(proteome):
    weights = np.where(np.arange(300) < 30, 9.0, 1.0)
    loader = Buckets(proteome, np.arange(300), 128, batch_size=4, seed=0, weights=weights)
    rows = Counter()
    for step in range(1, 600):
        rows.update(whole(proteome, loader, step))
    heavy = np.mean([rows[i] for i in range(30)]) / np.mean([rows[i] for i in range(30, 300)])
    assert heavy == pytest.approx(9, rel=0.05)
    assert np.std([rows[i] for i in range(30, 300)]) < 1.2  # independent draws would spread by 2.9


@pytest.mark.parametrize("records", [[0], [0, 1, 2]])
def test_few_proteins_are_enough(proteome, records):
    loader = Buckets(proteome, np.array(records), 128, batch_size=8, seed=0)
    assert set(itertools.chain.from_iterable(whole(proteome, loader, step) for step in range(1, 9))) == set(records)
