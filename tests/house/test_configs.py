"""Every shipped recipe is complete and its network can be built."""

import pytest
import torch

from seqdiff import recipe
from seqdiff.data.genomes import Registry
from seqdiff.train import finetuning


@pytest.mark.parametrize("name", recipe.names())
def test_every_recipe_builds(name):
    loaded = recipe.load(name)
    assert loaded.name == name
    assert getattr(loaded.data, "genome", None) in (None, *Registry.load().names)
    if loaded.data.context is None:  # which the alignment of a family says
        loaded = loaded.model_copy(update={"data": loaded.data.model_copy(update={"context": 40})})
    if getattr(loaded.data, "characters", "") is None and loaded.data.coding == "characters":  # which its text says
        loaded = loaded.model_copy(update={"data": loaded.data.model_copy(update={"characters": "abc"})})
    with torch.device("meta"):
        network = loaded.network()
    assert sum(p.numel() for p in network.parameters()) > 1000


def test_text8_and_wine_reviews_are_at_their_scale():
    """Without what tells the time: 85.0M of MD4's 88.7M parameters, and 28.0M of the 40.6M of the reference run."""
    text8 = sum(p.numel() for p in recipe.load("text8").network().parameters())
    assert text8 == pytest.approx(85.0e6, rel=0.001)
    loaded = recipe.load("wine-reviews", ["data.characters=" + "".join(map(chr, range(0x3B1, 0x3B1 + 90)))])
    assert sum(p.numel() for p in loaded.network().parameters()) == pytest.approx(28.0e6, rel=0.03)
    assert (loaded.data.alphabet.size, loaded.data.context, loaded.training.steps) == (90, 128, 50_000)


@pytest.mark.parametrize("name", finetuning.names())
def test_every_recipe_of_fine_tuning_is_complete(name):
    loaded = finetuning.load(name)
    assert loaded.name == name
    assert loaded.to_yaml().count(": ") >= 20
    shown = {line.split(":")[0].strip() for line in recipe.find(name, "finetune").read_text().splitlines()}
    assert set(type(loaded.training).model_fields) - {"matrix_learning_rate"} <= shown
    assert set(type(loaded.readout).model_fields) <= shown


def test_hg38_is_at_the_published_scale():
    loaded = recipe.load("hg38")
    network = loaded.network()
    parameters = sum(p.numel() for p in network.parameters())
    assert 450_000 < parameters < 490_000  # the "467K" of the masked diffusion papers
    assert loaded.data.context * loaded.training.batch_size == 2**20


def test_the_demo_is_small_enough_to_ship():
    loaded = recipe.load("demo")
    network = loaded.network()
    assert 4 * sum(p.numel() for p in network.parameters()) < 3_000_000


def test_the_fine_tuning_of_hg38_goes_on_from_its_masked_language_model():
    """MDLM's recipe for hg38: the second recipe takes the run that the first one makes by default, and its network."""
    first, then = recipe.load("hg38-mlm"), recipe.load("hg38-finetune")
    assert then.training.start.parts[-2:] == ("runs", first.name)
    assert then.denoiser == first.denoiser
    assert (first.process.selected, first.process.masked, first.process.random) == (0.15, 0.8, 0.1)
    assert (first.training.steps, first.training.learning_rate) == (10_000, 8e-3)
    assert (then.training.steps, then.training.learning_rate) == (50_000, 1e-3)
    assert not first.process.bounds_likelihood
    assert then.process.bounds_likelihood


@pytest.mark.parametrize("name", [name for name in recipe.names() if name.startswith("hg38")])
def test_every_hg38_recipe_has_the_published_schedule(name):
    loaded = recipe.load(name)
    training = loaded.training
    assert loaded.data.context * training.batch_size == 2**20
    assert training.warmup_steps * 10 == training.steps
    assert (training.final_learning_rate, training.weight_decay, training.clip) == (1e-4, 0.1, 1.0)
    assert (training.betas, loaded.seed) == ((0.9, 0.95), 2222)


def test_hg38_131k_is_the_published_network():
    loaded = recipe.load("hg38-131k")
    network = loaded.network()
    parameters = sum(p.numel() for p in network.parameters())
    assert loaded.data.context == 131_072
    assert parameters == pytest.approx(7.73e6, rel=0.01)


@pytest.mark.parametrize(
    ("name", "million", "tokens"), [("protein-uniref50", 38, 8 * 40_000), ("protein-uniref50-esm2", 34, 2e6)]
)
def test_uniref50_is_at_the_published_scales(name, million, tokens):
    """EvoDiff-38M and ESM-2-35M, and their letters a step."""
    loaded = recipe.load(name)
    assert sum(p.numel() for p in loaded.network().parameters()) / 1e6 == pytest.approx(million, rel=0.02)
    assert loaded.data.context * loaded.training.batch_size == pytest.approx(tokens, rel=0.05)


@pytest.mark.parametrize(
    ("name", "ours", "published", "of_time"),
    [("cifar10", 26_788_224, 28.4e6, 1_155_712), ("imagenet64", 175_772_672, 198e6, 20 * 6 * 768 * 256)],
)
def test_images_are_at_the_published_scale(name, ours, published, of_time):
    """MD4's U-Nets are told the time, which masked diffusion does not need."""
    loaded = recipe.load(name)
    with torch.device("meta"):
        count = sum(p.numel() for p in loaded.network().parameters())
    assert count == ours
    assert count + of_time == pytest.approx(published, rel=0.02)
    assert (loaded.data.alphabet.size, loaded.data.grid[2], loaded.training.steps) == (256, 3, 2_000_000)


def test_digits_are_what_comes_with_the_package():
    loaded = recipe.load("digits")
    assert loaded.data.source == "digits"
    assert loaded.denoiser.grid == loaded.data.grid == (8, 8, 1)
    assert loaded.data.conditional
