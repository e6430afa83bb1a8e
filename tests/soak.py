"""A long training that is killed again and again must end as one that nobody disturbs, bit for bit.

    python tests/soak.py --minutes 60 --every 120 --out runs/soak

Two trainings of one recipe go on beside each other. One is left alone. The other is killed every `--every` seconds, as
the seed draws it: kill -9 at any moment, kill -9 in the middle of a save, SIGTERM, a kill -9 after which the last save
is cut short, a kill -9 after which a bit of it is flipped, and, for root, a stretch on a disk that fills up. After
`--minutes` it is stopped, the other one goes on to the same step, and weights, averages, optimizer state, metrics and
model are compared. Every hazard is printed with the step from which the run went on; the exit status is 1 where
anything differs.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file

from seqdiff.checkpoint import RunFolder

sys.path.insert(0, str(Path(__file__).parent))
from stories import tiny_recipe, write_genome

HAZARDS = ["kill"] * 4 + ["save"] * 3 + ["term"] * 2 + ["truncate", "flip", "full"]
STEPS = 10**8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--every", type=float, default=120, help="seconds between two hazards, on average")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--width", type=int, default=96, help="of the network")
    parser.add_argument("--hazards", nargs="+", choices=sorted(set(HAZARDS)), help="these, once each, and no time")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True)
    soak = Soak(arguments.out, arguments.width, random.Random(arguments.seed))
    try:
        soak.disturb(60 * arguments.minutes, arguments.every, arguments.hazards)
        sys.exit(soak.compare())
    finally:
        soak.other.kill()


class Soak:
    def __init__(self, out: Path, width: int, draws: random.Random):
        self.out, self.draws, self.began = out, draws, time.monotonic()
        genome = write_genome(out / "genome.fa", length=200_000)
        recipe = tiny_recipe(
            genome, steps=STEPS, batch_size=16, log_every=5, validate_every=60, save_every=20, learning_rate=1e-3
        )
        recipe = recipe.model_copy(update={"denoiser": recipe.denoiser.model_copy(
            update={"width": width, "hidden": 2 * width, "depth": 4, "dropout": 0.1})})  # fmt: skip
        self.recipe = out / "soak.yaml"
        self.recipe.write_text(recipe.to_yaml())
        self.disturbed, self.undisturbed = RunFolder(out / "disturbed"), RunFolder(out / "undisturbed")
        self.allowed = out / "allowed.json"
        self.allow(0)
        self.other = subprocess.Popen([sys.executable, str(Path(__file__).resolve()), "follow", str(out)])
        self.counts: Counter[str] = Counter()

    def say(self, text: str) -> None:
        print(f"{time.monotonic() - self.began:7.0f} s  {text}", flush=True)

    def allow(self, step: int, stop: bool = False) -> None:
        """Let the training that is left alone go as far as `step`, and stop there."""
        new = self.allowed.with_suffix(".new")
        new.write_text(json.dumps({"step": step, "stop": stop}))
        new.replace(self.allowed)

    def step(self) -> int:
        """The step of the last save that can be read."""
        for file in self.disturbed.saves:
            try:
                with safe_open(file, framework="pt") as opened:
                    return json.loads(opened.metadata()["seqdiff"])["step"]
            except Exception:
                continue
        return 0

    def start(self, out: Path | None = None) -> subprocess.Popen:
        command = [sys.executable, "-m", "seqdiff", "train", str(self.recipe), "--out", str(out or self.disturbed.path)]
        command += ["--resume", "--device", "cpu", "-@", "1", "--quiet"]
        return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)

    def disturb(self, seconds: float, every: float, these: list[str] | None) -> None:
        process = self.start()
        for hazard in these or self.drawn(seconds):
            wait = every * self.draws.uniform(0.3, 1.7)
            self.wait(process, wait if these else min(wait, self.began + seconds - time.monotonic()))
            getattr(self, hazard)(process)
            self.counts[hazard] += 1
            self.say(f"{hazard:<8} at step {self.step():,} saved")
            process = self.start()
        self.wait(process, 0)
        self.term(process)
        self.allow(self.step(), stop=True)
        self.say(f"stopped at step {self.step():,} after {dict(self.counts)}")

    def drawn(self, seconds: float) -> Iterator[str]:
        """Hazards for so long; a disk that fills up takes root to make."""
        while time.monotonic() < self.began + seconds:
            hazard = self.draws.choice(HAZARDS)
            if hazard != "full" or os.getuid() == 0:
                yield hazard

    def wait(self, process: subprocess.Popen, seconds: float) -> None:
        """For so long, and until the run has gone on from where it stood."""
        first, until = self.step(), time.monotonic() + seconds
        while time.monotonic() < until or self.step() <= first:
            assert process.poll() is None, f"the training ended of itself: {process.stderr.read()}"
            self.allow(max(0, self.step() - 60))
            time.sleep(0.2)

    def kill(self, process: subprocess.Popen) -> None:
        process.kill()
        process.wait()

    def save(self, process: subprocess.Popen) -> None:
        """In the middle of a save: its partial file is there."""
        while not any(self.disturbed.state_file.parent.glob(".state*.partial")):
            assert process.poll() is None, process.stderr.read()
        self.kill(process)
        if not any(self.disturbed.state_file.parent.glob(".state*.partial")):
            self.counts["save that was whole by then"] += 1

    def term(self, process: subprocess.Popen) -> None:
        process.terminate()
        _, said = process.communicate()
        assert process.returncode == 128 + signal.SIGTERM, said
        assert "saved; go on with" in said, said

    def truncate(self, process: subprocess.Popen) -> None:
        self.two_saves()
        self.kill(process)
        size = self.disturbed.state_file.stat().st_size
        os.truncate(self.disturbed.state_file, self.draws.randrange(size))
        self.told()

    def flip(self, process: subprocess.Popen) -> None:
        self.two_saves()
        self.kill(process)
        with open(self.disturbed.state_file, "r+b") as file:
            size = self.disturbed.state_file.stat().st_size
            place = self.draws.randrange(size // 2, size)
            file.seek(place)
            byte = file.read(1)[0]
            file.seek(place)
            file.write(bytes([byte ^ 1 << self.draws.randrange(8)]))
        self.told()

    def two_saves(self) -> None:
        while len(self.disturbed.saves) < 2:
            time.sleep(0.2)

    def told(self) -> None:
        """The next start says that the save is damaged; it is killed as soon as it has said it."""
        process = self.start()
        for line in process.stderr:
            if "damaged" in line and "going on from an earlier save" in line:
                break
        else:
            raise AssertionError("nothing was said of the damaged save")
        self.kill(process)

    def full(self, process: subprocess.Popen) -> None:
        """The folder moves to a disk with too little room for another save, and back."""
        self.kill(process)
        size = sum(file.stat().st_size for file in self.disturbed.path.rglob("*") if file.is_file())
        size += self.disturbed.state_file.stat().st_size // 2
        mount = self.out / "small"
        mount.mkdir(exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", mount], check=True)
        try:
            shutil.copytree(self.disturbed.path, mount / "run")
            process = self.start(mount / "run")
            _, said = process.communicate()
            assert process.returncode == 1, said
            assert "the disk is full" in said, said
            assert "Traceback" not in said, said
            shutil.rmtree(self.disturbed.path)
            shutil.copytree(mount / "run", self.disturbed.path)
        finally:
            subprocess.run(["umount", mount], check=True)

    def compare(self) -> int:
        """0 where the two trainings have come to the same, to the last bit."""
        assert self.other.wait() == 0, "the undisturbed training failed"
        one, two = self.disturbed, self.undisturbed
        wrong = [
            f"{name} of {file.name}"
            for file, other in ((one.state_file, two.state_file), (one.weights_file, two.weights_file))
            for name in _unlike(load_file(file), load_file(other))
        ]
        if _position(one) != _position(two):
            wrong.append(f"positions: {_position(one)} {_position(two)}")
        if _curve(one) != _curve(two):
            wrong.append("metrics.jsonl")
        tensors = len(load_file(one.state_file))
        self.say(f"step {self.step():,}: {tensors} tensors and {len(_curve(one)):,} lines of metrics compared")
        self.say("they differ: " + ", ".join(wrong) if wrong else "the same to the last bit")
        return int(bool(wrong))


def _unlike(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> list[str]:
    return [name for name in one | two if name not in one or name not in two or not torch.equal(one[name], two[name])]


def _position(run: RunFolder) -> dict[str, object]:
    with safe_open(run.state_file, framework="pt") as file:
        position = json.loads(file.metadata()["seqdiff"])
    return {key: value for key, value in position.items() if key != "memory"}


def _curve(run: RunFolder) -> list[dict[str, object]]:
    return [{k: v for k, v in row.items() if k != "tokens_per_second"} for row in run.read_metrics()]


def follow(out: Path) -> None:
    """The training that is left alone, never further than it is allowed."""
    from contextlib import contextmanager

    from seqdiff import recipe as recipes
    from seqdiff.train import loop

    class Received:
        """Asked once a step whether to stop after it."""

        taken = 0

        @property
        def number(self) -> int:
            self.taken += 1
            while True:
                allowed = json.loads((out / "allowed.json").read_text())
                if self.taken < allowed["step"]:
                    return 0
                if allowed["stop"]:
                    return signal.SIGTERM
                time.sleep(0.2)

    @contextmanager
    def wishes():
        yield Received()

    torch.set_num_threads(1)
    loop.stop_wishes = wishes
    loop.train(recipes.load(str(out / "soak.yaml")), out / "undisturbed", device="cpu", quiet=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["follow"]:
        follow(Path(sys.argv[2]))
    else:
        main()
