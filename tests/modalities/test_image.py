import numpy as np
import pytest
from image_files import GREY, LABELS
from pydantic import ValidationError

from seqdiff.errors import ConfigError, DataError
from seqdiff.modalities import Opened
from seqdiff.modalities.image import Image, ImageSplits


def digits(**settings):
    return Image(source="digits", size=(8, 8), levels=17, **settings)


@pytest.fixture
def archive(tmp_path):
    """An .npz of images, or of those of named splits."""

    def archive(**arrays):
        path = tmp_path / "a.npz"
        np.savez(path, **(arrays or {"images": GREY, "labels": LABELS}))
        return path

    return archive


def counts(data):
    return [len(data.train), len(data.valid), len(data.test)]


def test_the_digits():
    config = digits()
    data = config.open()
    assert isinstance(data, Opened)
    assert (config.grid, config.context, config.alphabet.size, config.labels) == ((8, 8, 1), 64, 17, ())
    assert sum(counts(data)) == 1797
    batch = data.test.batch(np.arange(3))
    assert batch.tokens.shape == (3, 64)
    assert batch.labels is None
    assert data.source == "digits, 1,797 images of 8 x 8, 17 levels, 10 classes"
    assert sum(len(row) for row in data.text("valid")) == data.valid.letters


def test_classes_are_told_where_that_is_asked_for():
    config = digits(conditional=True, label_dropout=0.5).resolved()
    assert config.labels == tuple("0123456789")
    assert Image.model_validate(config.model_dump(mode="json")) == config
    data = config.open()
    shown = data.loader(0, 400).batch(1, range(400)).labels
    assert 150 < int((shown == 10).sum()) < 250
    assert set(data.test.batch(np.arange(len(data.test))).labels.tolist()) == set(range(10))
    with pytest.raises(ConfigError, match=r"leave data\.classes out"):
        digits(conditional=True, classes=("a", "b")).resolved()


def test_classes_that_are_not_there(archive):
    with pytest.raises(ConfigError, match="says nothing of classes"):
        Image(source=archive(images=GREY), size=(4, 6), conditional=True).resolved()


def test_an_image_is_on_one_side_whatever_comes_with_it(archive):
    twice = np.concatenate([GREY, GREY])
    data = Image(source=archive(images=twice), size=(4, 6), splits=ImageSplits(valid=0.2, test=0.3)).open()
    sides = data.places
    assert (sides[:24] == sides[24:]).all()
    other = Image(source=archive(images=GREY[::-1]), size=(4, 6), splits=ImageSplits(valid=0.2, test=0.3)).open()
    assert (other.places == sides[:24][::-1]).all()
    assert other.checksum != data.checksum


def test_the_test_images_of_the_source_are_taken(archive, caplog):
    config = {"size": (4, 6), "splits": ImageSplits(valid=0.3)}
    arrays = {"train_images": GREY[:16], "val_images": GREY[16:20], "test_images": GREY[20:]}
    assert counts(Image(source=archive(**arrays), **config).open()) == [16, 4, 4]
    arrays["test_images"] = GREY[14:18]
    assert counts(Image(source=archive(**arrays), **config).open()) == [16, 4, 4]
    assert "2 of 4 test images are in the training images as well" in caplog.text
    del arrays["test_images"]
    train, valid, test = counts(Image(source=archive(**arrays), **config).open())
    assert test == 4
    assert 0 < valid < train == 16 - valid
    shares = ImageSplits(valid=0.3, test=0.3)
    assert counts(Image(source=archive(**arrays), size=(4, 6), splits=shares).open())[2] != 4


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"source": "digits", "size": (28, 28)}, r"digits have size: \[8, 8\]"),
        ({"source": "digits", "size": (8, 8)}, "digits have 17 levels"),
        ({"source": "digits", "size": (8, 8), "levels": 2, "crop": True}, "leave crop out"),
        ({"size": (8, 8), "label_dropout": 0.1}, "label_dropout is for conditional"),
        ({"size": (8, 8), "classes": ("a",)}, "classes are for conditional"),
        ({"size": (8, 8), "channels": 2}, "1 or 3"),
        ({"size": (8, 8), "splits": {"valid": 0.5, "test": 0.5}}, "leave something to train on"),
    ],
)
def test_settings_that_make_no_sense(settings, says):
    with pytest.raises(ValidationError, match=says):
        Image(**settings)


def test_what_cannot_be_opened(archive):
    with pytest.raises(ConfigError, match=r"--set data\.source=PATH"):
        Image(size=(8, 8)).open()
    with pytest.raises(DataError, match="no image falls to 'valid' of 2"):
        Image(source=archive(images=GREY[:2]), size=(4, 6)).open()


def test_the_profile_is_that_of_each_place():
    data = digits().open()
    profile = data.profile()
    assert profile.shape == (64, 17)
    assert np.allclose(profile.sum(1), 1)
    tokens = data.train.tokens(np.arange(len(data.train)))
    seen = np.stack([(tokens == level).mean(0) for level in range(17)], 1)
    assert np.abs(profile - seen).max() < 0.02


def test_levels_are_of_the_model_not_of_the_file(archive):
    path = archive()
    for levels in (2, 256):
        data = Image(source=path, size=(4, 6), levels=levels, splits=ImageSplits(valid=0.3, test=0.3)).open()
        tokens = data.test.batch(np.arange(len(data.test))).tokens.numpy()
        values = GREY[data.test.items].reshape(tokens.shape)
        assert (tokens == values // (256 // levels)).all()
