"""What TensorBoard reads of a run."""

import math
import sys

import pytest
from stories import curve, same_weights, tiny_recipe, write_genome

from seqdiff.checkpoint import RunFolder
from seqdiff.errors import ConfigError, DataError
from seqdiff.train import events, loop
from seqdiff.train.loop import train

accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")


@pytest.fixture
def genome(tmp_path):
    return write_genome(tmp_path / "genome.fa")


def shown(folder):
    accumulator = accumulators.EventAccumulator(str(folder / "tensorboard"), size_guidance={"scalars": 0, "tensors": 0})
    accumulator.Reload()
    scalars = {
        tag: [(event.step, event.value) for event in accumulator.Scalars(tag)] for tag in accumulator.Tags()["scalars"]
    }
    return scalars, accumulator


def test_tensorboard_shows_what_metrics_say(genome, tmp_path):
    run = tmp_path / "run"
    train(tiny_recipe(genome, tensorboard=True), run, quiet=True, device="cpu")
    scalars, accumulator = shown(run)
    rows = [row for row in curve(run) if "nats_per_symbol" in row]
    assert [step for step, _ in scalars["loss/train (bits a base)"]] == list(range(1, 13))
    for (step, bits), row in zip(scalars["loss/train (bits a base)"], rows, strict=True):
        assert (step, bits) == (row["step"], pytest.approx(row["nats_per_symbol"] / math.log(2), rel=1e-6))
    assert [step for step, _ in scalars["loss/valid (bits a base)"]] == [6, 12]
    assert {"training/learning rate", "training/gradient norm", "training/tokens a second"} <= scalars.keys()
    text = accumulator.Tensors("recipe/text_summary")[0].tensor_proto.string_val[0].decode()
    assert "    training:\n" in text
    assert "learning_rate: 0.01" in text


@pytest.mark.parametrize("clock", [1.0, -3e8])
def test_a_run_that_goes_on_shows_each_step_once_also_with_the_clock_set_back(genome, tmp_path, monkeypatch, clock):
    recipe = tiny_recipe(genome, tensorboard=True)
    train(recipe, tmp_path / "whole", quiet=True, device="cpu")
    original, now = loop.Learner.step, events.time.time

    def step(self, number, letters):
        if number == 7:
            raise KeyboardInterrupt
        return original(self, number, letters)

    with monkeypatch.context() as patched:
        patched.setattr(loop.Learner, "step", step)
        with pytest.raises(KeyboardInterrupt):
            train(recipe, tmp_path / "run", quiet=True, device="cpu")
    monkeypatch.setattr(events.time, "time", lambda: now() + clock)
    train(recipe, tmp_path / "run", resume=True, quiet=True, device="cpu")
    assert len(list((tmp_path / "run" / "tensorboard").iterdir())) == 2
    for tag, points in shown(tmp_path / "whole")[0].items():
        if "second" not in tag:
            assert shown(tmp_path / "run")[0][tag] == points


def test_without_the_package_it_is_said_before_there_is_a_run(genome, tmp_path, monkeypatch):
    monkeypatch.setattr(events, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'seqdiff\[tensorboard\]'"):
        train(tiny_recipe(genome, tensorboard=True), tmp_path / "run", quiet=True, device="cpu")
    assert not (tmp_path / "run").exists()


def test_a_run_can_go_on_with_it_and_its_recipe_says_so(genome, tmp_path):
    train(tiny_recipe(genome, steps=4), tmp_path / "run", quiet=True, device="cpu")
    train(
        tiny_recipe(genome, steps=4, tensorboard=True, keep=1), tmp_path / "run", resume=True, quiet=True, device="cpu"
    )
    assert RunFolder(tmp_path / "run").read_recipe().training.tensorboard
    assert (tmp_path / "run" / "tensorboard").is_dir()


def test_a_run_without_it_does_not_import_it(genome, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    train(tiny_recipe(genome, steps=2, warmup_steps=0), tmp_path / "run", quiet=True, device="cpu")
    assert not (tmp_path / "run" / "tensorboard").exists()


def test_events_that_a_full_disk_does_not_take_stop_the_run_at_its_save_and_are_not_lost(genome, tmp_path, monkeypatch):
    recipe = tiny_recipe(genome, tensorboard=True)
    train(recipe, tmp_path / "whole", quiet=True, device="cpu")
    original, calls = events.Appended._write, []

    def write(self):
        if "tfevents" in str(self._path):
            calls.append(self)
            if len(calls) > 40:
                raise OSError(28, "No space left on device")
        original(self)

    with monkeypatch.context() as patched:
        patched.setattr(events.Appended, "_write", write)
        with pytest.raises(DataError, match=r"tfevents.*: cannot be written: the disk is full"):
            train(recipe, tmp_path / "run", quiet=True, device="cpu")
    train(recipe, tmp_path / "run", resume=True, quiet=True, device="cpu")
    for tag, points in shown(tmp_path / "whole")[0].items():
        if "second" not in tag:
            assert shown(tmp_path / "run")[0][tag] == points
    assert same_weights(tmp_path / "whole", tmp_path / "run")
