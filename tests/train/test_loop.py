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
from safetensors import safe_open
from safetensors.torch import load_file
from stories import curve, same_weights, tiny_recipe, write_genome

from seqdiff import recipe as recipes
from seqdiff.checkpoint import RunFolder
from seqdiff.denoisers import Mamba, denoiser
from seqdiff.errors import ConfigError, DataError, TrainingError, UsageError
from seqdiff.train import ema, loop
from seqdiff.train.loop import train


@pytest.fixture
def genome(tmp_path):
    return write_genome(tmp_path / "genome.fa")


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


@pytest.mark.parametrize(("when", "log_every"), [(3, 1), (4, 5), (5, 1), (7, 5), (11, 3)])
def test_killed_at_any_step_it_resumes_to_the_last_bit(genome, tmp_path, monkeypatch, when, log_every):
    recipe = tiny_recipe(genome, log_every=log_every)
    train(recipe, tmp_path / "whole", quiet=True, device="cpu")

    class Killed(BaseException):
        pass

    original = ema.MovingAverage.update

    def update(self, step):
        if step == when:
            raise Killed
        original(self, step)

    monkeypatch.setattr(ema.MovingAverage, "update", update)
    with pytest.raises(Killed):
        train(recipe, tmp_path / "killed", quiet=True, device="cpu")
    monkeypatch.setattr(ema.MovingAverage, "update", original)
    train(recipe, tmp_path / "killed", resume=True, quiet=True, device="cpu")
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
    while not (RunFolder(out).state_file.is_file() and max([row["step"] for row in curve(out)], default=0) > step):
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
    with pytest.raises(TrainingError, match="training data or their splits have changed"):
        train(tiny_recipe(genome), tmp_path / "run", resume=True, quiet=True, device="cpu")


def test_a_finished_run_resumed_is_left_as_it_is(genome, tmp_path):
    train(tiny_recipe(genome), tmp_path / "run", quiet=True, device="cpu")
    before = RunFolder(tmp_path / "run").weights_file.read_bytes()
    train(tiny_recipe(genome), tmp_path / "run", resume=True, quiet=True, device="cpu")
    assert RunFolder(tmp_path / "run").weights_file.read_bytes() == before


def test_a_finished_run_that_lost_its_model_gets_it_back(genome, tmp_path):
    train(tiny_recipe(genome), tmp_path / "run", quiet=True, device="cpu")
    folder = RunFolder(tmp_path / "run")
    before = load_file(folder.weights_file)
    folder.weights_file.unlink()
    train(tiny_recipe(genome), tmp_path / "run", resume=True, quiet=True, device="cpu")
    after = load_file(folder.weights_file)
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_two_trainings_into_one_folder_are_refused(genome, tmp_path):
    with RunFolder(tmp_path / "run").locked(), pytest.raises(TrainingError, match="is training into this folder"):
        train(tiny_recipe(genome), tmp_path / "run", quiet=True, device="cpu")


@pytest.mark.parametrize(("poisoned", "save_every", "log_every", "last_good"), [
    (10, 4, 1, "step 8"), (8, 4, 1, "step 4"), (12, 4, 1, "step 8"), (6, 2, 12, "step 4"), (3, 4, 12, "none yet"),
])  # fmt: skip
def test_a_bad_gradient_stops_with_the_step_and_never_becomes_the_last_good_save(
    genome, tmp_path, monkeypatch, poisoned, save_every, log_every, last_good
):
    original = loop.Learner.step

    def step(self, number, letters):
        if number == poisoned:
            next(self.denoiser.parameters()).grad.fill_(math.nan)
        return original(self, number, letters)

    monkeypatch.setattr(loop.Learner, "step", step)
    recipe = tiny_recipe(genome, save_every=save_every, log_every=log_every, validate_every=100)
    with pytest.raises(TrainingError, match=rf"not a number at step \d+; .*last good save: {last_good}"):
        train(recipe, tmp_path / "run", quiet=True, device="cpu")
    tensors, position = RunFolder(tmp_path / "run").read_state()
    assert f"step {position['step']}" == ("step 0" if last_good == "none yet" else last_good)
    assert all(t.isfinite().all() for t in tensors.values())


