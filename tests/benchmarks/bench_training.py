"""Where a training step's time goes: `python tests/benchmarks/bench_training.py [RECIPE] [--set a.b=c]...`

Runs the steps of the training loop with a clock between the parts and prints the median of each and its share.
`network` is forward, loss and backward; `optimizer` is clipping, AdamW and the moving average; `data` is reading
and augmenting windows; `draws` is the masks and their random streams.
"""

import argparse
import statistics
import time

import numpy as np
import torch

from seqdiff import recipe as recipes
from seqdiff.streams import Streams
from seqdiff.train import optimizer as optimizing
from seqdiff.train.ema import MovingAverage


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", nargs="?", default="demo")
    parser.add_argument("--set", action="append", default=[], dest="settings")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)

    recipe = recipes.load(arguments.recipe, arguments.settings)
    recipe = recipe.resolved()
    data = recipe.data.open()
    denoiser = recipe.network()
    optimizers, average = optimizing.build(denoiser, recipe.training), MovingAverage(denoiser, recipe.training.ema)
    loader = data.loader(recipe.seed, recipe.training.batch_size)
    parts: dict[str, list[float]] = {name: [] for name in ("data", "draws", "network", "optimizer")}
    spent_drawing = 0.0
    corrupt = type(recipe.process).corrupt

    def timed_corrupt(self, *args):
        nonlocal spent_drawing
        start = time.perf_counter()
        result = corrupt(self, *args)
        spent_drawing += time.perf_counter() - start
        return result

    type(recipe.process).corrupt = timed_corrupt
    for step in range(1, arguments.steps + 6):
        clock = [time.perf_counter()]
        size = loader.rows(step)
        batch = loader.batch(step, range(size))
        clock.append(time.perf_counter())
        draws = Streams.of_step(recipe.seed, step, range(size), size)
        clock.append(time.perf_counter())
        spent_drawing = 0.0
        loss = recipe.process.loss(denoiser, batch, draws)
        (loss.nats / float(loss.count)).backward()
        clock.append(time.perf_counter())
        torch.nn.utils.clip_grad_norm_(denoiser.parameters(), recipe.training.clip or float("inf"))
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        average.update(step)
        clock.append(time.perf_counter())
        if step > 5:
            spans = np.diff(clock)
            parts["data"].append(spans[0])
            parts["draws"].append(spans[1] + spent_drawing)
            parts["network"].append(spans[2] - spent_drawing)
            parts["optimizer"].append(spans[3])
    medians = {name: statistics.median(values) for name, values in parts.items()}
    total = sum(medians.values())
    tokens = size * recipe.data.context
    print(f"{recipe.name}: {tokens:,} tokens a step, {arguments.threads} threads, {tokens / total:,.0f} tokens/s")
    for name, value in medians.items():
        print(f"  {name:<10} {1000 * value:8.2f} ms {value / total:7.2%}")
    rest = 1 - (medians["network"] + medians["optimizer"]) / total
    print(f"  data path and bookkeeping, all but the network and its optimizer: {rest:.2%}")


if __name__ == "__main__":
    main()
