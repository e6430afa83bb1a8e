"""Places on a grid of pixels, and the transformer that is told them."""

import itertools

import pytest
import torch

from seqdiff.denoisers import Transformer
from seqdiff.denoisers.grid import GridEmbedding, grid_angles, places_of
from seqdiff.denoisers.layers import rotate
from seqdiff.errors import ConfigError


def places(grid):
    rows, columns, channels = grid
    return [(r, c, k) for r in range(rows) for c in range(columns) for k in range(channels)]


@pytest.mark.parametrize("grid", [(2, 3, 1), (3, 2, 3), (1, 1, 4)])
def test_a_place_has_the_vectors_of_its_row_its_column_and_its_channel(grid):
    embedding = GridEmbedding(grid, 5)
    names = ("row", "column", "channel")
    row, column, channel = (getattr(embedding, f"{name}_embedding").weight for name in names)
    expected = torch.stack([row[r] + column[c] + channel[k] for r, c, k in places(grid)])
    torch.testing.assert_close(embedding(0, places_of(grid)), expected)
    torch.testing.assert_close(embedding(1, 3), expected[1:3])


def test_products_of_queries_and_keys_see_how_far_apart_two_pixels_are_and_nothing_else():
    grid, width = (4, 5, 2), 8
    query, key = torch.randn(2, width, dtype=torch.float64)
    angles = grid_angles(grid, 40, width, query)
    everywhere = lambda x: rotate(x.expand(1, 1, 40, width), angles)[0, 0]  # noqa: E731
    products = everywhere(query) @ everywhere(key).T
    by_offset = {}
    for i, (r, c, _) in enumerate(places(grid)):
        for j, (s, d, _) in enumerate(places(grid)):
            by_offset.setdefault((r - s, c - d), []).append(products[i, j].item())
    assert len(by_offset) == 7 * 9
    assert all(max(same) - min(same) < 1e-10 for same in by_offset.values())
    means = sorted(same[0] for same in by_offset.values())
    assert min(b - a for a, b in itertools.pairwise(means)) > 1e-9


def test_the_first_places_do_not_depend_on_how_many_follow():
    grid, like = (6, 7, 3), torch.zeros(1)
    for few, all_of_them in zip(grid_angles(grid, 20, 12, like), grid_angles(grid, 126, 12, like), strict=True):
        assert torch.equal(few, all_of_them[:20])


def test_an_image_of_nothing_but_masks_is_not_the_same_everywhere():
    """Without places every pixel of it would get one answer."""
    network = Transformer(width=16, depth=1, heads=2, hidden=12, grid=(3, 3, 2)).build(4, 18)
    torch.nn.init.normal_(network.head.weight)
    logits = network(torch.full((1, 18), 4))[0]
    assert (logits[:, None] - logits).abs().sum(-1).add(torch.eye(18)).min() > 1e-3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"width": 20, "heads": 2}, "halves into even numbers"),
        ({"width": 16, "heads": 2, "learned_positions": True}, "learned_positions=false"),
    ],
)
def test_settings_that_do_not_fit_a_grid(settings, message):
    with pytest.raises(ValueError, match=message):
        Transformer(**settings, grid=(4, 4, 1))


def test_images_of_another_size_are_refused():
    settings = Transformer(width=16, depth=1, heads=2, hidden=12, grid=(4, 4, 3))
    with pytest.raises(ConfigError, match=r"4 rows x 4 columns x 3 channels are 48 tokens, and a row .* has 64"):
        settings.build(4, 64)
    with pytest.raises(ValueError, match="images of 48 tokens, not of 49"):
        settings.build(4)(torch.zeros(1, 49, dtype=torch.long))
