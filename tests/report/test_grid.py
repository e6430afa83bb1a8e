import numpy as np
import pytest

from seqdiff.report.grid import HIDDEN, covered, grid


@pytest.mark.parametrize(("shape", "scale"), [((8, 8, 1), 8), ((28, 28, 1), 3), ((64, 64, 3), 1), ((100, 10, 3), 1)])
def test_every_value_is_seen_as_it_is(shape, scale):
    images = np.random.default_rng(0).integers(0, 255, (5, *shape), dtype=np.uint8)
    whole = grid(images, columns=3)
    height, width = shape[0] * scale, shape[1] * scale
    assert whole.shape == (2 * height + 4, 3 * width + 8, shape[2])
    for place, image in enumerate(images):
        top, left = (place // 3) * (height + 4), (place % 3) * (width + 4)
        seen = whole[top : top + height, left : left + width]
        assert (seen[scale // 2 :: scale, scale // 2 :: scale] == image).all()
    assert (whole[height : height + 4] == 255).all()
    assert (whole[height + 4 :, 2 * (width + 4) :] == 255).all()


def test_what_is_hidden_has_a_colour_of_its_own():
    hidden = np.array([[True, False]])
    assert covered(np.full((1, 2, 1), 9, np.uint8), hidden).tolist() == [[list(HIDDEN), [9, 9, 9]]]
