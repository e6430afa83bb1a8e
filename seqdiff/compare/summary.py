"""What a comparison came to, as plain values: a row for each system and budget, beside what costs no training."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float64, Int64

from seqdiff.compare import measure
from seqdiff.compare.settings import System
from seqdiff.evaluate.costs import bits
from seqdiff.evaluate.statistics import Estimate

if TYPE_CHECKING:
    from seqdiff.compare.run import Course

ALIKE = 0.05
"""Networks are called the same size when their parameters differ by no more than this share."""


def asked_of(course: "Course") -> dict[str, dict[str, Any]]:
    """What is measured of a run, part by part, and what decides what that comes to, besides its weights."""
    comparison, data = course.comparison, {"data": course.data.checksum}
    costs = data | comparison.evaluation.model_dump(mode="json", exclude={"order", "as_masked"})
    asked = {"costs": costs}
    if comparison.evaluation.as_masked:
        asked["as_masked"] = costs
    if comparison.samples:
        asked["samples"] = data | comparison.samples.model_dump(mode="json")
    return asked


def summarised(course: "Course", rivals: dict[str, Any], unit: Int64[np.ndarray, "N"], read: str) -> dict[str, Any]:
    """Everything there is to say, for JSON. Differences are paired: the mean over the same windows of what one costs
    more than the reference, which other windows being hard or easy does not enter. A system trained from several seeds
    is the mean over them, window by window."""
    comparison, alphabet = course.comparison, course.data.config.alphabet
    scored = np.array(rivals["scored"])
    halves = []
    for kind in comparison.budget.kinds:
        found = {system.name: _measured(course, kind, system) for system in comparison.systems}
        nats = {name: _mean_nats(measured, "costs") for name, measured in found.items()}
        reference = nats[comparison.to_whom]
        rows = [_row(course, kind, system, found[system.name], scored, unit) for system in comparison.systems]
        of_chain = np.array(rivals["markov"])
        for k in dict.fromkeys((0, int(of_chain.sum(1).argmin()))):
            best = k > 0
            rows.append({
                "name": f"markov-{k}", "title": f"Markov chain, order {k}" + (" (best)" if best else ""),
                "state": "measured", "exact": True, "nats": of_chain[k],
                "distance": rivals["distances"] and rivals["distances"][k],
            })  # fmt: skip
        rows.append({"name": "held-out", "title": "held-out", "state": "measured", "distance": rivals["held_out"]})
        for row in rows:
            own = row.pop("nats", None)
            if own is None:
                continue
            cost = bits(own, scored, unit)
            row |= {"bits": cost._asdict(), "perplexity": 2**cost.value}
            if reference is not None and row["name"] != comparison.to_whom:
                row["difference"] = bits(own - reference, scored, unit)._asdict()
        halves.append({"budget": kind, "amount": getattr(comparison.budget, kind), "rows": rows})
    first = next(iter(course.paces.values()), None)
    return {
        "comparison": comparison.name,
        "data": course.data.source,
        "read": read,
        "scored": int(scored.sum()),
        "unit": alphabet.unit,
        "reference": comparison.to_whom,
        "seeds": comparison.seeds,
        "evaluation": comparison.evaluation.model_dump(mode="json"),
        "samples": comparison.samples and comparison.samples.model_dump(mode="json"),
        "place": first and {"device": first.device, "threads": first.threads, "processes": first.processes},
        "remarks": _remarks(course),
        "halves": halves,
    }


def _endings(course: "Course", kind: str, system: System) -> list[dict[str, Any]]:
    """How the runs of a system ended, seed by seed."""
    return [course.folder.ending(course.folder.run(kind, system.name, seed)) for seed in course.comparison.seeds]


def _measured(course: "Course", kind: str, system: System) -> list[dict[str, Any]] | None:
    """What was measured of a system from each seed, part by part; None until all that is asked is known of all."""
    found, asked = [], asked_of(course)
    for ending in _endings(course, kind, system):
        parts = ending.get("measured", {})
        if any(not what.items() <= parts.get(part, {}).get("asked", {}).items() for part, what in asked.items()):
            return None
        found.append({part: parts[part]["answer"] for part in asked})
    return found


def _mean_nats(measured: list[dict[str, Any]] | None, part: str) -> Float64[np.ndarray, "N"] | None:
    """What each window costs, the mean over seeds."""
    if measured is None or measured[0].get(part) is None:
        return None
    return np.mean([np.array(one[part]["nats"]) for one in measured], axis=0)


def _row(
    course: "Course",
    kind: str,
    system: System,
    measured: list[dict[str, Any]] | None,
    scored: Int64[np.ndarray, "N"],
    unit: Int64[np.ndarray, "N"],
) -> dict[str, Any]:
    endings = _endings(course, kind, system)
    row: dict[str, Any] = {"name": system.name, "title": system.title, "state": "waiting"}
    why = [course.failures.get(system.name), *(ending.get("failed") for ending in endings)]
    if any(why):
        row |= {"state": "failed", "why": next(filter(None, why))}
    if speed := course.paces.get(system.name):
        recipe = course.recipe(kind, system, course.comparison.seeds[0])
        letters = recipe.training.steps * recipe.training.batch_size * recipe.data.context
        row |= {
            "parameters": speed.parameters, "steps": recipe.training.steps, "letters": letters,
            "letters_per_second": speed.letters_per_second, "minutes": letters / speed.letters_per_second / 60,
        }  # fmt: skip
    if measured is None:
        return row
    costs = [one["costs"] for one in measured]
    spread = [sum(one["nats"]) / scored.sum() / math.log(2) for one in costs]
    row |= {
        "state": "measured", "why": None, "nats": _mean_nats(measured, "costs"), "exact": costs[0]["exact"],
        "se_monte_carlo": math.sqrt(sum(one["se_monte_carlo"] ** 2 for one in costs)) / len(costs),
        "seeds_sd": float(np.std(spread, ddof=1)) if len(spread) > 1 else None,
    }  # fmt: skip
    if (as_masked := _mean_nats(measured, "as_masked")) is not None:
        row["as_masked"] = bits(as_masked, scored, unit)._asdict()
    if drawn := [one["samples"] for one in measured if "samples" in one]:
        row |= {
            "distance": _mean([one["distance"] for one in drawn])._asdict(),
            "calls": float(np.mean([one["calls"] for one in drawn])),
            "sampler": drawn[0]["sampler"],
        }
    run = course.folder.run(kind, system.name, course.comparison.seeds[0])
    row["curve"] = measure.curve(run, speed.letters_per_second) if speed else []
    return row


def _mean(estimates: list[dict[str, float | None]]) -> Estimate:
    """Of independent estimates."""
    errors = [one["se"] for one in estimates]
    value = float(np.mean([one["value"] for one in estimates]))
    return Estimate(value, None if None in errors else math.sqrt(sum(e**2 for e in errors)) / len(errors))


def _remarks(course: "Course") -> list[str]:
    """What a reader should know before believing the table."""
    reference = course.paces.get(course.comparison.to_whom)
    if reference is None:
        return []
    found = []
    for system in course.comparison.systems:
        own = course.paces.get(system.name)
        if own and abs(share := own.parameters / reference.parameters - 1) > ALIKE:
            found.append(
                f"the network of {system.title} has {own.parameters:,} parameters, {abs(share):.0%} "
                f"{'more' if share > 0 else 'less'} than the reference's {reference.parameters:,}"
            )
    return found
