"""One fine-tuning, top to bottom: from labelled sequences and a trained network to a run that predicts labels.

The order of the rows, the strand each is shown on and where a long one is cropped are drawn from (seed, epoch, row), so
a tuning of one seed on one device comes out the same every time.
"""

import logging
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from seqdiff import __version__, devices, predictor
from seqdiff.checkpoint import RunFolder
from seqdiff.data.labelled import Labelled, Task
from seqdiff.denoisers.readout import Reader
from seqdiff.errors import DataError, TrainingError, UsageError
from seqdiff.files import checksum
from seqdiff.predictor import Predictor, Target
from seqdiff.recipe import Recipe
from seqdiff.streams import seed_of
from seqdiff.train.ema import MovingAverage
from seqdiff.train.finetuning import Finetuning, Tuning
from seqdiff.train.log import Metrics
from seqdiff.train.muon import Muon
from seqdiff.train.optimizer import is_decayed, is_matrix
from seqdiff.train.rows import Rows, batches, divided, rows_of
from seqdiff.train.signals import stop_wishes

logger = logging.getLogger("seqdiff")


@dataclass(frozen=True)
class Tuned:
    """How a tuning ended."""

    predictor: Predictor
    epochs: float
    validation_loss: float
    rows: dict[str, int]
    signal: int = 0


