"""Stories: a run learns; killed at any moment it goes on to the last bit; what is wrong is said."""

import json
import math
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from safetensors.torch import load_file
from stories import tiny_recipe, write_genome

from seqdiff.checkpoint import RunFolder
from seqdiff.errors import ConfigError, DataError, TrainingError
from seqdiff.train import loop
from seqdiff.train.loop import train


@pytest.fixture
def genome(tmp_path):
    return write_genome(tmp_path / "genome.fa")


def curve(folder):
    return [{k: v for k, v in row.items() if k != "tokens_per_second"} for row in RunFolder(folder).read_metrics()]


def same_weights(a, b):
    first, second = load_file(RunFolder(a).weights_file), load_file(RunFolder(b).weights_file)
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


def test_a_run_learns_and_leaves_the_run_directory(genome, tmp_path):
    out = tmp_path / "run"
    stopped = train(tiny_recipe(genome, steps=60, validate_every=30), out, quiet=True, device="cpu")
    rows = curve(out)
    assert rows[0]["nats_per_symbol"] == pytest.approx(math.log(4), abs=1e-6)  # a zero head costs ln K
    assert stopped.nats_per_symbol < 0.85 * math.log(4)
    assert {p.name for p in out.iterdir()} == {".lock", "recipe.yaml", "model.safetensors", "resume", "metrics.jsonl"}
    assert RunFolder(out).read_recipe().training.steps == 60


def test_two_runs_of_a_recipe_are_the_same(genome, tmp_path):
    for name in ("a", "b"):
        train(tiny_recipe(genome), tmp_path / name, quiet=True, device="cpu")
    assert curve(tmp_path / "a") == curve(tmp_path / "b")
    assert same_weights(tmp_path / "a", tmp_path / "b")


def test_micro_batches_change_nothing_but_rounding(genome, tmp_path):
    train(tiny_recipe(genome), tmp_path / "a", quiet=True, device="cpu")
    train(tiny_recipe(genome, micro_batch_size=3), tmp_path / "b", quiet=True, device="cpu")
    a, b = curve(tmp_path / "a"), curve(tmp_path / "b")
    for one, other in zip(a, b):
        assert one == pytest.approx(other, rel=1e-3)


@pytest.mark.parametrize("when", [3, 4, 5, 7, 11])
def test_killed_at_any_step_it_resumes_to_the_last_bit(genome, tmp_path, monkeypatch, when):
    train(tiny_recipe(genome), tmp_path / "whole", quiet=True, device="cpu")

    class Killed(BaseException):
        pass

    original = loop.MovingAverage.update

    def update(self, step):
        if step == when:
            raise Killed
        original(self, step)

    monkeypatch.setattr(loop.MovingAverage, "update", update)
    with pytest.raises(Killed):
        train(tiny_recipe(genome), tmp_path / "killed", quiet=True, device="cpu")
    monkeypatch.setattr(loop.MovingAverage, "update", original)
    train(tiny_recipe(genome), tmp_path / "killed", resume=True, quiet=True, device="cpu")
    assert curve(tmp_path / "whole") == curve(tmp_path / "killed")
    assert same_weights(tmp_path / "whole", tmp_path / "killed")


def run_process(genome, out):
    recipe_file = genome.parent / "tiny.yaml"
    recipe_file.write_text(tiny_recipe(genome, steps=100_000, log_every=1, save_every=5, validate_every=5000).to_yaml())
    arguments = [
        sys.executable,
        "-m",
        "seqdiff",
        "train",
        str(recipe_file),
        "--out",
        str(out),
        "--device",
        "cpu",
        "-@",
        "1",
    ]
    return subprocess.Popen([*arguments, "--resume"], stderr=subprocess.PIPE, text=True)


def wait_for_step(out, process, step):
    """Wait until a run in another process has saved a step, and logged further ones."""
    deadline = time.monotonic() + 90
    while not (RunFolder(out).state_file.is_file() and max(row["step"] for row in curve(out)) > step):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_kill_9_of_a_real_process_loses_nothing_saved(genome, tmp_path):
    out = tmp_path / "run"
    process = run_process(genome, out)
    wait_for_step(out, process, 7)
    process.kill()
    process.wait()
    killed_at = RunFolder(out).read_state()[1]["step"]
    assert killed_at >= 5
    process = run_process(genome, out)
    wait_for_step(out, process, killed_at + 10)
    process.send_signal(signal.SIGTERM)
    _, messages = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert f"resuming {out} after step {killed_at:,}" in messages
    assert "saved; go on with" in messages
    steps = [row["step"] for row in curve(out)]
    assert steps == list(range(1, RunFolder(out).read_state()[1]["step"] + 1))
    assert RunFolder(out).weights_file.is_file()  # a stopped run has a model to use


