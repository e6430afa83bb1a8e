import numpy as np
import pytest

from seqdiff.data.levels import UNKNOWN, Levels


@pytest.mark.parametrize("levels", [2, 3, 16, 17, 100, 128, 129, 253, 254, 255, 256])
def test_rows_and_brightness_come_back(levels):
    alphabet = Levels.of(levels)
    tokens = np.arange(levels + 1)
    assert (alphabet.encode(alphabet.decode(tokens)) == tokens).all()
    assert alphabet.encode(UNKNOWN.encode()).tolist() == [alphabet.mask]
    assert alphabet.dtype.itemsize == (1 if levels < 255 else 2)
    shown = alphabet.values(np.arange(levels))
    assert (alphabet.levels(shown) == np.arange(levels)).all()
    assert (shown[0], shown[-1]) == (0, 255)
    assert (np.diff(shown.astype(int)) > 0).all()


def test_levels_are_equal_shares_of_what_there_is():
    assert (Levels.of(256).levels(np.arange(256, dtype=np.uint8)) == np.arange(256)).all()
    assert np.bincount(Levels.of(16).levels(np.arange(256, dtype=np.uint8))).tolist() == [16] * 16
    assert (Levels.of(17).levels(np.arange(17, dtype=np.uint8), depth=17) == np.arange(17)).all()


def test_filling_changes_what_is_named():
    alphabet = Levels.of(256)
    row = alphabet.decode(np.array([256, 7, 256]))
    assert alphabet.encode(alphabet.fill(row, np.array([2]), np.array([255]))).tolist() == [256, 7, 255]
    assert alphabet.allowed(row).sum(1).tolist() == [256, 1, 256]
    assert alphabet.blanks(row, alphabet.encode(row)).tolist() == [True, False, True]
