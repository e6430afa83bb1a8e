"""What a trained system comes to: its bits a letter window by window, and its samples."""

import math
from typing import Any

import numpy as np
from jaxtyping import Integer

from seqdiff import model as models
from seqdiff.checkpoint import RunFolder
from seqdiff.compare.samples import Yardstick, drawn, of_chain
from seqdiff.compare.settings import Comparison
from seqdiff.evaluate import heldout
from seqdiff.evaluate.answer import Progress, silent
from seqdiff.evaluate.costs import costs


def measured(
    run: RunFolder,
    comparison: Comparison,
    data: heldout.HeldOut,
    items: Integer[np.ndarray, "N"],
    yardstick: Yardstick | None,
    device: str,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Of a run's model on `items` of the test split; plain values for JSON."""
    model = models.load(run.path, device)
    settings, share = comparison.evaluation, 0.5 if yardstick else 1.0
    found = costs(
        model, data, items, strata=settings.strata, replicates=settings.replicates, seed=settings.seed,
        progress=lambda done: progress(share * done),
    )  # fmt: skip
    answer: dict[str, Any] = {
        "nats": found.nats.tolist(),
        "se_monte_carlo": found.monte_carlo,
        "forward_passes": int(found.calls.max()),
        "exact": model.recipe.process.exact,
        "step": model.provenance.step,
    }
    if yardstick:
        sampler = model.recipe.process.sampler()
        new = drawn(model, sampler, yardstick.length, yardstick.settings, lambda done: progress(0.5 + 0.5 * done))
        answer |= {
            "sampler": sampler.model_dump(mode="json"),
            "calls": float(new.calls.mean()),
            "distance": yardstick.distance(new.tokens)._asdict(),
        }
    progress(1.0)
    return answer


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
