"""One training run, top to bottom.

Nothing random is carried from step to step: the rows of a step, their shifts and strands and the masks are all
seeded by (seed, step, row of the global batch). So a run killed at any moment goes on from its last save to the last
bit, and any number of processes trains the same thing. (Dropout alone is seeded by process: with it, another number
of processes or another micro-batch trains an equally good but different network.)
"""

import logging
import math
import time
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import nn

from seqdiff import devices
from seqdiff.checkpoint import Provenance, RunFolder
from seqdiff.data.batches import Batch
from seqdiff.diffusion.labels import labelled
from seqdiff.errors import TrainingError
from seqdiff.modalities import Opened
from seqdiff.recipe import Recipe
from seqdiff.streams import Streams, seed_of
from seqdiff.train import memory
from seqdiff.train import start as starting
from seqdiff.train.distributed import Processes, processes
from seqdiff.train.events import Events
from seqdiff.train.events import require as require_tensorboard
from seqdiff.train.learner import Learner
from seqdiff.train.log import Display, Metrics, by_symbol
from seqdiff.train.resume import changed, may_start, restore, where
from seqdiff.train.sharding import ask, short_pass
from seqdiff.train.share import Share
from seqdiff.train.signals import stop_wishes
from seqdiff.train.tally import Tally
from seqdiff.train.validation import Validation

logger = logging.getLogger("seqdiff")


@dataclass(frozen=True)
class Stopped:
    """How a run ended: after its last step, or at a signal, with everything up to `step` saved."""

    step: int
    signal: int = 0
    nats_per_symbol: float | None = None
    """The best validation: the bound, or the loss of a process that gives none."""


def train(
    recipe: Recipe, out: str | Path, *, resume: bool = False, device: str = "auto", quiet: bool = False
) -> Stopped:
    """Train a recipe into a run directory. Raises a SeqdiffError that says what to do when it cannot."""
    folder = RunFolder(out)
    with processes(devices.find(device)) as (group, place):
        devices.make_deterministic(place)
        # Whatever can be refused is refused before the folder exists.
        group.check(recipe.training.batch_size)
        if recipe.training.tensorboard:
            require_tensorboard()
        group.same("what they train, or into which folder,", f"{recipe.to_yaml()}{out}{resume}")
        recipe = recipe.resolved()
        resuming = may_start(recipe, folder, resume)
        start = None if resuming else starting.read(recipe)
        memory.check(recipe, place, group.world)
        learner = Learner(recipe, place, start and start.weights, group)
        _try(learner, recipe, place)
        data = recipe.data.open()
        with folder.locked() if group.writes else nullcontext():
            if may_start(recipe, folder, resume) != resuming:
                raise TrainingError(f"{folder.path}: another process has trained into this folder in the meantime")
            return _run(recipe, data, folder, resuming, start, learner, place, group, quiet or not group.writes)


