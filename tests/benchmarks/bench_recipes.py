"""Caduceus, a convolution and a transformer of equal size and equal time: what a base costs as they learn.

    python tests/benchmarks/bench_recipes.py train runs/recipes/chr20
    python tests/benchmarks/bench_recipes.py train runs/recipes/yeast --fasta yeast.fa.gz --minutes 6
    python tests/benchmarks/bench_recipes.py show runs/recipes/chr20 runs/recipes/yeast --figure docs/recipes.png

`train` measures first how many tokens each network learns from in a second of one core, by turns, and gives each the
steps that fill `--minutes` at its own rate; then it trains them with `seqdiff train`, one thread each, two at a time.
So time is tokens / rate: whatever else runs on the machine favours none of them. The recipe is `caduceus-demo`; of the
other two networks `OTHERS` says what differs. `show` asks all of them for the bound on the same held-out windows
through the same masks.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from rounds import machine

import seqdiff
from seqdiff import recipe as recipes
from seqdiff.diffusion.likelihood import elbo
from seqdiff.evaluate.statistics import ratio
from seqdiff.recipe import Recipe
from seqdiff.report import style
from seqdiff.streams import Streams
from seqdiff.train.learner import Learner

RECIPE = "caduceus-demo"
DEMO = (
    "data.reverse_complement=true",
    "training.optimizer=muon",
    "training.learning_rate=4.0e-3",
    "training.matrix_learning_rate=0.02",
    "training.weight_decay=0.01",
    "training.batch_size=8",
)
"""How the other two learn: as the shipped demo does. Neither is equivariant, so they see both strands by turns."""
OTHERS = {
    "convolution": (
        *DEMO,
        "training.betas=[0.9, 0.99]",
        "training.warmup_steps=16",
        "training.ema=0.998",
        "denoiser={kind: convolution, width: 128, hidden: 64, depth: 12, kernel: 5, max_dilation: 64}",
    ),
    "transformer": (
        *DEMO,
        "training.warmup_steps=26",
        "training.ema=0.99",
        "denoiser={kind: transformer, width: 96, depth: 4, heads: 3, hidden: 272}",
    ),
}
"""Settings that make another network of the recipe, within 5 % of its parameters."""
COLOURS = {"caduceus": style.BLUE, "convolution": style.VERMILION, "transformer": style.GREEN}
HELD_OUT = 128
"""Validation windows at most, evenly spread, that `show` asks for."""


def settings_of(network: str, data: Sequence[str]) -> list[str]:
    return [*data, *OTHERS.get(network, ())]


def rates(named: dict[str, Recipe], rounds: int = 5, seconds: float = 4.0) -> dict[str, float]:
    """Tokens a CPU second of each recipe's training steps, the median of rounds in which they take turns."""
    steps = {name: stepping(recipe) for name, recipe in named.items()}
    for step in steps.values():
        step()  # compiles
    measured: dict[str, list[float]] = {name: [] for name in named}
    for _ in range(rounds):
        for name, step in steps.items():
            begin, tokens = time.process_time(), 0
            while time.process_time() - begin < seconds:
                tokens += step()
            measured[name].append(tokens / (time.process_time() - begin))
    return {name: statistics.median(values) for name, values in measured.items()}


def stepping(recipe: Recipe) -> Callable[[], int]:
    """A function that makes the next step of a training run and returns its tokens."""
    learner, size = Learner(recipe, torch.device("cpu")), recipe.training.batch_size
    loader, done = recipe.data.open().loader(recipe.seed, size), 0

    def step() -> int:
        nonlocal done
        done += 1
        batch = loader.batch(done, range(size))
        draws = Streams.of_step(recipe.seed, done, range(size), size)
        loss = recipe.process.loss(learner.denoiser, batch, draws)
        (loss.nats / float(loss.count)).backward()
        learner.step(done, loader.letters)
        return size * recipe.data.context

    return step


def train(out: Path, data: Sequence[str], minutes: float, networks: Sequence[str], jobs: int) -> None:
    """Each network into a run directory of its name, and the rates into rates.json."""
    named = {network: recipes.load(RECIPE, settings_of(network, data)) for network in networks}
    measured = rates(named)
    out.mkdir(parents=True, exist_ok=True)
    (out / "rates.json").write_text(json.dumps({"tokens_per_second": measured, "machine": machine()}, indent=1) + "\n")

    def run(network: str) -> None:
        training = named[network].training
        steps = round(60 * minutes * measured[network] / (training.batch_size * named[network].data.context))
        every = max(1, steps // 10)
        settings = {
            "training.steps": steps,
            "training.warmup_steps": round(steps * training.warmup_steps / training.steps),
            "training.validate_every": every,
            "training.save_every": steps,
        }
        command = [sys.executable, "-m", "seqdiff", "train", RECIPE, "--out", str(out / network), "--device", "cpu"]
        for setting in (*settings_of(network, data), *(f"{key}={value}" for key, value in settings.items())):
            command += ["--set", setting]
        subprocess.run(command, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})

    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(run, named))


