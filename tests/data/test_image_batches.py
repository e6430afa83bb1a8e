from pathlib import Path

import numpy as np
import pytest
from image_files import GREY, LABELS

from seqdiff.data.image_batches import PictureLoader, Pictures
from seqdiff.data.image_sources import UNSAID
from seqdiff.data.images import Images
from seqdiff.data.levels import Levels


@pytest.fixture
def pictures():
    nothing = np.full(24, UNSAID)
    images = Images(Path("x"), GREY, nothing, LABELS, np.arange(24), ("a", "b", "c"), "")
    return Pictures(images, np.arange(4, 24), Levels.of(256), labelled=True)


def test_rows_are_raster_lines(pictures):
    batch = pictures.batch(np.array([0, 3]))
    assert (batch.tokens.numpy() == GREY[[4, 7]].reshape(2, -1)).all()
    assert batch.labels.tolist() == LABELS[[4, 7]].tolist()
    assert (batch.weight == 1).all()
    assert (len(pictures), pictures.letters, set(pictures.sizes)) == (20, 480, {24})


def test_every_image_once_an_epoch_and_any_step_alone(pictures):
    loader = PictureLoader(pictures, batch_size=8, seed=0, flip=False, dropout=0.0)
    epochs = np.concatenate([loader.batch(step, range(8)).tokens.numpy() for step in range(1, 6)])
    assert {row.tobytes() for row in epochs[:20]} == {row.tobytes() for row in epochs[20:]}
    assert len({row.tobytes() for row in epochs[:20]}) == 20
    assert (loader.batch(3, range(2, 5)).tokens == loader.batch(3, range(8)).tokens[2:5]).all()


def test_half_of_the_images_are_flipped(pictures):
    loader = PictureLoader(pictures, batch_size=400, seed=0, flip=True, dropout=0.0)
    tokens = loader.batch(1, range(400)).tokens.numpy()
    known = {image.tobytes() for image in GREY.astype(np.int64)}
    mirrored = {np.ascontiguousarray(image[:, ::-1]).tobytes() for image in GREY.astype(np.int64)}
    as_it_is = np.array([row.tobytes() in known for row in tokens])
    assert all(row.tobytes() in mirrored for row in tokens[~as_it_is])
    assert 0.4 < as_it_is.mean() < 0.6


def test_a_share_of_the_labels_is_not_told(pictures):
    loader = PictureLoader(pictures, batch_size=1000, seed=0, flip=False, dropout=0.25)
    batch = loader.batch(1, range(1000))
    of = {row.tobytes(): label for row, label in zip(GREY.reshape(24, -1).astype(np.int64), LABELS)}
    true = np.array([of[row.tobytes()] for row in batch.tokens.numpy()])
    labels = batch.labels.numpy()
    assert 0.2 < (labels == 3).mean() < 0.3
    assert (labels[labels < 3] == true[labels < 3]).all()
    assert (loader.batch(1, range(10, 20)).labels.numpy() == labels[10:20]).all()
