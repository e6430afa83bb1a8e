"""How fast a system trains, and how many steps its budget pays for."""

import math
import time
from dataclasses import dataclass
from itertools import count

import torch

from seqdiff import devices
from seqdiff.compare.settings import Budget
from seqdiff.diffusion.labels import labelled
from seqdiff.modalities import Opened
from seqdiff.recipe import Recipe
from seqdiff.streams import Streams
from seqdiff.train.learner import Learner

WARM_UP = 2
"""Steps before the clock starts: kernels are compiled, memory is taken."""


@dataclass(frozen=True)
class Pace:
    """Of a system's training.

    Seconds are of computing: on a GPU those of the clock on the wall, on CPUs the processor time of all threads over
    their number, so that what else runs on the machine costs a system neither speed nor steps. Where threads have to
    wait for each other they pass faster than on the wall.
    """

    letters_per_second: float
    parameters: int
    device: str
    threads: int
    processes: int = 1

    def steps(self, recipe: Recipe, budget: Budget, kind: str) -> int:
        """Steps of the recipe's batch that a budget of this kind pays for: the nearest number, at least one."""
        letters = budget.tokens if kind == "tokens" else budget.minutes * 60 * self.letters_per_second
        return max(1, round(letters / (recipe.training.batch_size * recipe.data.context)))


def measured(
    recipe: Recipe, data: Opened, device: torch.device, processes: int = 1, *, seconds: float = 5.0, steps: int = 3
) -> Pace:
    """The pace of at least so many steps and so many seconds, on one device.

    Of several processes it takes the share of one, times their number: what they spend on talking to each other is
    not in it.
    """
    devices.make_deterministic(device)
    learner = Learner(recipe, device)
    network = torch.compile(learner.denoiser) if recipe.training.compile else learner.denoiser
    dtype = devices.autocast_dtype(recipe.training.precision, device)
    loader = data.loader(recipe.seed, recipe.training.batch_size)
    letters, begun = 0, 0.0
    for step in count(1):
        if step == WARM_UP + 1:
            letters, begun = 0, _clock(device)
        total = loader.rows(step)
        rows = range(max(1, total // processes))
        batch = loader.batch(step, rows)
        letters += int((batch.tokens != recipe.data.alphabet.pad).sum())
        draws = Streams.of_step(recipe.seed, step, rows, total)
        micro = recipe.training.micro_batch_size or len(batch)
        for first in range(0, len(batch), micro):
            piece = batch.rows(slice(first, first + micro)).to(device)
            streams = draws.select(range(first, first + len(piece)))
            with torch.autocast(device.type, dtype, enabled=dtype is not None):
                loss = recipe.process.loss(labelled(network, piece.labels), piece, streams)
                (loss.nats / batch.weight.sum().clamp(min=1)).backward()
        learner.step(step, loader.letters)
        spent = _clock(device) - begun
        if step >= WARM_UP + steps and spent >= seconds:
            break
    return Pace(
        letters * processes / spent, sum(p.numel() for p in learner.denoiser.parameters()), device.type,
        torch.get_num_threads(), processes,
    )  # fmt: skip


def scaled(recipe: Recipe, steps: int) -> Recipe:
    """The recipe with another number of steps; what goes by steps keeps its share of them.

    >>> from seqdiff import recipe
    >>> training = scaled(recipe.load("demo"), 300).training  # of 1,500
    >>> training.warmup_steps, training.validate_every, training.log_every
    (9, 100, 2)
    """
    training = recipe.training
    going_by = ("validate_every", "save_every", "log_every")  # rounded up: no more of them than the recipe's
    changed = {name: math.ceil(getattr(training, name) * steps / training.steps) for name in going_by}
    changed |= {"steps": steps, "warmup_steps": min(steps, round(training.warmup_steps * steps / training.steps))}
    return recipe.model_copy(update={"training": training.model_copy(update=changed)})


def _clock(device: torch.device) -> float:
    """Seconds of computing so far."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        return time.perf_counter()
    return time.process_time() / torch.get_num_threads()
