"""One training run, top to bottom.

Nothing random is carried from step to step: the windows of a step, their shifts and strands, the masks and
the dropout are all seeded by (seed, step, row of the global batch). So a run killed at any moment goes on
from its last save to the last bit, and any number of processes trains the same thing.
"""

import logging
import math
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from seqdiff import devices
from seqdiff.checkpoint import Provenance, RunFolder
from seqdiff.data.batches import Shuffled
from seqdiff.data.windows import Windows
from seqdiff.diffusion.likelihood import elbo
from seqdiff.errors import ConfigError, TrainingError
from seqdiff.modalities.dna import DnaData
from seqdiff.recipe import Recipe
from seqdiff.streams import Streams, seed_of
from seqdiff.train import optimizer as optimizing
from seqdiff.train.distributed import Processes, processes
from seqdiff.train.ema import MovingAverage
from seqdiff.train.log import Display, Metrics

logger = logging.getLogger("seqdiff")

VALIDATION_STRATA = 8
"""Masks a validation window; the windows' own spread dominates the error, so few are enough."""


@dataclass(frozen=True)
class Stopped:
    """How a run ended: after its last step, or at a signal, saved."""

    step: int
    signal: int = 0
    nats_per_symbol: float | None = None


def train(
    recipe: Recipe, out: str | Path, *, resume: bool = False, device: str = "auto", quiet: bool = False
) -> Stopped:
    """Train a recipe into a run directory. Raises a SeqdiffError that says what to do when it cannot."""
    folder = RunFolder(out)
    with processes(devices.find(device)) as (group, place):
        # Whatever can be refused is refused before the folder exists.
        group.rows(recipe.training.batch_size)
        resuming = _may_start(recipe, folder, resume)
        data = recipe.data.open()
        with folder.locked() if group.writes else nullcontext():
            return _run(recipe, data, folder, resuming, place, group, quiet or not group.writes)


