"""Figures of a table of filled letters."""

import numpy as np
from matplotlib.ticker import PercentFormatter

from seqdiff.report.filled.edges import Edges
from seqdiff.report.filled.truth import Truth
from seqdiff.report.style import GREY, MODEL, PAPER, RIVAL, Target, figure, key_above


def confidence_figure(target: Target, counts: np.ndarray, letters: int, chance: float) -> None:
    """How many filled letters were given which probability, with a line at that of a letter drawn by chance."""
    edges = np.linspace(0, 1, len(counts) + 1)
    with figure(target, 7.2, 3.4) as drawn:
        axes = drawn.subplots()
        axes.bar(
            edges[:-1], counts / letters, 1 / len(counts), align="edge", color=MODEL, edgecolor=PAPER, linewidth=0.8
        )
        axes.axvline(chance, color=GREY, linestyle="--", linewidth=1, label="each letter alike")
        axes.set_xlim(0, 1)
        axes.set_xlabel("probability of the letter that was filled in")
        axes.set_ylabel("share of the letters")
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.grid(axis="x", visible=False)
        key_above(axes)


def edges_figure(target: Target, edges: Edges, symbols: int) -> None:
    """How sure the model is by the distance to the nearest known letter."""
    rows = list(edges.rows())
    places = np.arange(len(rows))
    with figure(target, 9.6, 3.4) as drawn:
        axes = drawn.subplots(1, 2)
        for one, values, label, all_alike, colour in (
            (axes[0], [row[2] for row in rows], "probability of the filled letter, mean", 1 / symbols, MODEL),
            (axes[1], [row[3] for row in rows], "entropy (bits), mean", float(np.log2(symbols)), RIVAL),
        ):
            one.plot(places, values, color=colour, marker="o", markersize=5)
            one.axhline(all_alike, color=GREY, linestyle="--", linewidth=1, label="each letter alike")
            one.set_xticks(places, [row[0].replace(" to ", "–").replace("over ", ">") for row in rows], fontsize=8)
            one.set_xlabel("distance to the nearest known letter")
            one.set_ylabel(label)
            one.set_ylim(0, 1.06 * max(all_alike, *values))
            one.grid(axis="x", visible=False)
            key_above(one)


def hidden_figure(target: Target, truth: Truth) -> None:
    """How often letters were right that the FASTA knows, against the probability they were given."""
    there = np.flatnonzero(truth.hidden)
    said, right = truth.said[there] / truth.hidden[there], truth.right[there] / truth.hidden[there]
    low, high = wilson(right, truth.hidden[there])
    with figure(target, 4.8, 4.6) as drawn:
        axes = drawn.subplots()
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--", label="perfect")
        axes.errorbar(
            said, right, (right - low, high - right), color=MODEL, marker="o", markersize=5, capsize=2.5,
            elinewidth=1.2, label="filled letters",
        )  # fmt: skip
        axes.set(xlim=(0, 1), ylim=(0, 1))
        axes.set_xlabel("probability of the letter that was filled in")
        axes.set_ylabel("how often it was the hidden one")
        key_above(axes)


def wilson(share: np.ndarray | float, number: np.ndarray | int) -> tuple[np.ndarray, np.ndarray]:
    """95 % intervals of shares of so many (Wilson 1927, J. Am. Stat. Assoc. 22:209), around the shares."""
    z = 1.96
    middle = (share + z**2 / (2 * number)) / (1 + z**2 / number)
    reach = z / (1 + z**2 / number) * np.sqrt(share * (1 - share) / number + z**2 / (4 * number**2))
    return np.minimum(middle - reach, share), np.maximum(middle + reach, share)
