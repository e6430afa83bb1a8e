"""The figure of an assay: measured fitness against score, and how well each scorer ranks the mutants."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from seqdiff.report.style import FLOOR, GREEN, GREY, MODEL, RIVAL, Target, figure, key_above

NAMES = {"spearman": "Spearman", "auc": "AUC", "mcc": "MCC", "ndcg": "NDCG@10%", "top_recall": "top recall"}
CHANCE = {"spearman": 0.0, "auc": 0.5, "mcc": 0.0}
COLOURS = (MODEL, RIVAL, GREEN)


def assay_figure(target: Target, summary: Mapping[str, Any]) -> None:
    """Mutants as points on the left; on the right the five numbers of each scorer, with 95 % intervals."""
    judged = summary["classes"][0]
    with figure(target, 10.4, 4.4) as drawn:
        left, right = drawn.subplots(1, 2, width_ratios=(1, 1.25))
        _points(left, np.array(summary["points"]).reshape(-1, 2), summary["score"])
        left.set_ylabel(summary["settings"]["score_column"])
        left.set_title(f"{judged['mutants']:,} mutants of {summary['protein']}", pad=28)
        _numbers(right, {who: of for who, of in judged["results"].items() if not who.startswith("minus ")})
        right.set_title("How well mutants are ranked", pad=28)
        key_above(right, columns=4)


def _points(axes: Axes, points: np.ndarray, score: str) -> None:
    axes.scatter(*points.T, s=7, color=MODEL, alpha=0.35, linewidths=0)
    axes.axvline(0, color=GREY, linewidth=0.8, linestyle="--")
    axes.set_xlabel(f"{score}, nats: less probable than the wild type < 0 < more")


def _numbers(axes: Axes, results: Mapping[str, Any]) -> None:
    places = np.arange(len(NAMES))
    for number, ((who, of), colour) in enumerate(zip(results.items(), COLOURS, strict=False)):
        there = [i for i, name in enumerate(NAMES) if of[name]["value"] is not None]
        cells = [of[name] for i, name in enumerate(NAMES) if i in there]
        values = np.array([cell["value"] for cell in cells])
        ends = [(c["value"], c["value"]) if c["low"] is None else (c["low"], c["high"]) for c in cells]
        reach = np.array([(v - low, high - v) for v, (low, high) in zip(values, ends, strict=True)]).clip(0)
        axes.errorbar(
            places[there] + 0.18 * (number - (len(results) - 1) / 2), values, reach.reshape(-1, 2).T, color=colour,
            marker="osD"[number % 3], markersize=6, linestyle="none", capsize=3, elinewidth=1.4,
            label="this model" if who == "model" else who,
        )  # fmt: skip
    for place, name in enumerate(NAMES):
        if name in CHANCE:
            label = "chance" if place == 0 else None
            axes.hlines(CHANCE[name], place - 0.4, place + 0.4, color=FLOOR, linestyle="--", linewidth=1, label=label)
    axes.set_xticks(places, list(NAMES.values()))
    axes.set_xlim(-0.6, len(NAMES) - 0.4)
    axes.grid(axis="x", visible=False)