def test_a_loss_that_grows_is_not_saved_and_then_stops_the_run(genome, tmp_path, monkeypatch):
    original = loop.Learner.step

    def step(self, number, letters):
        norm = original(self, number, letters)
        if number >= 6:
            self.denoiser.head.weight.data.fill_(100.0 * (1 if number % 2 else -1)).mul_(torch.arange(4)[:, None])
        return norm

    monkeypatch.setattr(loop.Learner, "step", step)
    with pytest.raises(TrainingError, match=r"has grown to .* bits a symbol at step 9; .*last good save: step 6"):
        train(tiny_recipe(genome, save_every=1, validate_every=100), tmp_path / "run", quiet=True, device="cpu")
    assert RunFolder(tmp_path / "run").read_state()[1]["step"] == 6


def test_a_model_without_a_state_is_not_overwritten(genome, tmp_path):
    train(tiny_recipe(genome), tmp_path / "run", quiet=True, device="cpu")
    for file in RunFolder(tmp_path / "run").saves:
        file.unlink()
    for resume in (False, True):
        with pytest.raises(TrainingError, match="holds a model, but nothing to resume"):
            train(tiny_recipe(genome), tmp_path / "run", resume=resume, quiet=True, device="cpu")


def test_other_splits_are_not_resumed(genome, tmp_path):
    held_out = tmp_path / "test.bed"
    held_out.write_text("chrA\t0\t500\n")
    places = {"valid": "chrA:5001-6000", "test": str(held_out)}
    recipe = tiny_recipe(genome)
    recipe = recipe.model_copy(update={"data": type(recipe.data)(**recipe.data.model_dump() | {"splits": places})})
    train(recipe, tmp_path / "run", quiet=True, device="cpu")
    held_out.write_text("chrA\t0\t600\n")
    with pytest.raises(TrainingError, match="or their splits have changed"):
        train(recipe, tmp_path / "run", resume=True, quiet=True, device="cpu")


def test_what_a_killed_save_left_is_cleared_away(genome, tmp_path):
    (tmp_path / "run" / "resume").mkdir(parents=True)
    left = tmp_path / "run" / "resume" / ".state.safetensors.abc.partial"
    left.write_text("half")
    train(tiny_recipe(genome), tmp_path / "run", quiet=True, device="cpu")
    assert not left.exists()


@pytest.mark.parametrize("settings", [{"dropout": 0.2}, {"kind": "transformer", "width": 16, "depth": 1, "heads": 2},
                                      {"kind": "caduceus", "width": 8, "depth": 1, "states": 2}])  # fmt: skip
def test_other_networks_resume_to_the_last_bit_too(genome, tmp_path, monkeypatch, settings):
    recipe = tiny_recipe(genome)
    kept = {} if "kind" in settings else recipe.denoiser.model_dump()
    changed = recipes.parse(recipe.model_dump(mode="json", by_alias=True) | {"denoiser": kept | settings}, "test")
    train(changed, tmp_path / "whole", quiet=True, device="cpu")
    original = loop.Learner.step

    def step(self, number, letters):
        if number == 6:
            raise KeyboardInterrupt
        return original(self, number, letters)

    monkeypatch.setattr(loop.Learner, "step", step)
    with pytest.raises(KeyboardInterrupt):
        train(changed, tmp_path / "run", quiet=True, device="cpu")
    monkeypatch.setattr(loop.Learner, "step", original)
    train(changed, tmp_path / "run", resume=True, quiet=True, device="cpu")
    assert curve(tmp_path / "whole") == curve(tmp_path / "run")
    assert same_weights(tmp_path / "whole", tmp_path / "run")


def test_activation_checkpointing_trains_the_same_to_the_last_bit(genome, tmp_path, monkeypatch):
    train(tiny_recipe(genome, steps=4), tmp_path / "plain", quiet=True, device="cpu")
    layers = []
    original = denoiser.checkpoint
    monkeypatch.setattr(denoiser, "checkpoint", lambda layer, *a, **k: layers.append(layer) or original(layer, *a, **k))
    train(tiny_recipe(genome, steps=4, activation_checkpointing=True), tmp_path / "again", quiet=True, device="cpu")
    assert len(layers) >= 4 * 2  # two layers in each of four steps
    assert curve(tmp_path / "plain") == curve(tmp_path / "again")
    assert same_weights(tmp_path / "plain", tmp_path / "again")


def test_compile_trains_the_same_losses(genome, tmp_path):
    train(tiny_recipe(genome, steps=3), tmp_path / "plain", quiet=True, device="cpu")
    torch.compiler.reset()
    with torch.compiler.set_stance("force_eager"):  # the wrapper without the minute of compiling
        train(tiny_recipe(genome, steps=3, compile=True), tmp_path / "compiled", quiet=True, device="cpu")
    assert curve(tmp_path / "plain") == curve(tmp_path / "compiled")


