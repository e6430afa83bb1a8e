"""Figures from plain numbers: the summaries of `seqdiff.evaluate` and the lines of metrics.jsonl, each to one PNG.

Bars are two standard errors to either side.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.ticker import FuncFormatter, NullLocator, PercentFormatter

from seqdiff.report.assay import assay_figure
from seqdiff.report.couplings import couplings_figure
from seqdiff.report.probe import probe_figure
from seqdiff.report.samplers import samplers_figure
from seqdiff.report.spectra import spectra_figure
from seqdiff.report.style import FLOOR, GREEN, GREY, INK, MODEL, PALE, RIVAL, Target, errors, figure, key_above

Summary = Mapping[str, Any]


def likelihood_figure(target: Target, summary: Summary) -> None:
    """Bits a base of the model beside those of Markov chains by order."""
    unit, model, markov = summary["unit"], summary["model"], summary["markov"]
    orders = [m["order"] for m in markov]
    with figure(target, 7.2, 4.0) as drawn:
        axes = drawn.subplots()
        spread = 2 * (model["se"] or 0.0)
        axes.axhspan(model["bits"] - spread, model["bits"] + spread, color=MODEL, alpha=0.14, linewidth=0)
        axes.axhline(model["bits"], color=MODEL, label=f"this model, at most {model['bits']:.3f}")
        axes.errorbar(
            orders, [m["bits"] for m in markov], errors([m["se"] for m in markov]),
            color=RIVAL, marker="o", markersize=5, capsize=2.5, elinewidth=1.2, label="Markov chain, exact",
        )  # fmt: skip
        if profile := summary.get("profile"):
            place = "place" if summary.get("examples") == "images" else "column"
            axes.axhline(profile["bits"], color=GREEN, linestyle="-.", label=f"profile, each {place} by itself")
        best, difference = summary["best_markov"], summary["difference"]
        give_or_take = "" if difference["se"] is None else f" ± {difference['se']:.4f}"
        axes.text(
            0.995, 0.97, f"paired difference to order {best}\n{difference['bits']:+.4f}{give_or_take} bits per {unit}",
            transform=axes.transAxes, ha="right", va="top", fontsize=9, linespacing=1.5,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 3},
        )  # fmt: skip
        low, high = axes.get_ylim()
        if max(m["bits"] + 2 * (m["se"] or 0) for m in markov[len(markov) // 2 :]) > high - 0.2 * (high - low):
            axes.set_ylim(low, high + 0.2 * (high - low))  # room for the text, which would lie on the chain
        axes.set_xticks(orders)
        axes.set_xlabel(f"order of the Markov chain ({unit}s of context)")
        axes.set_ylabel(f"bits per {unit} (less is better)")
        axes.grid(axis="x", visible=False)
        axes.set_title(
            f"What a held-out {unit} costs: {summary['scored']:,} {unit}s of test {summary.get('examples', 'windows')}",
            pad=28,
        )
        key_above(axes)


def recovery_figure(target: Target, summary: Summary) -> None:
    """Letters named right, and the probability they were given, against the length of the gap."""
    unit, gaps = summary["unit"], summary["gaps"]
    lengths = [gap["length"] for gap in gaps]
    who = (("model", "this model", MODEL, "o"), ("markov", "Markov chain, both flanks", RIVAL, "s"),
           ("most_frequent", f"most frequent {unit}", FLOOR, None))  # fmt: skip
    what = (("accuracy", f"{unit}s named right"), ("log2_probability", f"log2 probability of the true {unit}"))
    with figure(target, 9.6, 4.0) as drawn:
        for axes, (value, label) in zip(drawn.subplots(1, 2), what, strict=True):
            for number, (name, says, colour, marker) in enumerate(who):
                of = [gap[name][value] for gap in gaps]
                nudged = [length * 1.04 ** (number - 1) for length in lengths]
                axes.errorbar(
                    nudged, [v["value"] for v in of], errors([v["se"] for v in of]) if marker else None,
                    color=colour, marker=marker, linestyle="-" if marker else "--", markersize=5, capsize=2.5,
                    elinewidth=1.2, label=says,
                )  # fmt: skip
            axes.set_xscale("log", base=2)
            axes.set_xticks(lengths, [str(length) for length in lengths])
            axes.xaxis.set_minor_locator(NullLocator())
            axes.set_xlabel(f"length of the gap ({unit}s)")
            axes.set_title(label)
            axes.grid(axis="x", visible=False)
            if value == "accuracy":
                axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        handles, labels = drawn.axes[0].get_legend_handles_labels()
        drawn.legend(handles, labels, loc="outside upper left", ncols=3, handlelength=1.8)


def calibration_figure(target: Target, summary: Summary) -> None:
    """What the model says against how often it is right, over how often it says so."""
    bins = summary["reliability"]
    said = [b["forecast"] for b in bins]
    with figure(target, 5.2, 6.2) as drawn:
        axes, below = drawn.subplots(2, 1, sharex=True, height_ratios=(4, 1))
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--", label="perfect")
        axes.errorbar(
            said, [b["observed"]["value"] for b in bins], errors([b["observed"]["se"] for b in bins]),
            color=MODEL, marker="o", markersize=4.5, linewidth=1.2, capsize=2.5, elinewidth=1.2, label="this model",
        )  # fmt: skip
        axes.set(xlim=(0, 1), ylim=(0, 1))
        axes.set_ylabel("how often it was so")
        axes.set_title(f"Calibration at {summary['sites']:,} masked {summary['unit']}s", pad=28)
        key_above(axes)
        axes.text(
            0.97, 0.04,
            f"expected calibration error {summary['ece']:.4f}\nof noise alone {summary['ece_of_noise']:.4f}",
            transform=axes.transAxes, ha="right", va="bottom", fontsize=9, color=INK, linespacing=1.5,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 3},
        )  # fmt: skip
        left = [b["from"] for b in bins]
        below.bar(left, [b["count"] for b in bins], [b["to"] - b["from"] for b in bins], align="edge",
                  color=MODEL, alpha=0.55, edgecolor="white", linewidth=0.6)  # fmt: skip
        below.set_yscale("log")
        below.set_ylabel("forecasts")
        below.set_xlabel(f"probability given to a {summary['unit']}")


def variants_figure(target: Target, summary: Summary) -> None:
    """How well classes of variants are told apart, by the model and by the Markov chain, with 95 % intervals."""
    judged = [row for row in summary["classes"] if row["judged"]]
    names = [f"{row['class']}\n{row['positives']:,} of {row['positives'] + row['negatives']:,}" for row in judged]
    places = np.arange(len(judged))[::-1]
    order = summary["markov_order"]
    with figure(target, 9.6, 1.5 + 0.55 * max(2, len(judged))) as drawn:
        left, right = drawn.subplots(1, 2, sharey=True)
        for axes, area, title in ((left, "auroc", "AUROC"), (right, "auprc", "AUPRC")):
            for number, (who, says, colour, marker) in enumerate(
                (("model", "this model", MODEL, "o"), ("markov", f"Markov chain of order {order}", RIVAL, "s"))
            ):
                value = [row[who][area]["value"] for row in judged]
                ends = [(row[who][area]["low"], row[who][area]["high"]) for row in judged]
                known = [(v, v) if low is None else (low, high) for v, (low, high) in zip(value, ends, strict=True)]
                bars = [[max(0.0, v - low), max(0.0, high - v)] for v, (low, high) in zip(value, known, strict=True)]
                axes.errorbar(
                    value, places + (0.12, -0.12)[number], xerr=np.array(bars).reshape(-1, 2).T, color=colour,
                    marker=marker, markersize=5, linestyle="none", capsize=2.5, elinewidth=1.2, label=says,
                )  # fmt: skip
            chance = [0.5 if area == "auroc" else row["chance"] for row in judged]
            axes.vlines(chance, places - 0.35, places + 0.35, color=FLOOR, linestyle="--", linewidth=1, label="chance")
            axes.set_title(title)
            axes.grid(axis="y", visible=False)
        left.set_yticks(places, names, fontsize=9)
        left.set_ylim(-0.6, max(1, len(judged)) - 0.4)
        left.tick_params(axis="y", length=0)
        right.tick_params(axis="y", length=0)
        handles, labels = left.get_legend_handles_labels()
        drawn.legend(handles, labels, loc="outside upper left", ncols=3, handlelength=1.8)


def training_figure(
    target: Target, rows: Sequence[Mapping[str, Any]], baselines: Mapping[str, float] | None = None
) -> None:
    """The training curve, from the lines of metrics.jsonl: bits a symbol in training and validation, and the rate.

    The axis says so where the loss was that of masked language modelling, which is no bound. `baselines` are bits a
    symbol of what the run is compared with, by name: lines, of which the lowest is always in sight.
    """
    bounds = not any("nats_per_selected" in row for row in rows)
    key = "nats_per_symbol" if bounds else "nats_per_selected"
    steps = [row["step"] for row in rows if key in row]
    bits = [row[key] / math.log(2) for row in rows if key in row]
    valid = [row for row in rows if f"valid_{key}" in row]
    rates = [row.get("learning_rate") for row in rows if key in row]
    with figure(target, 7.2, 4.8) as drawn:
        axes, below = drawn.subplots(2, 1, sharex=True, height_ratios=(4, 1))
        axes.plot(steps, bits, color=PALE, linewidth=1, label="training, a batch")
        axes.plot(steps, _smooth(bits), color=GREY, linewidth=1.6, label="training, smoothed")
        axes.errorbar(
            [row["step"] for row in valid],
            [row[f"valid_{key}"] / math.log(2) for row in valid],
            errors([(row.get("valid_standard_error") or 0) / math.log(2) for row in valid]),
            color=MODEL, marker="o", markersize=5, capsize=2.5, elinewidth=1.2, label="validation",
        )  # fmt: skip
        axes.set_ylabel("bits per symbol" if bounds else "bits per selected symbol (no bound)")
        for (name, height), dashes in zip(sorted((baselines or {}).items()), (":", "--", "-."), strict=False):
            axes.axhline(height, color=RIVAL, linestyle=dashes, linewidth=1.1, label=name)
        if bits:
            # The first steps come down from log2 K; the scale is for what follows.
            settled = [*bits[len(bits) // 20 :], *(row[f"valid_{key}"] / math.log(2) for row in valid)]
            settled += [min(baselines.values())] if baselines else []
            room = 0.05 * (max(settled) - min(settled)) + 1e-3
            axes.set_ylim(min(settled) - room, max(settled) + room)
        low, high = axes.get_ylim()
        for line in axes.get_lines():
            if line.get_label() in (baselines or {}) and not low <= line.get_ydata()[0] <= high:
                line.set_label("_off the scale")  # so that the key names what is seen
        axes.set_title("Training", pad=46 if baselines else 28)
        key_above(axes)
        below.plot(steps, [math.nan if rate is None else rate for rate in rates], color=GREEN, linewidth=1.4)
        below.set_ylabel("learning rate")
        below.set_xlabel("step")
        below.set_ylim(bottom=0)
        drawn.align_ylabels()
        below.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step:,.0f}"))


def _smooth(values: Sequence[float]) -> np.ndarray:
    """Mean over a window of a twentieth of the curve, shorter at its ends."""
    reach = max(1, len(values) // 40)
    total = np.concatenate([[0.0], np.cumsum(values)])
    places = np.arange(len(values))
    low, high = np.maximum(places - reach, 0), np.minimum(places + reach + 1, len(values))
    return (total[high] - total[low]) / (high - low)


FIGURES = {
    "likelihood": likelihood_figure,
    "recovery": recovery_figure,
    "calibration": calibration_figure,
    "samplers": samplers_figure,
    "spectra": spectra_figure,
    "variants": variants_figure,
    "probe": probe_figure,
    "assay": assay_figure,
    "couplings": couplings_figure,
}
"""By question."""


def draw(target: Target, question: str, summary: Summary) -> None:
    """The figure of an evaluation's answer."""
    FIGURES[question](target, summary)