def _run(
    recipe: Recipe,
    data: DnaData,
    folder: RunFolder,
    resuming: bool,
    device: torch.device,
    group: Processes,
    quiet: bool,
) -> Stopped:
    settings = recipe.training
    rows = group.rows(settings.batch_size)
    micro = settings.micro_batch_size or len(rows)
    alphabet = recipe.data.alphabet

    # What is learned from.
    order = Shuffled(len(data.train), seed_of(recipe.seed, "windows"))
    validation = np.unique(np.linspace(0, len(data.valid) - 1, settings.validation_windows).astype(np.int64))

    # What learns.
    torch.manual_seed(seed_of(recipe.seed, "initial weights"))
    denoiser = recipe.denoiser.build(alphabet.size).to(device)
    optimizers = optimizing.build(denoiser, settings)
    average = MovingAverage(denoiser, settings.ema)
    step, best = 0, math.inf
    if resuming:
        step, best = _restore(folder, denoiser, average, optimizers, data.checksum)
    network = group.wrap(torch.compile(denoiser) if settings.compile else denoiser, device)
    dtype = devices.autocast_dtype(settings.precision, device)
    uniform_loss = math.log(alphabet.size)
    if group.writes:
        logger.info(
            "training %s: %s parameters on %s; %s windows of %s %ss in %s",
            recipe.denoiser.kind, f"{sum(p.numel() for p in denoiser.parameters()):,}", device,
            f"{len(data.train):,}", f"{recipe.data.context:,}", alphabet.unit, data.source,
        )  # fmt: skip
        if not resuming:
            folder.write_recipe(recipe)
        folder.keep_metrics(up_to_step=step)

    def provenance(nats: float | None, error: float | None) -> Provenance:
        return Provenance(alphabet.name, recipe.data.context, data.source, data.checksum, step, nats, error)

    def save() -> None:
        if group.writes:
            tensors = {f"weights.{n}": t for n, t in denoiser.state_dict().items()}
            tensors |= {f"average.{n}": t.clone() for n, t in average.weights().items()}
            tensors |= {f"optimizer.{n}": t for n, t in optimizing.state_tensors(optimizers)}
            best_so_far = best if math.isfinite(best) else None
            folder.write_state(tensors, {"step": step, "best": best_so_far, "data": data.checksum})

    metrics = Metrics(folder.metrics_file) if group.writes else None
    display = Display(recipe.name, alphabet.unit, settings.steps, step, quiet)
    nats_sum, count_sum, high, since = 0.0, 0.0, 0, time.perf_counter()
    last_saved = step
    try:
        with _signals() as received:
            while step < settings.steps:
                step += 1
                rate = optimizing.set_learning_rate(optimizers, step, settings)
                torch.manual_seed(seed_of(recipe.seed, "dropout", step, group.rank))

                # The rows of this step: which windows, how many symbols they score in all processes.
                positions = np.arange(rows.start, rows.stop) + (step - 1) * settings.batch_size
                batch = data.train.augmented(
                    order.items(positions),
                    positions,
                    seed=recipe.seed,
                    reverse_complement=recipe.data.reverse_complement,
                )
                draws = Streams.of_step(recipe.seed, step, rows, settings.batch_size)
                count = group.sum(batch.weight.sum(dtype=torch.float64))

                # Gradients of the summed nats over the global count; DDP averages over processes, hence `world`.
                for first in range(0, len(rows), micro):
                    part = range(first, min(first + micro, len(rows)))
                    piece = type(batch)(batch.tokens[part.start : part.stop], batch.weight[part.start : part.stop])
                    with (
                        group.no_sync(network, last=part.stop == len(rows)),
                        torch.autocast(device.type, dtype, enabled=dtype is not None),
                    ):
                        loss = recipe.process.loss(network, piece.to(device), draws.select(part))
                        (loss.nats * (group.world / max(float(count), 1.0))).backward()
                    nats_sum += loss.nats.detach().double()
                gradient_norm = nn.utils.clip_grad_norm_(denoiser.parameters(), settings.clip or math.inf)
                for optimizer in optimizers:
                    optimizer.step()
                    optimizer.zero_grad(set_to_none=True)
                average.update(step)
                count_sum += float(count)

                last = step == settings.steps
                stop = group.agree(received.signal)
                if step % settings.log_every == 0 or last or stop:
                    nats = float(group.sum(torch.as_tensor(nats_sum).cpu())) / max(count_sum, 1.0)
                    high = high + 1 if nats > 2 * uniform_loss else 0
                    if not math.isfinite(nats) or high > 2:
                        raise _diverged(step, nats, folder, last_saved)
                    seconds, since = time.perf_counter() - since, time.perf_counter()
                    speed = count_sum / seconds
                    if metrics:
                        metrics.write(
                            step=step, tokens=step * settings.batch_size * recipe.data.context, nats_per_symbol=nats,
                            learning_rate=rate, gradient_norm=float(gradient_norm), tokens_per_second=round(speed),
                        )  # fmt: skip
                    display.step(step, nats, speed)
                    nats_sum, count_sum = 0.0, 0.0
                if step % settings.validate_every == 0 or last:
                    with average.swapped_in() as averaged:
                        nats, error = validate(averaged, data.valid, validation, recipe.seed, group, device)
                    display.validation(step, nats, error)
                    if metrics:
                        metrics.write(step=step, valid_nats_per_symbol=nats, valid_standard_error=error)
                    if nats < best:
                        best = nats
                        if group.writes:
                            folder.write_weights(average.weights(), provenance(nats, error))
                    since = time.perf_counter()
                if step % settings.save_every == 0 or last or stop:
                    save()
                    last_saved = step
                if stop and not last:
                    if group.writes and not folder.weights_file.is_file():
                        folder.write_weights(average.weights(), provenance(None, None))
                    return Stopped(step, stop, best if math.isfinite(best) else None)
    finally:
        display.close()
        if metrics:
            metrics.close()
    return Stopped(step, 0, best)