def held_out(run: Path) -> tuple[np.ndarray, np.ndarray]:
    """Bits and letters of each validation window; kept beside the run, for it takes a minute."""
    kept = run / "held-out.json"
    if not kept.is_file():
        model = seqdiff.load(run, device="cpu")
        windows = model.recipe.data.open().valid
        items = np.unique(np.linspace(0, len(windows) - 1, HELD_OUT).astype(np.int64))
        batch = windows.batch(items)
        streams = Streams.of(model.recipe.seed, [("validation", item) for item in items.tolist()])
        score = elbo(model.denoise, batch.tokens, batch.weight > 0, streams, strata=8, replicates=1)
        bits = (score.nats / math.log(2)).tolist()
        kept.write_text(json.dumps({"bits": bits, "letters": score.positions.tolist()}) + "\n")
    values = json.loads(kept.read_text())
    return np.array(values["bits"]), np.array(values["letters"])


def curve(run: Path) -> tuple[list[int], list[float]]:
    """Tokens learned from, and bits a base on the windows of the run's own validation."""
    settings = recipes.load(str(run / "recipe.yaml"))
    size = settings.training.batch_size * settings.data.context
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    rows = [row for row in rows if "valid_nats_per_symbol" in row]
    return [row["step"] * size for row in rows], [row["valid_nats_per_symbol"] / math.log(2) for row in rows]


def show(folders: Sequence[Path], figure: Path | None) -> None:
    """The table as Markdown, and the figure."""
    panels = []
    for folder in folders:
        speeds = json.loads((folder / "rates.json").read_text())["tokens_per_second"]
        found = {name: folder / name for name in COLOURS if (folder / name / "metrics.jsonl").is_file()}
        scores = {name: held_out(run) for name, run in found.items()}
        first = next(iter(scores))
        print(f"\n| {folder.name} | parameters | tokens | passes | CPU minutes | bits per base | minus {first} |")
        print("|---|---|---|---|---|---|---|")
        for name, run in found.items():
            model, (bits, letters) = seqdiff.load(run, device="cpu"), scores[name]
            tokens, _ = curve(run)
            passes = tokens[-1] / (len(model.recipe.data.open().train) * model.recipe.data.context)
            difference = "" if name == first else ratio(bits - scores[first][0], letters).format(sign=True)
            print(
                f"| {name} | {sum(p.numel() for p in model.denoise.network.parameters()):,} | {tokens[-1] / 1e6:.1f} M "
                f"| {passes:.1f} | {tokens[-1] / speeds[name] / 60:.1f} | {ratio(bits, letters)} | {difference} |"
            )
        ends = {name: ratio(*scores[name]) for name in found}
        panels.append((folder.name, speeds, {name: curve(run) for name, run in found.items()}, ends))
    if figure:
        draw(figure, panels)


def draw(path: Path, panels: Sequence[tuple[str, dict, dict, dict]]) -> None:
    """Bits a base against CPU minutes and against tokens, a row for each data set.

    Lines are the validation of the runs themselves, open circles at their ends all the windows of the table, with two
    standard errors.
    """
    with style.figure(path, 9.0, 0.6 + 3.0 * len(panels)) as drawn:
        grid = drawn.subplots(len(panels), 2, sharey="row", squeeze=False)
        for (title, speeds, curves, ends), (left, right) in zip(panels, grid, strict=True):
            for name, (tokens, bits) in curves.items():
                look = {"color": COLOURS[name], "marker": "o", "markersize": 3.5, "label": name}
                left.plot([count / speeds[name] / 60 for count in tokens], bits, **look)
                right.plot([count / 1e6 for count in tokens], bits, **look)
                end = {
                    "fmt": "o",
                    "color": COLOURS[name],
                    "markerfacecolor": "white",
                    "capsize": 2.5,
                    "elinewidth": 1.2,
                }
                for axes, last in ((left, tokens[-1] / speeds[name] / 60), (right, tokens[-1] / 1e6)):
                    axes.errorbar([last], [ends[name].value], style.errors([ends[name].se]), **end)
            left.set_title(title)
            left.set_ylabel("bits per base (less is better)")
            left.set_xlabel("minutes of one core")
            left.set_xlim(0)
            right.set_xscale("log")
            right.xaxis.set_major_formatter("{x:g}")
            right.set_xlabel("tokens (millions)")
        handles, labels = grid[0, 0].get_legend_handles_labels()
        drawn.legend(handles, labels, loc="outside upper right", ncols=3, handlelength=1.8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    training = commands.add_parser("train", help="train the networks into DIR")
    training.add_argument("out", type=Path, metavar="DIR")
    training.add_argument("--fasta", type=Path, help="your own genome, in place of the embedded slice of chr20")
    training.add_argument("--minutes", type=float, default=20.0, help="of one core, for each network")
    training.add_argument("--networks", nargs="+", choices=list(COLOURS), default=list(COLOURS))
    training.add_argument("--jobs", type=int, default=2, help="networks that train at a time")
    showing = commands.add_parser("show", help="print the table and draw the figure")
    showing.add_argument("folders", type=Path, nargs="+", metavar="DIR")
    showing.add_argument("--figure", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.command == "show":
        show(given.folders, given.figure)
        return
    data = ["data.genome=null", f"data.fasta={given.fasta.resolve()}"] if given.fasta else []
    train(given.out, data, given.minutes, given.networks, given.jobs)


if __name__ == "__main__":
    main()