def test_ctrl_c_saves_and_says_how_to_go_on(genome, tmp_path):
    out = tmp_path / "run"
    process = run_process(genome, out)
    wait_for_step(out, process, 7)
    process.send_signal(signal.SIGINT)
    _, messages = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGINT
    assert "--resume" in messages
    assert "Traceback" not in messages


def test_an_existing_run_is_not_overwritten(genome, tmp_path):
    train(tiny_recipe(genome), tmp_path / "run", quiet=True, device="cpu")
    with pytest.raises(TrainingError, match="holds a run already: go on with --resume"):
        train(tiny_recipe(genome), tmp_path / "run", quiet=True, device="cpu")


def test_another_recipe_is_not_resumed(genome, tmp_path):
    train(tiny_recipe(genome), tmp_path / "run", quiet=True, device="cpu")
    with pytest.raises(TrainingError, match=r"training.learning_rate: 0.01 -> 0.02"):
        train(tiny_recipe(genome, learning_rate=0.02), tmp_path / "run", resume=True, quiet=True, device="cpu")


def test_changed_data_are_not_resumed(genome, tmp_path):
    train(tiny_recipe(genome), tmp_path / "run", quiet=True, device="cpu")
    text = genome.read_text()
    genome.write_text(text.replace("ACGTTGCA", "ACGTTGCC", 1))
    os.utime(genome, ns=(1, 1))
    with pytest.raises(TrainingError, match="training data have changed"):
        train(tiny_recipe(genome), tmp_path / "run", resume=True, quiet=True, device="cpu")


def test_a_finished_run_resumed_is_left_as_it_is(genome, tmp_path):
    train(tiny_recipe(genome), tmp_path / "run", quiet=True, device="cpu")
    before = RunFolder(tmp_path / "run").weights_file.read_bytes()
    train(tiny_recipe(genome), tmp_path / "run", resume=True, quiet=True, device="cpu")
    assert RunFolder(tmp_path / "run").weights_file.read_bytes() == before


def test_two_trainings_into_one_folder_are_refused(genome, tmp_path):
    with RunFolder(tmp_path / "run").locked(), pytest.raises(TrainingError, match="another process is training"):
        train(tiny_recipe(genome), tmp_path / "run", quiet=True, device="cpu")


def test_a_diverging_loss_stops_with_the_step_and_the_last_good_save(genome, tmp_path, monkeypatch):
    original = loop.nn.utils.clip_grad_norm_

    def explode(parameters, largest):
        parameters = list(parameters)
        if len(curve(tmp_path / "run")) >= 9:
            for p in parameters:
                p.data.fill_(math.nan)
        return original(parameters, largest)

    monkeypatch.setattr(loop.nn.utils, "clip_grad_norm_", explode)
    with pytest.raises(TrainingError, match=r"not a number at step \d+; .*last good save: step 8"):
        train(tiny_recipe(genome), tmp_path / "run", quiet=True, device="cpu")
    assert RunFolder(tmp_path / "run").read_state()[1]["step"] == 8


def test_a_damaged_save_is_named(genome, tmp_path):
    train(tiny_recipe(genome), tmp_path / "run", quiet=True, device="cpu")
    file = RunFolder(tmp_path / "run").state_file
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(DataError, match=r"state.safetensors: damaged or cut short"):
        train(tiny_recipe(genome), tmp_path / "run", resume=True, quiet=True, device="cpu")


def test_a_missing_genome_leaves_nothing_behind(tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.fa"):
        train(tiny_recipe(tmp_path / "nowhere.fa"), tmp_path / "run", quiet=True, device="cpu")
    assert not (tmp_path / "run").exists()


def test_metrics_are_json_lines(genome, tmp_path):
    train(tiny_recipe(genome), tmp_path / "run", quiet=True, device="cpu")
    rows = [json.loads(line) for line in RunFolder(tmp_path / "run").metrics_file.read_text().splitlines()]
    logged = [row for row in rows if "nats_per_symbol" in row]
    assert [row["step"] for row in logged] == list(range(1, 13))
    assert {"tokens", "learning_rate", "gradient_norm", "tokens_per_second"} <= logged[0].keys()
    assert [row["step"] for row in rows if "valid_nats_per_symbol" in row] == [6, 12]


def test_a_batch_that_cannot_be_shared_is_refused():
    with pytest.raises(ConfigError, match="cannot be shared by 3 processes"):
        loop.Processes(0, 3).rows(8)
