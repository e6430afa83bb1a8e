import pytest
import torch

from seqdiff import recipe
from seqdiff.compare import settings
from seqdiff.compare.run import opened
from seqdiff.compare.summary import ALIKE
from seqdiff.errors import ConfigError


def test_a_system_is_the_base_with_its_settings(load):
    comparison = load()
    masked, hollow = (comparison.recipe(system, 7) for system in comparison.systems)
    assert (masked.name, masked.seed, masked.denoiser.kind) == ("masked", 7, "convolution")
    assert (hollow.process.estimator, hollow.denoiser.radius) == ("hollow", 2)
    assert {line.split(".")[0] for line in masked.differences(hollow)} == {"process", "denoiser"}
    assert [system.title for system in comparison.systems] == ["MD4", "hollow"]
    assert comparison.to_whom == "masked"


def test_settings_reach_the_comparison_and_its_base(write):
    changed = ["budget.minutes=2", "data.context=16", "denoiser.width=12", "samples=null", "seeds=[4, 5]"]
    comparison = settings.load(write(), changed)
    assert comparison.budget.kinds == ("tokens", "minutes")
    assert (comparison.samples, comparison.seeds) == (None, [4, 5])
    assert (comparison.base["data"]["context"], comparison.recipe(comparison.systems[0], 1).denoiser.width) == (16, 12)


def test_a_base_by_name_or_from_the_folder_of_the_comparison(write, values, tmp_path):
    assert settings.load(write(base="demo", systems=[{"name": "a"}])).base["data"]["genome"] == "human-chr20"
    recipe_file = tmp_path / "of-mine.yaml"
    recipe_file.write_text(recipe.parse(values["base"], "x").to_yaml())
    loaded = settings.load(write(base="of-mine.yaml", systems=[{"name": "a"}]), ["denoiser.width=12"])
    assert loaded.recipe(loaded.systems[0], 1).denoiser.width == 12


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"budget": {}}, "budget: give tokens, minutes, or both"),
        ({"budget": {"tokens": 0}}, "budget.tokens: input should be greater than or equal to 1"),
        ({"sytems": []}, "sytems: no such setting; did you mean 'systems'"),
        ({"systems": []}, "systems: list should have at least 1 item"),
        ({"systems": [{"name": "a"}, {"name": "a"}]}, "two systems are called 'a'"),
        ({"systems": [{"name": "a", "set": {"training.steps": 5}}]}, "a sets training.steps"),
        ({"systems": [{"name": "a", "set": {"denoiser.detph": 5}}]}, "tiny: a: denoiser.detph.*did you mean 'depth'"),
        ({"systems": [{"name": "a", "set": {"seed.b": 5}}]}, "systems.a.set: seed.b: 'seed' is a single value"),
        ({"systems": [{"name": "a", "set": {"process": {"kind": "score"}}}]}, "must tell the network the time"),
        ({"systems": [{"name": "a/b"}]}, "systems.0.name: string should match pattern"),
        ({"reference": "b"}, "there is no system 'b'; there are masked, hollow"),
        ({"seeds": [1, 1]}, "seeds: one of them comes twice"),
        ({"kind": "finetune"}, r"tiny.yaml: no comparison \(it does not say kind: compare\)"),
        ({"base": "dmeo"}, "dmeo: no recipe of this name; did you mean 'demo'"),
    ],
)
def test_wrong_settings_are_named(write, changed, message):
    with pytest.raises(ConfigError, match=message):
        settings.load(write(**changed))


def test_names(tmp_path):
    assert "dna" in settings.names()
    assert settings.find("dna").stem == "dna"
    with pytest.raises(ConfigError, match="dan: no comparison of this name; did you mean 'dna'"):
        settings.find("dan")
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: no such file"):
        settings.find(str(tmp_path / "nowhere.yaml"))


def test_only_asks_for_systems_that_are_there(load):
    assert [system.name for system in load().chosen(["hollow"])] == ["hollow"]
    with pytest.raises(ConfigError, match="--only nope: tiny has no such system; it has masked, hollow"):
        load().chosen(["nope"])


def test_systems_on_other_data_are_refused(load, values):
    for change in ({"data.context": 16}, {"data.splits": {"valid": 0.1, "test": 0.2}}):
        comparison = load(systems=[{"name": "masked"}, {"name": "other", "set": change}])
        with pytest.raises(ConfigError, match="tiny: other is not on the data of masked"):
            opened(comparison)
    one_strand = load(systems=[{"name": "masked"}, {"name": "other", "set": {"data.reverse_complement": False}}])
    assert len(opened(one_strand)[1]) == 2  # what is held out is the same


def shipped(name):
    """A comparison that ships, with what only the user's file says."""
    return settings.load(name, ["data.characters=abcdefgh ,."] if name == "text" else [])


@pytest.mark.parametrize("name", settings.names())
def test_every_comparison_builds(name):
    comparison = shipped(name)
    assert comparison.name == name
    sizes = {}
    for system in comparison.systems:
        recipe = comparison.recipe(system, comparison.seeds[0])
        with torch.device("meta"):
            sizes[system.name] = sum(p.numel() for p in recipe.network().parameters())
    masked = sizes["masked"]
    if name in ("dna", "yeast", "text", "digits"):
        assert all(abs(size / masked - 1) < ALIKE for size in sizes.values()), sizes
    if name == "hg38":
        assert all(0.42e6 < size < 0.49e6 for size in sizes.values()), sizes


@pytest.mark.parametrize("name", ["hg38", "text8", "cifar10"])
def test_the_published_scale_is_that_of_the_recipe(name):
    """Its budget is the recipe's own steps, so that nothing that goes by steps changes."""
    comparison, published = shipped(name), recipe.load(name)
    whole = comparison.recipe(comparison.systems[-1], comparison.seeds[0])
    letters = whole.training.steps * whole.training.batch_size * whole.data.context
    assert comparison.budget.tokens == letters
    assert (whole.training, comparison.seeds) == (published.training, [published.seed])
    assert whole.data.context == published.data.context
    if name == "hg38":
        assert whole.data.context * whole.training.batch_size == 2**20
