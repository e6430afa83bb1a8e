"""Every shipped recipe is complete and its network can be built."""

import pytest

from seqdiff import recipe
from seqdiff.data.genomes import Registry


@pytest.mark.parametrize("name", recipe.names())
def test_every_recipe_builds(name):
    loaded = recipe.load(name)
    assert loaded.name == name
    assert loaded.data.genome is None or loaded.data.genome in Registry.load().names
    network = loaded.denoiser.build(loaded.data.alphabet.size)
    assert sum(p.numel() for p in network.parameters()) > 1000


def test_hg38_is_at_the_published_scale():
    loaded = recipe.load("hg38")
    network = loaded.denoiser.build(loaded.data.alphabet.size)
    parameters = sum(p.numel() for p in network.parameters())
    assert 450_000 < parameters < 490_000  # the "467K" of the masked diffusion papers
    assert loaded.data.context * loaded.training.batch_size == 2**20


def test_the_demo_is_small_enough_to_ship():
    loaded = recipe.load("demo")
    network = loaded.denoiser.build(loaded.data.alphabet.size)
    assert 4 * sum(p.numel() for p in network.parameters()) < 3_000_000