def shorten(file):
    file.write_bytes(file.read_bytes()[:-100])


def empty(file):
    file.write_bytes(b"")


def flip(file):
    content = bytearray(file.read_bytes())
    content[-200] ^= 4
    file.write_bytes(content)


@pytest.mark.parametrize("damage", [shorten, empty, flip])
def test_a_damaged_save_is_said_and_the_one_before_it_ends_in_the_same_weights(genome, tmp_path, caplog, damage):
    settings = {"save_every": 2, "keep": 3}
    train(tiny_recipe(genome, **settings), tmp_path / "whole", quiet=True, device="cpu")
    folder = RunFolder(tmp_path / "run")
    train(tiny_recipe(genome, **settings), folder.path, quiet=True, device="cpu")
    assert [file.name for file in folder.saves] == [
        "state.safetensors", "state-1.safetensors", "state-2.safetensors"
    ]  # fmt: skip
    damage(folder.state_file)
    damage(folder.saves[1])
    train(tiny_recipe(genome, **settings), folder.path, resume=True, quiet=True, device="cpu")
    assert caplog.text.count("safetensors: damaged") == 2
    assert "going on from an earlier save, of step 8" in caplog.text
    assert curve(tmp_path / "whole") == curve(folder.path)
    assert same_weights(tmp_path / "whole", folder.path)
    assert [position["step"] for position in map(header_of, folder.saves)] == [12, 10, 8]  # no damaged one moved up


def header_of(file):
    with safe_open(file, framework="pt") as opened:
        return json.loads(opened.metadata()["seqdiff"])


def test_where_no_save_is_whole_it_is_refused(genome, tmp_path):
    folder = RunFolder(tmp_path / "run")
    train(tiny_recipe(genome), folder.path, quiet=True, device="cpu")
    for file in folder.saves:
        flip(file)
    with pytest.raises(
        DataError, match=r"state.safetensors: damaged: its checksum(.|\n)*no save of .* is whole, so it"
    ):
        train(tiny_recipe(genome), folder.path, resume=True, quiet=True, device="cpu")


def test_a_model_that_was_written_before_the_first_save_is_due_can_be_resumed(genome, tmp_path, monkeypatch):
    recipe = tiny_recipe(genome, steps=9, validate_every=2, save_every=100, keep=1)
    train(recipe, tmp_path / "whole", quiet=True, device="cpu")
    original = loop.Learner.step

    def step(self, number, letters):
        if number == 5:
            raise KeyboardInterrupt
        return original(self, number, letters)

    monkeypatch.setattr(loop.Learner, "step", step)
    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path / "run", quiet=True, device="cpu")
    assert RunFolder(tmp_path / "run").weights_file.is_file()
    monkeypatch.setattr(loop.Learner, "step", original)
    train(recipe, tmp_path / "run", resume=True, quiet=True, device="cpu")
    assert curve(tmp_path / "whole") == curve(tmp_path / "run")
    assert same_weights(tmp_path / "whole", tmp_path / "run")


def test_a_run_that_goes_on_elsewhere_says_what_is_different_there(genome, tmp_path, caplog, monkeypatch):
    recipe, folder = tiny_recipe(genome, steps=8), RunFolder(tmp_path / "run")
    there = {"device": "NVIDIA H100 80GB HBM3", "precision": "bfloat16"}
    with monkeypatch.context() as patched:
        patched.setattr(loop, "where", lambda *_: there)
        train(recipe, folder.path, quiet=True, device="cpu")
    assert header_of(folder.state_file)["where"] == there
    with pytest.raises(UsageError, match=r"--device cuda: not usable here .*use cpu"):
        train(recipe, folder.path, resume=True, quiet=True, device="cuda")
    caplog.clear()
    train(recipe, folder.path, resume=True, quiet=True, device="auto")
    assert "was trained on NVIDIA H100 80GB HBM3 in bfloat16 so far and goes on on the CPU in float32" in caplog.text


