import numpy as np

from seqdiff.data.lengths import MOST, counted


def test_few_lengths_are_kept_as_they_are():
    lengths = np.random.default_rng(0).integers(1, MOST + 1, 50_000)
    kept = np.array(counted(lengths))
    assert (np.diff(kept[:, 0]) > 0).all()
    assert (np.repeat(*kept.T) == np.sort(lengths)).all()
    assert counted(np.array([], np.int64)) == []


def test_many_lengths_keep_their_quantiles():
    lengths = np.random.default_rng(0).lognormal(9, 1.5, 100_000).astype(np.int64)
    assert len(np.unique(lengths)) > 2 * MOST
    kept = np.array(counted(lengths))
    assert len(kept) <= MOST
    assert kept[:, 1].sum() == len(lengths)
    assert np.isin(kept[:, 0], lengths).all()
    given = np.sort(lengths)
    for length, count in zip(kept[:, 0], kept[:, 1].cumsum()):
        low, high = np.searchsorted(given, length), np.searchsorted(given, length, "right")
        part = len(lengths) / MOST
        assert low - part - 1 <= count <= high + part + 1
