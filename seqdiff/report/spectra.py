"""Figures of what a model draws beside held-out sequence: words, letters, GC content."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, PercentFormatter

from seqdiff.report.style import FLOOR, GREY, INK, MODEL, PALE, RIVAL, Target, errors, figure, key_above

Summary = Mapping[str, Any]
MOST_SYMBOLS = 30
"""Letters whose shares are drawn, the most frequent ones."""


def spectra_figure(target: Target, summary: Summary) -> None:
    """Left: the share of each word among the samples against that among held-out sequences, with as many training
    sequences as what chance does to equal ones. Right: the divergence of words of each length."""
    with figure(target, 10.4, 4.8) as drawn:
        left, right = drawn.subplots(1, 2, width_ratios=(1, 1.1))
        _words(left, summary)
        _divergences(right, summary)


def _words(axes: Axes, summary: Summary) -> None:
    shares = np.array([row[1:] for row in summary["words"]["rows"]])
    columns = summary["words"]["columns"]
    test, samples, train = (shares[:, columns.index(name)] for name in ("test", "samples", "train"))
    least = shares[shares > 0].min() / 2
    for values, colour, label, size in ((train, FLOOR, "training", 9), (samples, MODEL, "samples", 9)):
        there = (values > 0) & (test > 0)
        axes.scatter(test[there], values[there], s=size, color=colour, alpha=0.6, linewidths=0, label=label)
    ends = [least, shares.max() * 1.4]
    axes.plot(ends, ends, color=GREY, linewidth=0.8, linestyle="--")
    axes.set(xscale="log", yscale="log", xlim=ends, ylim=ends)
    axes.set_xlabel(f"share among held-out {summary['examples']}")
    axes.set_ylabel("share among those drawn")
    axes.set_title(f"Words of {summary['words']['k']}", pad=28)
    key_above(axes)


def _divergences(axes: Axes, summary: Summary) -> None:
    rows = summary["spectra"]
    lengths = np.array([row["k"] for row in rows])
    independent = [row["independent"] if row["independent"] > 1e-9 else np.nan for row in rows]  # single letters: 0
    axes.plot(lengths, independent, color=RIVAL, marker="s", markersize=4.5, linestyle=":",
              linewidth=1.2, label="independent letters")  # fmt: skip
    for name, colour, label, marker in (("samples", MODEL, "samples", "o"), ("train", FLOOR, "training", "D")):
        axes.errorbar(
            lengths, [row[name]["value"] for row in rows], errors([row[name]["se"] for row in rows]), color=colour,
            marker=marker, markersize=5, capsize=2.5, elinewidth=1.2, label=label,
        )  # fmt: skip
    positive = [row[name]["value"] for row in rows for name in ("samples", "train") if row[name]["value"] > 0]
    axes.set_yscale("log")
    if positive:
        axes.set_ylim(bottom=min(positive) / 4)
    axes.set_xticks(lengths)
    axes.set_xlabel("length of the words")
    axes.set_ylabel("bits")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.grid(axis="x", visible=False)
    axes.set_title("Divergence from held-out", pad=28)
    key_above(axes)


def composition_figure(target: Target, summary: Summary) -> None:
    """The share of each letter, and of DNA how the GC content of windows is spread; bars are two standard errors."""
    rows = sorted(summary["composition"], key=lambda row: -row["test"]["value"])
    if len(rows) <= 4:  # bases stay in their order
        rows = summary["composition"]
    rows = rows[:MOST_SYMBOLS]
    gc = summary.get("gc")
    with figure(target, 10.4 if gc else max(5.2, 2 + 0.32 * len(rows)), 4.2) as drawn:
        both = drawn.subplots(1, 2 if gc else 1, squeeze=False)[0]
        axes, places = both[0], np.arange(len(rows))
        for number, (name, colour, label) in enumerate(
            (("test", PALE, "held out"), ("samples", MODEL, "samples"), ("train", FLOOR, "training"))
        ):
            axes.bar(
                places + 0.27 * (number - 1), [row[name]["value"] for row in rows], 0.25, color=colour, label=label,
                yerr=errors([row[name]["se"] for row in rows]), error_kw={"ecolor": INK, "elinewidth": 0.9},
            )  # fmt: skip
        axes.set_xticks(places, [_shown(row["symbol"]) for row in rows])
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.grid(axis="x", visible=False)
        axes.set_title("Letters", pad=28)
        key_above(axes)
        if gc:
            _gc(both[1], gc)


def _gc(axes: Axes, gc: Summary) -> None:
    bins = len(gc["test"]["counts"])
    edges = np.arange(bins + 1) / bins
    looks = {"test": (PALE, "held out"), "train": (FLOOR, "training"), "samples": (MODEL, "samples")}
    for name, (colour, label) in looks.items():
        shares = np.array(gc[name]["counts"]) / max(1, sum(gc[name]["counts"]))
        axes.stairs(shares, edges, color=colour, fill=name == "test", linewidth=1.8, label=label)
    there = np.flatnonzero(sum(np.array(one["counts"]) for one in gc.values()))
    axes.set_xlim(edges[max(0, there[0] - 1)], edges[min(bins, there[-1] + 2)])
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set_xlabel("GC content of a window")
    axes.set_ylabel("share of the windows")
    axes.set_title("GC content", pad=28)
    key_above(axes)


def _shown(symbol: str) -> str:
    return symbol if symbol.isprintable() and symbol.strip() else ascii(symbol)
