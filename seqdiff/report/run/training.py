"""How the training went, and how fast: from the lines of metrics.jsonl."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from seqdiff.report.figures import training_figure
from seqdiff.report.page import Facts, Figure, Section, Table, Text
from seqdiff.report.run.run import Run, plus_minus
from seqdiff.report.schedules import schedules_figure
from seqdiff.report.speed import speed_figure

NO_METRICS = "There are no lines of a training (no metrics.jsonl): the model ships with seqdiff, or was imported."


def training(run: Run) -> Section:
    """Loss and validation over the steps, beside the Markov chains of the held-out likelihood."""
    if not run.rows:
        return Section("Training", (Text(NO_METRICS),))
    validations = run.validations()
    bounds = run.measure == "nats_per_symbol"
    what = f"bits per {run.unit}" if bounds else f"bits per selected {run.unit}"
    numbers = Table(
        f"Validation, {what}",
        ("step", what),
        tuple((f"{step:,}", plus_minus(bits, se)) for step, bits, se in validations),
    )
    lines = baselines(run.answers.get("likelihood")) if bounds else {}
    best = min(validations, key=lambda one: one[1], default=None)
    ends = f" The best validation is {plus_minus(best[1], best[2])} at step {best[0]:,}." if best else ""
    beside = " Markov chains are those of the test split, below." if lines else ""
    blocks = [
        Figure.of(
            f"Loss of training batches and of validation, {what}, over the steps; below the learning rate.{beside}",
            f"A curve of the loss over {run.step:,} steps.{ends}",
            lambda target: training_figure(target, run.rows, lines),
            *([numbers] if validations else []),
        )
    ]
    powers = next((row["powers"] for row in reversed(run.rows) if "powers" in row), None)
    if powers:
        table = Table("Learned powers", ("symbol", "power"), tuple((a, f"{p:.4f}") for a, p in powers.items()))
        blocks.append(
            Figure.of(
                "Schedules that the process has learned, one of each symbol: the share still visible, and its power "
                "over the steps.",
                f"Powers from {min(powers.values()):.3f} to {max(powers.values()):.3f}.",
                lambda target: schedules_figure(target, powers, run.rows),
                table,
            )
        )
    return Section("Training", tuple(blocks))


def baselines(likelihood: Mapping[str, Any] | None) -> dict[str, float]:
    """Bits of the Markov chains that a training is shown beside: order 0 and the best one."""
    if likelihood is None:
        return {}
    best = likelihood["best_markov"]
    return {f"Markov, order {k}": likelihood["markov"][k]["bits"] for k in sorted({0, best})}


def speed(run: Run) -> Section:
    """Letters a second over the steps, memory, time and size."""
    facts = {} if run.parameters is None else {"parameters": f"{run.parameters:,}"}
    rows = [row for row in run.rows if row.get("tokens_per_second")]
    if not rows:
        return Section("Speed and memory", (Facts(facts), Text(NO_METRICS if not run.rows else "No speed was logged.")))
    speeds = sorted(row["tokens_per_second"] for row in rows)
    facts |= {
        f"{run.unit}s read": f"{rows[-1]['tokens']:,}",
        f"{run.unit}s a second": f"{speeds[len(speeds) // 2]:,} (the median; {speeds[0]:,} to {speeds[-1]:,})",
        "time of its steps": _duration(seconds(rows)),
        "trained on": ", ".join(run.position.get("where", {}).values()) or "not noted",
        "largest memory": _memory(run.position.get("memory")),
    }
    figure = Figure.of(
        f"{run.unit.capitalize()}s a second over the steps, without validations and saves.",
        f"Between {speeds[0]:,} and {speeds[-1]:,} {run.unit}s a second.",
        lambda target: speed_figure(target, rows, run.unit),
    )
    return Section("Speed and memory", (Facts(facts), figure))


def seconds(rows: Sequence[Mapping[str, Any]]) -> float:
    """How long the steps took, all pauses left out.

    >>> seconds([{"tokens": 100, "tokens_per_second": 50}, {"tokens": 300, "tokens_per_second": 100}])
    4.0
    """
    total, before = 0.0, 0
    for row in rows:
        total += (row["tokens"] - before) / row["tokens_per_second"]
        before = row["tokens"]
    return total


def _memory(most: int | None) -> str:
    return f"{most / 2**20:,.0f} MiB, of the first process since it last started" if most else "not noted"


def _duration(found: float) -> str:
    """
    >>> _duration(42.4), _duration(8100), _duration(200_000)
    ('42 s', '2 h 15 min', '55 h 33 min')
    """
    if not math.isfinite(found) or found < 120:
        return f"{found:,.0f} s"
    minutes = round(found / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60:,} h {minutes % 60} min"
