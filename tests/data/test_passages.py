"""Passages: tiles where text is evaluated, every character once an epoch in training."""

import numpy as np
import pytest

from seqdiff.data.batches import Examples, Loader
from seqdiff.data.passages import PassageLoader, Passages

PAD = 101


def counting(length, context=10):
    """A text of which character i is token i, so that a token says where it comes from."""
    return Passages(np.arange(length).astype(np.int16), context, symbols=100)


def test_passages_tile_the_text_and_the_last_is_padded():
    passages = counting(25)
    assert isinstance(passages, Examples)
    batch = passages.batch(np.array([0, 2]))
    assert batch.tokens.tolist() == [[*range(10)], [*range(20, 25)] + [PAD] * 5]
    assert batch.weight.tolist() == [[1.0] * 10, [1.0] * 5 + [0.0] * 5]
    assert (len(passages), passages.sizes.tolist(), passages.letters) == (3, [10, 10, 5], 25)


def test_passages_of_unknown_characters_alone_are_left_out(monkeypatch):
    monkeypatch.setattr("seqdiff.data.passages._BLOCK", 20)
    tokens = np.zeros(95, np.uint8)
    tokens[10:20] = tokens[85:] = 3
    tokens[41] = 3
    passages = Passages(tokens, 10, symbols=3)
    assert (passages.sizes.tolist(), passages.letters) == ([10] * 8, 74)
    assert (passages.batch(np.arange(8)).weight.sum(1) > 0).all()


@pytest.mark.parametrize("length", [10, 15, 19, 20, 29, 50, 97])
def test_an_epoch_shows_nothing_twice_and_little_not_at_all(length):
    loader = PassageLoader(counting(length), batch_size=1, seed=5)
    assert isinstance(loader, Loader)
    steps = loader._order.size
    for epoch in range(3):
        batches = [loader.batch(epoch * steps + step, range(1)) for step in range(1, steps + 1)]
        seen = np.concatenate([batch.tokens.numpy().ravel() for batch in batches])
        assert len(set(seen)) == len(seen) >= length - 19
        assert all(batch.tokens.shape == (1, 10) and (batch.weight == 1).all() for batch in batches)


def test_passages_begin_anywhere():
    loader = PassageLoader(counting(30), batch_size=1, seed=0)
    begins = {int(loader.batch(step, range(1)).tokens[0, 0]) for step in range(1, 400)}
    assert begins == set(range(21))


def test_a_step_is_the_same_whatever_came_before_and_however_it_is_shared():
    loader, other = (PassageLoader(counting(97), batch_size=4, seed=1) for _ in range(2))
    whole = [loader.batch(step, range(4)).tokens for step in range(1, 9)]
    assert (other.batch(7, range(2, 4)).tokens == whole[6][2:]).all()
    assert (PassageLoader(counting(97), 4, seed=2).batch(7, range(4)).tokens != whole[6]).any()
    assert loader.rows(3) == 4
