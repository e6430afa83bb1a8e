import numpy as np
import pytest
from image_files import COLOUR, GREY
from PIL import Image

from seqdiff.data.image_files import Reader, written
from seqdiff.errors import DataError


def saved(path, image, **settings):
    image.save(path, **settings)
    return path


@pytest.mark.parametrize("values", [GREY[0], COLOUR[0]])
def test_written_and_read_again(tmp_path, values):
    path = tmp_path / "a.png"
    path.write_bytes(written(values))
    reader = Reader(values.shape)
    assert (reader.read(path) == values).all()
    assert not reader.changed


def grey(mode):
    return Image.fromarray(GREY[0, ..., 0]).convert(mode)


def test_what_is_read_as_it_is_and_what_is_changed(tmp_path):
    palette = saved(tmp_path / "p.png", grey("RGB").quantize(24))
    for shape, path, said in (
        ((4, 6, 1), saved(tmp_path / "1.png", grey("1")), ""),
        ((4, 6, 1), palette, ""),
        ((4, 6, 3), palette, "grey: given three channels"),
        ((4, 6, 1), saved(tmp_path / "rgb.png", Image.fromarray(COLOUR[0])), "in colour: made grey"),
        ((4, 6, 3), saved(tmp_path / "l.png", grey("L")), "grey: given three channels"),
        ((4, 6, 3), saved(tmp_path / "cmyk.jpg", Image.fromarray(COLOUR[0]).convert("CMYK")), "in CMYK: made RGB"),
        ((4, 6, 1), saved(tmp_path / "opaque.png", grey("LA")), ""),
    ):
        reader = Reader(shape)
        assert reader.read(path).shape == shape
        assert list(reader.changed) == ([said] if said else [])


def test_palettes_keep_their_colours(tmp_path):
    assert (Reader((4, 6, 1)).read(saved(tmp_path / "p.png", grey("RGB").quantize(24))) == GREY[0]).all()


def test_16_bits_keep_the_upper_8(tmp_path):
    path = saved(tmp_path / "a.png", Image.fromarray(GREY[0, ..., 0].astype(np.uint16) * 256 + 17))
    reader = Reader((4, 6, 1))
    assert (reader.read(path) == GREY[0]).all()
    assert list(reader.changed) == ["of 16 bits: the upper 8 were taken"]


def test_transparent_pixels_are_white_and_told(tmp_path):
    opaque = np.full((4, 6), 255, np.uint8)
    opaque[1, 2] = 0
    path = saved(tmp_path / "a.png", Image.fromarray(np.dstack([COLOUR[0], opaque])))
    reader = Reader((4, 6, 3))
    values, shown = reader.read_open(path)
    assert values[1, 2].tolist() == [255, 255, 255]
    assert (values[0] == COLOUR[0, 0]).all()
    assert (shown == opaque).all()
    assert list(reader.changed) == ["transparent: shown on white"]


def test_another_size_is_refused_or_cut(tmp_path):
    values = np.zeros((8, 40, 1), np.uint8)
    values[:, 8:32] = 200
    path = saved(tmp_path / "a.png", Image.fromarray(values[..., 0]))
    with pytest.raises(DataError, match=r"has 8 x 40 pixels .* not 4 x 6: .*crop"):
        Reader((4, 6, 1)).read(path)
    reader = Reader((4, 6, 1), crop=True)
    assert (reader.read(path) >= 199).all()
    assert list(reader.changed) == ["of another size: cut and resized"]


@pytest.mark.parametrize("kind", ["cut", "text", "empty", "missing", "folder"])
def test_what_cannot_be_read(tmp_path, kind):
    path = tmp_path / "a.png"
    data = written(np.random.default_rng(0).integers(0, 256, (64, 64, 1), dtype=np.uint8))
    if kind == "folder":
        path.mkdir()
    elif kind != "missing":
        path.write_bytes({"cut": data[: len(data) // 2], "text": b"no image", "empty": b""}[kind])
    with pytest.raises(DataError, match=r"a\.png"):
        Reader((64, 64, 1)).read(path)
