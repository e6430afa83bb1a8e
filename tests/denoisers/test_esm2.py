"""What is of ESM alone: its tokens at both ends, what a mask does to the rest of a row, positions and sizes."""

import pydantic
import pytest
import torch
import torch.nn.functional as F

from seqdiff.denoisers import Esm2
from seqdiff.denoisers.esm2 import Vocabulary
from seqdiff.errors import ConfigError

K, MASK, PAD, CLS, EOS = 4, 4, 5, 6, 7
TINY = {"width": 16, "depth": 2, "heads": 2, "hidden": 24}


def labelled(**settings):
    """A vocabulary whose vectors are the token ids."""
    table = Vocabulary(K, 1, **settings)
    table.weight = torch.nn.Parameter(torch.arange(8.0)[:, None])
    return table


def test_the_ends_stand_around_the_letters_of_each_row():
    tokens = torch.tensor([[0, 1, 2, MASK], [PAD, 1, MASK, PAD], [3, PAD, PAD, PAD]])
    rows = labelled(token_dropout=False)(tokens)[..., 0]
    assert rows.tolist() == [
        [CLS, 0, 1, 2, MASK, EOS],
        [PAD, CLS, 1, MASK, EOS, PAD],
        [CLS, 3, EOS, PAD, PAD, PAD],
    ]


def test_masks_are_zeros_and_the_rest_of_their_row_is_scaled():
    """By .88 over the share that is no mask, of the letters and both ends; pads do not count."""
    tokens = torch.tensor([[3, 1, MASK, MASK], [3, PAD, PAD, PAD], [MASK, MASK, PAD, PAD]])
    rows = labelled(token_dropout=True)(tokens)[..., 0]
    torch.testing.assert_close(rows[0], torch.tensor([CLS, 3, 1, 0, 0, EOS]) * 0.88 / (4 / 6))
    torch.testing.assert_close(rows[1, :3], torch.tensor([CLS, 3, EOS]) * 0.88)
    torch.testing.assert_close(rows[2, :4], torch.tensor([CLS, 0, 0, EOS]) * 0.88 / (2 / 4))


def test_rotary_positions_go_on_and_learned_ones_end():
    tokens = torch.randint(0, K, (1, 40), generator=torch.Generator().manual_seed(1))
    assert Esm2(**TINY).build(K, 40)(tokens).isfinite().all()
    learned = Esm2(**TINY, positions="learned", longest=32)
    assert learned.build(K, 32).place_embedding.num_embeddings == 34
    with pytest.raises(ConfigError, match=r"learned positions for 32 letters, not for 40: set data\.context=32"):
        learned.build(K, 40)


def test_learned_positions_count_from_the_first_letter():
    network = Esm2(**TINY, positions="learned", longest=32).build(K).eval()
    tokens = torch.tensor([[0, 1, 2, MASK, 3]])
    moved = network.hidden(F.pad(tokens, (7, 0), value=PAD))[:, 7:]
    torch.testing.assert_close(moved, network.hidden(tokens), rtol=0, atol=1e-5)


@pytest.mark.parametrize("wrong", [{"heads": 3}, {"longest": 4}, {"positions": "learned"}, {"width": 6, "heads": 2}])
def test_settings_that_do_not_fit(wrong):
    with pytest.raises(pydantic.ValidationError):
        Esm2(**TINY | wrong)


@pytest.mark.parametrize(
    ("width", "depth", "heads", "published"),
    [(320, 6, 20, 7_512_474), (480, 12, 20, 33_501_394), (640, 30, 20, 148_140_154), (1280, 33, 20, 651_043_254)],
)
def test_the_published_sizes(width, depth, heads, published):
    """As counted in the public implementation; without its head for contacts and the tokens that no protein has."""
    with torch.device("meta"):
        network = Esm2(width=width, depth=depth, heads=heads, hidden=4 * width).build(20)
    contacts = depth * heads + 1
    tokens = (33 - 24) * width + (33 - 20)
    assert sum(p.numel() for p in network.parameters()) == published - contacts - tokens