def test_a_folder_that_goes_away_stops_the_run_and_is_not_made_again(genome, tmp_path, monkeypatch):
    original = loop.Learner.step

    def step(self, number, letters):
        if number == 5:
            (tmp_path / "run").rename(tmp_path / "moved")
        return original(self, number, letters)

    monkeypatch.setattr(loop.Learner, "step", step)
    recipe = tiny_recipe(genome, steps=9)
    with pytest.raises(DataError, match="run: this folder was moved or removed while it was being written to"):
        train(recipe, tmp_path / "run", quiet=True, device="cpu")
    assert not (tmp_path / "run").exists()
    monkeypatch.setattr(loop.Learner, "step", original)
    train(recipe, tmp_path / "moved", resume=True, quiet=True, device="cpu")
    train(recipe, tmp_path / "whole", quiet=True, device="cpu")
    assert same_weights(tmp_path / "whole", tmp_path / "moved")


def test_fewer_saves_are_kept_where_the_recipe_says_so(genome, tmp_path):
    train(tiny_recipe(genome, keep=1), tmp_path / "run", quiet=True, device="cpu")
    assert [file.name for file in (tmp_path / "run/resume").iterdir()] == ["state.safetensors"]


@pytest.mark.parametrize("damage", [shorten, empty, flip])
def test_a_damaged_model_is_made_again_of_the_last_save_and_measured(genome, tmp_path, caplog, damage):
    folder = RunFolder(tmp_path / "run")
    train(tiny_recipe(genome), folder.path, quiet=True, device="cpu")
    before = {name: tensor.clone() for name, tensor in load_file(folder.weights_file).items()}  # no map of the file
    damage(folder.weights_file)
    stopped = train(tiny_recipe(genome), folder.path, resume=True, quiet=True, device="cpu")
    assert "model.safetensors: damaged" in caplog.text
    after = load_file(folder.weights_file)
    assert all(torch.equal(before[name], after[name]) for name in before)
    measured = next(row for row in folder.read_metrics()[::-1] if "valid_nats_per_symbol" in row)
    assert stopped.nats_per_symbol == measured["valid_nats_per_symbol"]


def test_a_missing_genome_leaves_nothing_behind(tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.fa"):
        train(tiny_recipe(tmp_path / "nowhere.fa"), tmp_path / "run", quiet=True, device="cpu")
    assert not (tmp_path / "run").exists()


def test_a_network_that_cannot_compute_here_leaves_nothing_behind(genome, tmp_path, monkeypatch):
    tiny = tiny_recipe(genome)
    mamba = tiny.model_copy(update={"denoiser": Mamba(width=8, depth=1)})
    monkeypatch.setenv("SEQDIFF_PATH", "nonsense")
    with pytest.raises(ConfigError, match="SEQDIFF_PATH=nonsense"):
        train(mamba, tmp_path / "run", quiet=True, device="cpu")
    assert not (tmp_path / "run").exists()


def test_one_strand_alone_is_said_once_with_the_cure(genome, tmp_path, caplog):
    tiny = tiny_recipe(genome, steps=2, warmup_steps=0)
    one = tiny.model_copy(update={"data": tiny.data.model_copy(update={"reverse_complement": False})})
    for recipe, resume, times in ((one, False, 1), (one, True, 0), (tiny, False, 0)):
        caplog.clear()
        with caplog.at_level("WARNING", "seqdiff"):
            train(recipe, tmp_path / str(recipe is one), resume=resume, quiet=True, device="cpu")
        assert caplog.text.count("--set data.reverse_complement=true") == times


def test_metrics_are_json_lines(genome, tmp_path):
    train(tiny_recipe(genome), tmp_path / "run", quiet=True, device="cpu")
    rows = [json.loads(line) for line in RunFolder(tmp_path / "run").metrics_file.read_text().splitlines()]
    logged = [row for row in rows if "nats_per_symbol" in row]
    assert [row["step"] for row in logged] == list(range(1, 13))
    assert {"tokens", "learning_rate", "gradient_norm", "tokens_per_second"} <= logged[0].keys()
    assert [row["tokens"] for row in logged] == [row["step"] * 8 * 32 for row in logged]
    assert [row["step"] for row in rows if "valid_nats_per_symbol" in row] == [6, 12]


def test_a_batch_that_cannot_be_shared_is_refused():
    with pytest.raises(ConfigError, match="cannot be shared by 3 processes"):
        loop.Processes(0, 3).check(8)


def test_shares_are_contiguous_and_alike():
    for world in (1, 2, 3, 5):
        shares = [loop.Processes(rank, world).share(11) for rank in range(world)]
        assert [row for share in shares for row in share] == list(range(11))
        assert max(map(len, shares)) - min(map(len, shares)) <= 1
    assert not loop.Processes(0, 3).share(2)
