"""What a process learns besides the network is trained, averaged, kept, resumed and shared like the rest of it."""

import pytest
import torch
from safetensors.torch import load_file
from stories import tiny_recipe, write_genome

from seqdiff import model as models
from seqdiff import recipe as recipes
from seqdiff.checkpoint import RunFolder
from seqdiff.diffusion.denoise import learned
from seqdiff.diffusion.processes import Masked
from seqdiff.errors import ConfigError
from seqdiff.train import loop, optimizer, start
from seqdiff.train.learner import Learner
from seqdiff.train.loop import train

NETWORK = {"kind": "convolution", "width": 16, "hidden": 16, "depth": 2, "time_conditioning": True}


def genmasked(fasta, **training):
    """The tiny recipe with a schedule of each letter."""
    tiny = tiny_recipe(fasta, **training).model_dump(mode="json", by_alias=True)
    return recipes.parse(tiny | {"process": {"kind": "genmasked"}, "denoiser": NETWORK}, "tiny")


def curve(folder):
    return [{k: v for k, v in row.items() if k != "tokens_per_second"} for row in RunFolder(folder).read_metrics()]


@pytest.fixture(scope="module")
def genome(tmp_path_factory):
    return write_genome(tmp_path_factory.mktemp("genome") / "genome.fa")


@pytest.fixture(scope="module")
def whole(genome, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "whole"
    train(genmasked(genome), out, quiet=True, device="cpu")
    return out


def test_powers_are_learned_and_logged_by_letter(whole):
    logged = [row["powers"] for row in curve(whole) if "powers" in row]
    assert len(logged) == 12
    assert all(list(powers) == list("ACGT") for powers in logged)
    assert all(0.5 < power < 1.5 for powers in logged for power in powers.values())
    assert logged[0] != logged[-1]


def test_the_model_has_their_average_and_the_save_both(whole):
    shipped = load_file(RunFolder(whole).weights_file)["learned.raw"]
    saved = load_file(RunFolder(whole).state_file)
    assert not torch.equal(saved["weights.learned.raw"], saved["average.learned.raw"])
    assert not torch.equal(saved["weights.learned.raw"], shipped)
    model = models.load(whole, "cpu")
    assert torch.equal(learned(model.denoiser).raw, shipped)
    assert not torch.equal(learned(model.denoiser)(), torch.ones(4))


def test_killed_it_resumes_to_the_last_bit(genome, whole, tmp_path, monkeypatch):
    original = Learner.step

    def step(self, number, letters):
        if number == 7:
            raise KeyboardInterrupt
        return original(self, number, letters)

    monkeypatch.setattr(loop.Learner, "step", step)
    with pytest.raises(KeyboardInterrupt):
        train(genmasked(genome), tmp_path / "run", quiet=True, device="cpu")
    monkeypatch.setattr(loop.Learner, "step", original)
    train(genmasked(genome), tmp_path / "run", resume=True, quiet=True, device="cpu")
    assert curve(whole) == curve(tmp_path / "run")
    one, other = (load_file(RunFolder(run).state_file) for run in (whole, tmp_path / "run"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_micro_batches_and_a_compiled_network_train_the_same(genome, whole, tmp_path):
    """The process finds its powers inside the wrapper of torch.compile, and uses them outside its graph."""
    torch.compiler.reset()
    with torch.compiler.set_stance("force_eager"):
        train(genmasked(genome, compile=True), tmp_path / "compiled", quiet=True, device="cpu")
    assert curve(whole) == curve(tmp_path / "compiled")
    train(genmasked(genome, micro_batch_size=3), tmp_path / "pieces", quiet=True, device="cpu")
    one, other = (curve(run)[-1]["valid_nats_per_symbol"] for run in (whole, tmp_path / "pieces"))
    assert one == pytest.approx(other, rel=1e-3)


def test_a_run_starts_from_one_without_schedules_at_power_1_and_the_other_way_round(genome, whole, tmp_path):
    masked = genmasked(genome).model_copy(update={"process": Masked()})
    train(masked, tmp_path / "masked", quiet=True, device="cpu")
    for name, run, recipe in (("there", tmp_path / "masked", genmasked(genome)), ("back", whole, masked)):
        settings = recipe.training.model_copy(update={"start": run, "steps": 2, "learning_rate": 1e-9})
        train(recipe.model_copy(update={"training": settings}), tmp_path / name, quiet=True, device="cpu")
        one, other = (load_file(RunFolder(path).weights_file) for path in (run, tmp_path / name))
        assert one.keys() ^ other.keys() == {"learned.raw"}
        assert all(torch.allclose(one[weight], other[weight], atol=1e-6) for weight in one.keys() & other.keys())
    assert curve(tmp_path / "there")[0]["powers"] == pytest.approx(dict.fromkeys("ACGT", 1.0), abs=1e-4)


def test_a_start_from_other_classes_is_refused(genome, whole):
    other = genmasked(genome)
    weights = {name: weight for name, weight in other.network().state_dict().items() if name != "head.weight"}
    with pytest.raises(
        ConfigError, match=r"has other weights than this recipe's \(head.weight, label_embedding.weight"
    ):
        start._fitted(weights | {"label_embedding.weight": torch.zeros(3, 16)}, other, other)


@pytest.mark.parametrize("settings", [{}, {"optimizer": "muon", "matrix_learning_rate": 0.02}])
def test_adamw_has_them_without_decay(genome, settings):
    recipe = genmasked(genome, weight_decay=0.5, **settings)
    network = recipe.network()
    adamw = optimizer.build(network, recipe.training)[0]
    assert isinstance(adamw, torch.optim.AdamW)
    group = next(g for g in adamw.param_groups if any(p is network.learned.raw for p in g["params"]))
    assert group["weight_decay"] == 0