def _run(
    recipe: Recipe,
    data: Opened,
    folder: RunFolder,
    resuming: bool,
    start: starting.Start | None,
    learner: Learner,
    device: torch.device,
    group: Processes,
    quiet: bool,
) -> Stopped:
    settings, alphabet = recipe.training, recipe.data.alphabet
    loader = data.loader(recipe.seed, settings.batch_size)
    validation = Validation(
        recipe.process, data.valid, settings.validation_windows, recipe.seed, group, device, sharded=learner.sharded
    )
    tally = Tally(recipe.process.ignorance(alphabet.size))
    step, best, origin = 0, math.inf, start and start.origin
    dtype = devices.autocast_dtype(settings.precision, device)
    place = where(device, dtype)
    if resuming:
        step, best, origin = restore(folder, learner, tally, data.checksum, group, place)
    saved = step
    compiled = settings.compile and not learner.sharded  # which compiles its layers
    network = group.wrap(torch.compile(learner.network) if compiled else learner.network, device)
    keeps = not learner.sharded  # weights in bfloat16 from layer to layer, which shards let go of

    def provenance(nats: float | None, error: float | None) -> Provenance:
        if not recipe.process.bounds_likelihood:
            nats = error = None
        return Provenance(
            alphabet.name, recipe.data.context, data.source, data.checksum, step, nats, error, origin, data.facts
        )

    def ship(nats: float | None, error: float | None) -> None:
        weights = learner.weights()
        if group.writes:
            with group.writing():
                folder.write_weights(weights, provenance(nats, error))

    def save() -> None:
        position = {"step": step, "best": _finite(best), "data": data.checksum, "start": origin, "where": place}
        position |= tally.saved(group) | {"memory": devices.peak_memory(device)}
        tensors = learner.tensors()
        if group.writes:
            with group.writing():
                metrics.flush()  # a run that goes on from here drops later lines, and lacks no earlier one
                folder.write_state(tensors, position, settings.keep)

    # A loss that is no bound is never called what a bound is called.
    measure, unit = "nats_per_symbol", alphabet.unit
    if not recipe.process.bounds_likelihood:
        measure, unit = "nats_per_selected", f"selected {alphabet.unit}"
    metrics = Metrics(folder.metrics_file) if group.writes else None
    if metrics:
        if not resuming or changed(folder, recipe):
            folder.write_recipe(recipe)
        events = (lambda after: Events(folder.events, after, unit, recipe.to_yaml())) if settings.tensorboard else None
        metrics.open(up_to_step=step, earlier=folder.read_metrics(), events=events)
        logger.info(
            "training %s: %s parameters on %s; %s in %s",
            recipe.denoiser.kind, f"{sum(p.numel() for p in learner.denoiser.parameters()):,}", device,
            data.contents, data.source,
        )  # fmt: skip
        if recipe.sees_one_strand and not resuming:
            logger.warning(
                "this %s is not equivariant to the reverse complement and is shown one strand alone, so it will know "
                "the other one less well; to show it both: --set data.reverse_complement=true",
                recipe.denoiser.kind,
            )
        if start:
            logger.info("starting from the model of %s", settings.start)
            for doubt in provenance(None, None).doubts(data.checksum):
                logger.warning(
                    "%s: what is held out here may be known to it, so held-out numbers may flatter it", doubt
                )
    display = Display(recipe.name, unit, settings.steps, step, quiet)
    logged, since = tally.letters, time.perf_counter()

    try:
        if not resuming:
            save()  # so that a full disk is known before there is anything to lose, and no model is without a save
        elif group.agree(group.writes and not folder.has_model()):
            # Without any validation yet it may be missing; one that has been lost had done best so far.
            error = None
            if math.isfinite(best):
                best, error = learner.averaged(validation)
            ship(_finite(best), error)
        with stop_wishes() as received:
            while step < settings.steps:
                step += 1
                torch.manual_seed(seed_of(recipe.seed, "dropout", step, group.rank))

                # The rows of this step, and how many symbols they score in all processes.
                share = Share.of_step(step, loader, recipe, group)
                count, letters = group.sum(share.sums()).tolist()

                # Gradients of the summed nats over the global count; DDP averages over processes, hence `world`.
                nats: torch.Tensor | float = 0.0
                for piece, draws, last_piece in share.pieces(group, alike=learner.sharded):
                    with (
                        group.no_sync(network, last=last_piece),
                        torch.autocast(device.type, dtype, enabled=dtype is not None, cache_enabled=keeps),
                    ):
                        loss = ask(network, partial(_loss, recipe, piece.to(device), draws))
                        (loss * (group.world / max(count, 1.0))).backward()
                    nats = nats + loss.detach().double()
                gradient = learner.step(step, loader.letters)
                tally.add(nats, count, letters, gradient)

                # What is due: a log line, a validation, a save, the end.
                last = step == settings.steps
                stop = group.agree(received.number)
                if step % settings.log_every == 0 or last:
                    mean = tally.mean(group)
                    if not tally.judge(mean):
                        raise _diverged(step, mean, folder, saved)
                    speed = (tally.letters - logged) / (time.perf_counter() - since)
                    with torch.no_grad():
                        learned = ask(learner.network, recipe.process.logged)
                    if metrics:
                        folder.check_present()
                        metrics.write(
                            step=step, tokens=round(tally.letters), **{measure: mean},
                            learning_rate=learner.learning_rate, gradient_norm=float(gradient),
                            tokens_per_second=round(speed),
                            **by_symbol(learned, alphabet),
                        )  # fmt: skip
                    display.step(step, mean, speed)
                    tally.clear()
                    logged, since = tally.letters, time.perf_counter()
                if step % settings.validate_every == 0 or last:
                    paused = time.perf_counter()
                    valid, error = learner.averaged(validation)
                    if not math.isfinite(valid):
                        raise _diverged(step, valid, folder, saved)
                    display.validation(step, valid, error)
                    if metrics:
                        metrics.write(step=step, **{f"valid_{measure}": valid}, valid_standard_error=error)
                    if valid < best:
                        best = valid
                        ship(valid, error)
                    since += time.perf_counter() - paused
                if step % settings.save_every == 0 or last or stop:
                    if not math.isfinite(mean := tally.mean(group)):
                        raise _diverged(step, mean, folder, saved)
                    if not tally.strikes:  # what may be diverging does not replace the last good save
                        save()
                        saved = step
                if stop and not last:
                    # Without a validation yet the model is that of the last step, also where an earlier stop left one.
                    if math.isinf(best) or group.agree(group.writes and not folder.weights_file.is_file()):
                        ship(None, None)
                    return Stopped(saved, stop, _finite(best))
    finally:
        display.close()
        if metrics:
            metrics.close()
    return Stopped(step, 0, _finite(best))


def _loss(recipe: Recipe, piece: Batch, draws: Streams, network: nn.Module) -> torch.Tensor:
    """Nats of a piece of a batch, summed."""
    return recipe.process.loss(labelled(network, piece.labels), piece, draws).nats


def _try(learner: Learner, recipe: Recipe, device: torch.device) -> None:
    """One short pass of the network, so that what cannot compute here says so before there is a run."""
    dtype = devices.autocast_dtype(recipe.training.precision, device)
    with torch.no_grad(), torch.autocast(device.type, dtype, enabled=dtype is not None, cache_enabled=False):
        ask(learner.network, short_pass)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _diverged(step: int, nats: float, folder: RunFolder, saved: int) -> TrainingError:
    what = f"has grown to {nats / math.log(2):.3g} bits a symbol" if math.isfinite(nats) else "is not a number"
    last = f"step {saved:,} in {folder.path}" if saved else "none yet"
    return TrainingError(
        f"the loss or its gradient {what} at step {step:,}; stopped, nothing of it was saved (last good save: {last}). "
        "Lower training.learning_rate, lengthen training.warmup_steps or tighten training.clip"
    )
