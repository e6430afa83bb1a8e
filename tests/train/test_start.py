"""Fine-tuning: a run that starts from the model of another, and masked language modelling as the run before it."""

import math
import shutil

import pytest
import torch
from safetensors.torch import load_file
from stories import tiny_recipe, write_genome

import seqdiff
from seqdiff import model, recipe
from seqdiff.checkpoint import RunFolder
from seqdiff.diffusion.processes import Mlm
from seqdiff.errors import ConfigError, DataError, TrainingError
from seqdiff.files import checksum
from seqdiff.modalities.dna import Dna, Splits
from seqdiff.train import ema
from seqdiff.train.loop import train


@pytest.fixture
def genome(tmp_path):
    return write_genome(tmp_path / "genome.fa")


@pytest.fixture
def first(genome, tmp_path):
    """A run of masked language modelling."""
    mlm = changed(tiny_recipe(genome, steps=40, validate_every=20), process=Mlm())
    train(mlm, tmp_path / "first", quiet=True, device="cpu")
    return tmp_path / "first"


def changed(whole, part=None, **settings):
    """The recipe with other settings in one of its parts, or with other parts."""
    return whole.model_copy(update={part: getattr(whole, part).model_copy(update=settings)} if part else settings)


def kill(monkeypatch, step, whole, out):
    """Train until a step and stop there as if the power had gone."""

    class Killed(BaseException):
        pass

    original = ema.MovingAverage.update

    def update(self, now):
        if now == step:
            raise Killed
        original(self, now)

    with monkeypatch.context() as patched:
        patched.setattr(ema.MovingAverage, "update", update)
        with pytest.raises(Killed):
            train(whole, out, quiet=True, device="cpu")


def weights(run):
    return load_file(RunFolder(run).weights_file)


def test_it_starts_where_the_other_stopped_and_its_origin_is_kept(genome, first, tmp_path):
    fresh, tuned = (tiny_recipe(genome, steps=2, start=start) for start in (None, first))
    for name, each in (("fresh", fresh), ("tuned", tuned)):
        train(each, tmp_path / name, quiet=True, device="cpu")
    loss = {n: RunFolder(tmp_path / n).read_metrics()[0]["nats_per_symbol"] for n in ("fresh", "tuned")}
    assert loss["fresh"] == pytest.approx(math.log(4), abs=1e-6)
    assert loss["tuned"] < 0.95 * loss["fresh"]
    origin = model.load(tmp_path / "tuned").provenance.start
    assert (origin["run"], origin["step"], origin["start"]) == (str(first), 40, None)
    assert origin["checksum"] == checksum(RunFolder(first).weights_file)
    assert RunFolder(tmp_path / "tuned").read_recipe().training.start == first
    assert model.load(tmp_path / "fresh").provenance.start is None


def test_the_first_weights_are_the_model_of_the_other_run(genome, first, tmp_path, monkeypatch):
    seen = []
    original = ema.MovingAverage.__init__

    def spy(self, denoiser, decay):
        original(self, denoiser, decay)
        seen.append({name: tensor.clone() for name, tensor in self.weights().items()})

    monkeypatch.setattr(ema.MovingAverage, "__init__", spy)
    train(tiny_recipe(genome, steps=2, start=first), tmp_path / "run", quiet=True, device="cpu")
    assert all(torch.equal(seen[0][name], tensor) for name, tensor in weights(first).items())


def test_killed_it_resumes_to_the_last_bit_when_the_other_run_is_gone(genome, first, tmp_path, monkeypatch):
    fine = tiny_recipe(genome, start=first)
    train(fine, tmp_path / "whole", quiet=True, device="cpu")
    kill(monkeypatch, 7, fine, tmp_path / "killed")
    shutil.rmtree(first)
    train(fine, tmp_path / "killed", resume=True, quiet=True, device="cpu")
    one, other = weights(tmp_path / "whole"), weights(tmp_path / "killed")
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert model.load(tmp_path / "killed").provenance == model.load(tmp_path / "whole").provenance


def test_a_start_is_no_resume(genome, first, tmp_path):
    with pytest.raises(TrainingError, match="holds a run already: go on with --resume"):
        train(tiny_recipe(genome, start=first), first, quiet=True, device="cpu")
    train(tiny_recipe(genome), tmp_path / "run", quiet=True, device="cpu")
    shutil.rmtree(RunFolder(first).state_file.parent)
    with pytest.raises(TrainingError, match=r"nothing to resume it from.* --from "):
        train(tiny_recipe(genome), first, resume=True, quiet=True, device="cpu")
    with pytest.raises(TrainingError, match=r"training\.start: None -> "):
        train(tiny_recipe(genome, start=first), tmp_path / "run", resume=True, quiet=True, device="cpu")


