import numpy as np
import pytest
from image_files import COLOUR, GREY, png

from seqdiff.data.levels import Levels
from seqdiff.errors import DataError, UsageError
from seqdiff.inference.images import SIDES, Canvas, hidden_by, read, some


@pytest.mark.parametrize(("values", "levels"), [(GREY[0], 2), (COLOUR[0], 16), (COLOUR[0], 256)])
def test_only_what_is_hidden_changes(values, levels):
    canvas = Canvas(values.shape, Levels.of(levels))
    hidden = hidden_by("left", canvas.grid)
    record = canvas.record("a", values, hidden)
    tokens = canvas.alphabet.encode(record.sequence).reshape(values.shape)
    assert (tokens[hidden] == levels).all()
    assert (tokens[~hidden] < levels).all()
    unknown = np.flatnonzero(tokens.ravel() == levels)
    drawn = canvas.alphabet.fill(record.sequence, unknown, np.ones_like(unknown))
    filled = canvas.filled(values, hidden, type(record)("a", "a", drawn))
    assert (filled[~hidden] == values[~hidden]).all()
    assert (filled[hidden] == canvas.alphabet.values(np.ones(1, np.int64))).all()


def test_sides_are_halves_of_even_and_odd_sizes():
    for grid in ((4, 6, 1), (5, 7, 3)):
        hidden = {side: hidden_by(side, grid) for side in SIDES}
        assert all(each.shape == grid[:2] for each in hidden.values())
        assert not (hidden["left"] & hidden["right"]).any()
        assert hidden["left"].sum() == hidden["right"].sum() == grid[0] * (grid[1] // 2)
        assert hidden["top"].sum() == hidden["bottom"].sum() == (grid[0] // 2) * grid[1]
        assert (hidden["center"] == hidden["center"][::-1, ::-1]).all()
        assert hidden["center"].any()


def test_a_mask_is_the_white_of_an_image(tmp_path):
    mask = np.zeros((4, 6, 1), np.uint8)
    mask[1, 2] = 255
    png(tmp_path / "mask.png", mask)
    assert np.argwhere(hidden_by(str(tmp_path / "mask.png"), (4, 6, 3))).tolist() == [[1, 2]]
    with pytest.raises(DataError, match="has 4 x 6 pixels"):
        hidden_by(str(tmp_path / "mask.png"), (8, 8, 1))
    with pytest.raises(UsageError, match="choose one of left, right"):
        hidden_by("middle", (8, 8, 1))


def test_images_are_read_from_files_folders_and_arrays(tmp_path):
    for number in range(3):
        png(tmp_path / "f" / f"{number}.png", GREY[number])
    np.savez(tmp_path / "a.npz", images=GREY[3:5])
    found, said = read([tmp_path / "f", tmp_path / "a.npz", tmp_path / "f" / "0.png"][:2], (4, 6, 1))
    assert [picture.name for picture in found] == ["0", "1", "2", "a_1", "a_2"]
    assert (np.stack([picture.values for picture in found]) == GREY[:5]).all()
    assert not said
    with pytest.raises(DataError, match="two images are called 0"):
        read([tmp_path / "f", tmp_path / "f" / "0.png"], (4, 6, 1))


def test_some_at_a_time():
    assert list(some(range(5), 2)) == [[0, 1], [2, 3], [4]]
    assert Canvas((64, 64, 3), Levels.of(256)).together == 42