@torch.no_grad()
def validate(
    denoiser: nn.Module,
    windows: Windows,
    items: np.ndarray,
    seed: int,
    group: Processes,
    device: torch.device,
) -> tuple[float, float]:
    """The bound on some windows in nats per symbol and its standard error over windows.

    The masks belong to the window, so every validation of a run looks at the same ones. The error is that
    of a ratio of sums: the spread of nats_i - ratio * symbols_i over the windows.
    """
    sums = torch.zeros(6, dtype=torch.float64)
    for chunk in np.array_split(items[group.rank :: group.world], max(1, len(items) // (64 * group.world))):
        if not len(chunk):
            continue
        batch = windows.batch(chunk).to(device)
        draws = Streams.of(seed, [("validation", item) for item in chunk.tolist()])
        score = elbo(denoiser, batch.tokens, batch.weight > 0, draws, strata=VALIDATION_STRATA, replicates=1)
        n, p = score.nats.double().cpu(), score.positions.double().cpu()
        sums += torch.stack(
            [torch.tensor(float(len(chunk))), n.sum(), p.sum(), (n * n).sum(), (n * p).sum(), (p * p).sum()]
        )
    windows_seen, nats, symbols, nn_, np_, pp = group.sum(sums).tolist()
    if not symbols:
        raise ConfigError("the validation windows hold no known symbol; choose another split")
    ratio = nats / symbols
    squares = max(0.0, nn_ - 2 * ratio * np_ + ratio * ratio * pp)
    error = math.sqrt(squares * windows_seen / max(1.0, windows_seen - 1)) / symbols
    return ratio, error


def _may_start(recipe: Recipe, folder: RunFolder, resume: bool) -> bool:
    """Whether to go on from a save; refuses to overwrite a run, or to resume another recipe."""
    if not folder.recipe_file.is_file():
        return False
    if not folder.state_file.is_file():
        return False  # a run that was killed before its first save has nothing to lose
    if not resume:
        raise TrainingError(
            f"{folder.path} holds a run already: go on with --resume, choose another --out, or remove the folder"
        )
    if differences := folder.read_recipe().differences(recipe):
        raise TrainingError(
            f"{folder.path} was trained with another recipe, so it cannot be resumed with this one:\n  "
            + "\n  ".join(differences)
            + f"\ngive the run's own: seqdiff train {folder.recipe_file} --resume --out {folder.path}"
        )
    return True


def _restore(
    folder: RunFolder,
    denoiser: nn.Module,
    average: MovingAverage,
    optimizers: list[torch.optim.Optimizer],
    checksum: str,
) -> tuple[int, float]:
    tensors, position = folder.read_state()
    if position["data"] != checksum:
        raise TrainingError(f"{folder.path}: the training data have changed since this run began; start a new run")
    parts: dict[str, dict[str, torch.Tensor]] = {"weights": {}, "average": {}, "optimizer": {}}
    for name, tensor in tensors.items():
        part, rest = name.split(".", 1)
        parts[part][rest] = tensor
    denoiser.load_state_dict(parts["weights"])
    average.restore(parts["average"])
    optimizing.restore(optimizers, parts["optimizer"])
    logger.info("resuming %s after step %s", folder.path, f"{position['step']:,}")
    return position["step"], math.inf if position["best"] is None else position["best"]


def _diverged(step: int, nats: float, folder: RunFolder, last_saved: int) -> TrainingError:
    what = "is not a number" if math.isnan(nats) else f"has grown to {nats / math.log(2):.3g} bits a symbol"
    last = f"step {last_saved:,} in {folder.path}" if last_saved else "none yet"
    return TrainingError(
        f"the loss {what} at step {step:,}; stopped, nothing of it was saved (last good save: {last}). "
        "Lower training.learning_rate, lengthen training.warmup_steps or tighten training.clip"
    )


class _Received:
    signal = 0


@contextmanager
def _signals() -> Iterator[_Received]:
    """Turn the first Ctrl-C or SIGTERM into a wish to stop after the step; a second one acts at once."""
    received = _Received()
    previous = {}

    def wish(number: int, frame: object) -> None:
        received.signal = number
        signal.signal(number, previous[number])

    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            previous[number] = signal.signal(number, wish)
    except ValueError:
        pass  # not in the main thread: the caller handles signals
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
