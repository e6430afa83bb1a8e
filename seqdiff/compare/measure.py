"""What a trained system comes to: its bits a letter window by window, and its samples."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Integer

from seqdiff import model as models
from seqdiff.alphabet import Alphabet
from seqdiff.checkpoint import RunFolder
from seqdiff.compare.samples import Yardstick, drawn, of_chain
from seqdiff.compare.settings import Comparison
from seqdiff.diffusion.denoise import Denoise
from seqdiff.diffusion.likelihood import Elbo
from seqdiff.diffusion.processes import Bound, Process
from seqdiff.evaluate import heldout
from seqdiff.evaluate.answer import Progress, silent
from seqdiff.evaluate.costs import costs


@dataclass(frozen=True)
class AsMasked:
    """A model scored as if it were one of masked diffusion: by its guesses at masks alone."""

    model: models.Model
    fills_masks: ClassVar[bool] = True
    exact: ClassVar[bool] = False

    @property
    def denoise(self) -> Denoise:
        return self.model.denoise

    @property
    def alphabet(self) -> Alphabet:
        return self.model.alphabet

    @property
    def batch_tokens(self) -> int:
        return self.model.batch_tokens

    @property
    def labels(self) -> tuple[str, ...]:
        return self.model.labels

    def labelled(self, label: str) -> "AsMasked":
        return AsMasked(self.model.labelled(label))

    def bound(self, *, strata: int, replicates: int) -> Bound:
        return partial(Elbo(strata=strata, replicates=replicates), self.model.denoise)


def measured(
    run: RunFolder,
    parts: Sequence[str],
    comparison: Comparison,
    data: heldout.HeldOut,
    items: Integer[np.ndarray, "N"],
    yardstick: Yardstick | None,
    device: str,
    progress: Progress = silent,
) -> dict[str, dict[str, Any] | None]:
    """Some parts of what there is to say of a run's model, on `items` of the test split; plain values for JSON.

    `costs`: its own bound, window by window. `as_masked`: that of its guesses at masks; None where that is its own, or
    it fills none. `samples`: what its process's sampler draws.
    """
    model, found = models.load(run.path, device), {}
    process = model.recipe.process
    for number, part in enumerate(parts):

        def report(done: float, before: int = number) -> None:
            progress((before + done) / len(parts))

        if part == "costs":
            found[part] = _costs(model, comparison, data, items, report) | {"exact": process.exact}
        elif part == "as_masked":
            another = process.fills_masks and type(process).bound is not Process.bound
            found[part] = _costs(AsMasked(model), comparison, data, items, report) if another else None
        else:
            sampler = process.sampler()
            new = drawn(model, sampler, yardstick.length, yardstick.settings, report)
            found[part] = {
                "sampler": sampler.model_dump(mode="json"),
                "calls": float(new.calls.mean()),
                "distance": yardstick.distance(new.tokens)._asdict(),
            }
    progress(1.0)
    return found


def _costs(
    model: heldout.Asked,
    comparison: Comparison,
    data: heldout.HeldOut,
    items: Integer[np.ndarray, "N"],
    progress: Progress,
) -> dict[str, Any]:
    settings = comparison.evaluation
    found = costs(
        model, data, items,
        strata=settings.strata, replicates=settings.replicates, seed=settings.seed, progress=progress,
    )  # fmt: skip
    return {
        "nats": found.nats.tolist(), "se_monte_carlo": found.monte_carlo, "forward_passes": int(found.calls.max())
    }  # fmt: skip


def baselines(
    comparison: Comparison, data: heldout.HeldOut, items: Integer[np.ndarray, "N"], yardstick: Yardstick | None
) -> dict[str, Any]:
    """What Markov chains cost on the same windows, by order, and how far their samples and held-out pieces are."""
    chain = heldout.markov(data, comparison.evaluation.order)
    nats = np.zeros((chain.order + 1, len(items)))
    scored = np.zeros(len(items), np.int64)
    for part, tokens in heldout.batches(data.test, items, 2**18):
        nats[:, part] = -chain.log_prob(tokens).sum(-1)
        scored[part] = (tokens < chain.symbols).sum(-1)
    answer: dict[str, Any] = {"scored": scored.tolist(), "markov": nats.tolist(), "distances": None, "held_out": None}
    if yardstick:
        settings = yardstick.settings
        answer["distances"] = [
            yardstick.distance(of_chain(chain, k, settings.number, yardstick.length, settings.seed))._asdict()
            for k in range(chain.order + 1)
        ]
        answer["held_out"] = yardstick.distance(yardstick.pieces)._asdict()
    return answer


def curve(run: RunFolder, letters_per_second: float) -> list[dict[str, float | None]]:
    """The validations of a run: bits a letter with their error, by letters read and seconds of computing."""
    rows, found = run.read_metrics(), []
    a_step = next((row["tokens"] / row["step"] for row in reversed(rows) if "tokens" in row), 0.0)
    for row in rows:
        if (nats := row.get("valid_nats_per_symbol")) is not None:
            error = row["valid_standard_error"]
            letters = row["step"] * a_step
            found.append({
                "tokens": letters, "seconds": letters / letters_per_second, "bits": nats / math.log(2),
                "se": None if error is None else error / math.log(2),
            })  # fmt: skip
    return found