def finetune(
    settings: Finetuning,
    run: Path,
    train: Labelled,
    out: RunFolder,
    *,
    valid: Labelled | None = None,
    task: Task | None = None,
    fresh: bool = False,
    device: str = "auto",
    progress: Callable[[float], None] | None = None,
) -> Tuned:
    """Tune the network of `run`, or with `fresh` one of its kind that has learned nothing, and write it to `out`.

    The weights of the least validation loss are kept. Raises DataError for rows that cannot be learned from,
    TrainingError where the loss is no number or a signal comes before the first validation.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UsageError("finetune runs in one process: start it without torchrun")
    place = devices.find(device)
    devices.make_deterministic(place)
    recipe = RunFolder(run).read_recipe()
    alphabet = recipe.data.alphabet
    task = task or train.task()
    learn, check = (train, valid) if valid else divided(train, settings, alphabet)
    classes = train.classes() if task == "classification" else ()
    target = _target(settings, run, train, learn, classes, task, fresh)
    rows, held = (rows_of(part, target, alphabet) for part in (learn, check))
    if missing := sorted(set(classes) - set(check.labels)):
        logger.warning(
            "no validation row has the label %s: they choose what is kept without it; give --valid, or raise "
            "training.validation", " or ".join(map(repr, missing[:5])),
        )  # fmt: skip
    reader = _reader(settings, run, recipe, target, place, fresh)
    _say(settings, run, recipe, reader, rows, held, target, fresh)

    tuning = settings.training
    optimizers = _optimizers(reader, tuning)
    average = MovingAverage(reader, tuning.ema)
    weight = _class_weight(rows, len(classes), place) if tuning.balance and classes else None
    batches_an_epoch = -(-len(rows) // tuning.batch_size)
    total = tuning.epochs * batches_an_epoch
    marks = {
        round(batches_an_epoch * (i + 1) / tuning.validations_per_epoch) for i in range(tuning.validations_per_epoch)
    }
    best, kept, misses, step, began = math.inf, None, 0, 0, time.perf_counter()
    metrics = Metrics(out.metrics_file)
    metrics.open(up_to_step=0, earlier=[])
    try:
        with stop_wishes() as received:
            for tokens, wanted in batches(rows, settings, recipe, place):
                step += 1
                torch.manual_seed(seed_of(settings.seed, "dropout", step))
                rate = _rate(step, total, tuning)
                for group in (group for optimizer in optimizers for group in optimizer.param_groups):
                    group["lr"] = rate * group["peak"]
                reader.train()
                if tuning.freeze:
                    reader.denoiser.eval()
                loss = _loss(reader(tokens), wanted, task, weight)
                loss.backward()
                norm = float(nn.utils.clip_grad_norm_(reader.parameters(), tuning.clip or math.inf))
                if not math.isfinite(norm) or not math.isfinite(float(loss.detach())):
                    raise TrainingError(
                        f"the loss is not a number at step {step:,}; lower training.learning_rate or "
                        "training.head_learning_rate, or lengthen training.warmup"
                    )
                for optimizer in optimizers:
                    optimizer.step()
                    optimizer.zero_grad(set_to_none=True)
                average.update(step)
                if progress:
                    progress(step / total)
                if step % 10 == 0:
                    metrics.write(step=step, loss=float(loss.detach()), learning_rate=rate * tuning.learning_rate,
                                  gradient_norm=norm)  # fmt: skip
                within = step % batches_an_epoch or batches_an_epoch
                if within in marks or step == total:
                    with average.swapped_in() as averaged:
                        found = _validation(averaged, held, recipe, task, place)
                    metrics.write(step=step, epoch=step / batches_an_epoch, **found)
                    logger.info(
                        "epoch %.1f of %s: validation %s", step / batches_an_epoch, tuning.epochs, _shown(found)
                    )
                    if found["valid_loss"] < best:
                        best, misses = found["valid_loss"], 0
                        kept = {name: tensor.detach().cpu().clone() for name, tensor in average.weights().items()}
                    else:
                        misses += 1
                    if tuning.patience and misses >= tuning.patience:
                        logger.info("no better for %s validations: stopped", misses)
                        break
                if received.number:
                    break
            signal = received.number
        metrics.flush()
    finally:
        metrics.close()
    if kept is None:
        raise TrainingError("stopped before the first validation: nothing was kept")
    logger.info("tuned in %.0f s; kept the weights of validation loss %.4f", time.perf_counter() - began, best)
    reader.load_state_dict(kept)
    target = Target(**{**target.__dict__, "validation_loss": best})
    predictor.save(out, reader, target)
    out.write_recipe(recipe)
    signed = settings.model_copy(update={"written_by": f"seqdiff {__version__}"})
    (out.path / "finetune.yaml").write_text(signed.to_yaml(), encoding="utf-8")
    counts = {"train": len(rows), "validation": len(held)}
    return Tuned(Predictor(reader, recipe, target, place), step / batches_an_epoch, best, counts, signal)


def _target(
    settings: Finetuning, run: Path, train: Labelled, learn: Labelled, classes: tuple[str, ...], task: Task, fresh: bool
) -> Target:
    middle, spread = 0.0, 1.0
    if task == "regression":
        values = learn.numbers()
        middle, spread = float(values.mean()), float(values.std())
        if not spread:
            raise DataError(f"{train.name}: every label is the same: there is nothing to learn")
    elif missing := set(classes) - set(learn.labels):
        raise DataError(f"{train.name}: no row of the label {missing.pop()!r} is left to learn from: give --valid")
    folder = RunFolder(run)
    start = {"run": str(run)} if fresh else {"run": str(run), "checksum": checksum(folder.weights_file)}
    return Target(
        task, classes, settings.readout.model_dump(), middle, spread, start | {"fresh": fresh}, train.name, len(learn)
    )


def _reader(
    settings: Finetuning, run: Path, recipe: Recipe, target: Target, device: torch.device, fresh: bool
) -> Reader:
    torch.manual_seed(seed_of(settings.seed, "initial weights"))
    denoiser = recipe.network()
    if not fresh:
        RunFolder(run).read_weights(denoiser)
    reader = Reader(denoiser, settings.readout, target.outputs, strands=recipe.data.alphabet.complementary).to(device)
    if settings.training.freeze:
        reader.denoiser.requires_grad_(False)
    return reader


def _optimizers(reader: Reader, tuning: Tuning) -> list[torch.optim.Optimizer]:
    """AdamW, and Muon where it is asked for; each group keeps its highest learning rate as `peak`."""
    groups, matrices = [], []
    for part, rate in ((reader.denoiser, tuning.learning_rate), (reader.head, tuning.head_learning_rate)):
        named = [(name, p) for name, p in part.named_parameters() if p.requires_grad]
        if part is reader.denoiser and tuning.optimizer == "muon":
            matrices = [p for name, p in named if is_matrix(name, p)]
            named = [(name, p) for name, p in named if not is_matrix(name, p)]
        for decayed in (True, False):
            chosen = [p for name, p in named if is_decayed(name, p) == decayed]
            if chosen:
                groups.append({"params": chosen, "weight_decay": tuning.weight_decay * decayed, "peak": rate})
    built: list[torch.optim.Optimizer] = [torch.optim.AdamW(groups, lr=tuning.learning_rate, betas=tuning.betas)]
    if matrices:
        built.append(Muon(matrices, tuning.matrix_learning_rate, weight_decay=tuning.weight_decay))
        built[-1].param_groups[0]["peak"] = tuning.matrix_learning_rate
    return built


def _rate(step: int, total: int, tuning: Tuning) -> float:
    """The share of its highest that the learning rate has at step 1..total."""
    warm = round(tuning.warmup * total)
    if step <= warm:
        return step / warm
    return (1 + math.cos(math.pi * (step - warm) / max(1, total - warm))) / 2


def _loss(outputs: Float[Tensor, "B C"], wanted: Tensor, task: Task, weight: Tensor | None = None) -> Tensor:
    if task == "classification":
        return F.cross_entropy(outputs, wanted, weight=weight)
    return F.mse_loss(outputs[:, 0], wanted)


def _class_weight(rows: Rows, classes: int, device: torch.device) -> Tensor:
    counts = torch.bincount(rows.target, minlength=classes)
    return (len(rows) / (classes * counts.float())).to(device)


def _validation(reader: nn.Module, held: Rows, recipe: Recipe, task: Task, device: torch.device) -> dict[str, float]:
    """Loss of the held-out rows, both strands averaged, and the share that is right or the correlation."""
    tokens = 16_384 if device.type == "cpu" else 262_144
    outputs = predictor.answers(reader, held.tokens, recipe.data.alphabet, recipe.data.context, device, tokens)
    loss = float(_loss(outputs, held.target, task))
    if task == "classification":
        return {"valid_loss": loss, "valid_accuracy": float((outputs.argmax(-1) == held.target).float().mean())}
    pair = torch.stack([outputs[:, 0].double(), held.target.double()])
    found = float(torch.corrcoef(pair)[0, 1])
    return {"valid_loss": loss, "valid_pearson": found if math.isfinite(found) else 0.0}


def _shown(found: dict[str, float]) -> str:
    return ", ".join(f"{name.removeprefix('valid_')} {value:.4f}" for name, value in found.items())


def _say(
    settings: Finetuning, run: Path, recipe: Recipe, reader: Reader, rows: Rows, held: Rows, target: Target, fresh: bool
) -> None:
    size = sum(p.numel() for p in reader.parameters())
    logger.info(
        "%s %s of %s, %s parameters, for a %s%s: %s rows to learn from, %s to validate on",
        "a fresh" if fresh else "tuning the", recipe.denoiser.kind, run, f"{size:,}", target.task,
        f" of {len(target.classes)} classes" if target.classes else "", f"{len(rows):,}", f"{len(held):,}",
    )  # fmt: skip
    cropped = sum(len(row) > recipe.data.context for row in rows.tokens)
    if cropped:
        logger.info(
            "%s of %s rows are longer than the context of %s and are shown in crops, another one each epoch",
            f"{cropped:,}", f"{len(rows):,}", f"{recipe.data.context:,}",
        )  # fmt: skip