def test_another_network_alphabet_or_no_run_is_refused_before_anything_is_made(genome, first, tmp_path):
    out = tmp_path / "run"
    fine = tiny_recipe(genome, start=first)
    with pytest.raises(ConfigError, match=r"denoiser\.width: 16 -> 24\n.*--from .* and without --set denoiser\.\.\."):
        train(changed(fine, "denoiser", width=24), out, quiet=True, device="cpu")
    with pytest.raises(ConfigError, match=r"training\.start: .*nowhere: no run directory"):
        train(tiny_recipe(genome, start=tmp_path / "nowhere"), out, quiet=True, device="cpu")
    RunFolder(first).weights_file.write_bytes(b"cut short")
    with pytest.raises(DataError, match="damaged or cut short"):
        train(fine, out, quiet=True, device="cpu")
    RunFolder(first).weights_file.unlink()
    with pytest.raises(ConfigError, match=r"training\.start: .*first holds no model"):
        train(fine, out, quiet=True, device="cpu")
    assert not out.exists()


def test_a_run_of_another_alphabet_is_refused(genome, first, tmp_path, monkeypatch):
    fine = changed(tiny_recipe(genome, start=first), "data", context=64)
    alphabets = property(lambda data: seqdiff.PROTEIN if data.context == 32 else seqdiff.DNA)
    monkeypatch.setattr(Dna, "alphabet", alphabets)
    with pytest.raises(ConfigError, match=r"training\.start: .*first reads protein, this recipe DNA"):
        train(fine, tmp_path / "run", quiet=True, device="cpu")


def test_dropout_is_of_training_alone_and_may_be_another(genome, first, tmp_path):
    fine = changed(tiny_recipe(genome, steps=2, start=first), "denoiser", dropout=0.1)
    train(fine, tmp_path / "run", quiet=True, device="cpu")


def test_what_the_other_run_may_have_seen_is_said(genome, first, tmp_path, caplog):
    fine = changed(tiny_recipe(genome, steps=2, start=first), "data", splits=Splits(valid=0.2, test=0.2))
    with caplog.at_level("WARNING", "seqdiff"):
        train(fine, tmp_path / "run", quiet=True, device="cpu")
    assert "was trained on other data or splits" in caplog.text
    caplog.clear()
    with caplog.at_level("WARNING", "seqdiff"):
        train(tiny_recipe(genome, steps=2, start=first), tmp_path / "same", quiet=True, device="cpu")
    assert "other data" not in caplog.text


def test_a_relative_start_is_found_from_any_folder(genome, first, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "fine.yaml"
    file.write_text(tiny_recipe(genome).to_yaml())
    assert recipe.load(str(file), ["training.start=first"]).training.start == first


def test_masked_language_modelling_is_never_called_a_bound(first, capsys):
    rows = RunFolder(first).read_metrics()
    assert {"nats_per_selected"} <= rows[0].keys()
    assert [row["step"] for row in rows if "valid_nats_per_selected" in row] == [20, 40]
    assert not any("nats_per_symbol" in key for row in rows for key in row if not key.endswith("selected"))
    header = model.load(first).provenance
    assert (header.nats_per_symbol, header.standard_error) == (None, None)
    assert header.step == 40  # the best by its own loss
    losses = [row["nats_per_selected"] for row in rows if "nats_per_selected" in row]
    assert sum(losses[-5:]) < 0.9 * sum(losses[:5])


def test_masked_language_modelling_on_a_terminal_names_what_it_measures(genome, tmp_path, capsys):
    train(changed(tiny_recipe(genome, steps=2), process=Mlm()), tmp_path / "run", device="cpu")
    assert "bits/selected base" in (said := capsys.readouterr().err)
    assert "bits/base" not in said


def test_masked_language_modelling_resumes_to_the_last_bit(genome, tmp_path, monkeypatch):
    mlm = changed(tiny_recipe(genome), process=Mlm())
    train(mlm, tmp_path / "whole", quiet=True, device="cpu")
    kill(monkeypatch, 7, mlm, tmp_path / "killed")
    train(mlm, tmp_path / "killed", resume=True, quiet=True, device="cpu")
    one, other = weights(tmp_path / "whole"), weights(tmp_path / "killed")
    assert all(torch.equal(one[name], other[name]) for name in one)
