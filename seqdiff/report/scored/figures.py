"""Figures of scored variants and mutants."""

from collections.abc import Sequence

import matplotlib
import numpy as np
from jaxtyping import Float64, Int64
from matplotlib.axes import Axes
from matplotlib.colors import CenteredNorm
from matplotlib.ticker import MaxNLocator

from seqdiff.report.scored.along import Along
from seqdiff.report.scored.exchange import Exchange
from seqdiff.report.style import (
    BLUE,
    DOT,
    GREEN,
    GREY,
    INK,
    MODEL,
    ORANGE,
    PALE,
    PURPLE,
    SKY,
    VERMILION,
    Target,
    brief,
    figure,
    key_above,
)

COLOURS = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY, GREY)
"""Of classes, in their order."""
LIGHT = "#fcfcfc"
"""Marks on dark cells, by day and by night."""
FEW = 500
"""Scores: of no more, points are large."""
NATS = "LLR (nats): less probable < 0 < more probable"


def spread_figure(
    target: Target, edges: Float64[np.ndarray, "b+1"], counts: Int64[np.ndarray, "c b"], names: Sequence[str]
) -> None:
    """Histograms of scores, a line a class, each as shares of its own scores."""
    with figure(target, 8.4, 3.8) as drawn:
        axes = drawn.subplots()
        for number, name in enumerate(names):
            if total := int(counts[number].sum()):
                axes.stairs(
                    counts[number] / total, edges, color=COLOURS[number], linewidth=1.6, label=f"{name} ({total:,})"
                )
        axes.axvline(0, color=GREY, linestyle="--", linewidth=0.8)
        axes.set_xlim(edges[0], edges[-1])
        axes.set_ylim(bottom=0)
        axes.set_xlabel(NATS)
        axes.set_ylabel("share of the class")
        axes.grid(axis="x", visible=False)
        key_above(axes, columns=4)


def along_figure(target: Target, along: Along, names: Sequence[str]) -> None:
    """Scores along the contigs, which stand one after another: points, or what lies in bins from lowest to highest."""
    starts, at = {}, 0
    for name, contig in along.contigs.items():
        starts[name] = at - contig.begin
        at += contig.end - contig.begin
    room = 0.01 * at
    with figure(target, 10.4, 3.8) as drawn:
        axes = drawn.subplots()
        if along.points is not None:
            seen = sorted({int(c) for *_, classes in along.points for c in classes})
            for number in seen:
                x = [starts[name] + places[classes == number] for name, places, _, classes in along.points]
                y = [llr[classes == number] for _, _, llr, classes in along.points]
                axes.scatter(np.concatenate(x), np.concatenate(y), color=COLOURS[number], linewidths=0,
                             s=9 if along.scores > FEW else 24, alpha=0.75, label=names[number])  # fmt: skip
            key_above(axes, columns=4)
        else:
            for place, (name, (middle, low, mean, high)) in enumerate(along.bins().items()):
                colour = (BLUE, SKY)[place % 2]
                axes.vlines(starts[name] + middle, low, high, color=colour, linewidth=0.9)
                axes.plot(starts[name] + middle, mean, color=INK, linewidth=0.9)
        axes.axhline(0, color=GREY, linestyle="--", linewidth=0.8)
        axes.set_xlim(-room - 1, at + room + 1)
        axes.set_ylabel("LLR (nats)")
        axes.grid(axis="x", visible=False)
        _contigs(axes, along, starts, at)


def _contigs(axes: Axes, along: Along, starts: dict[str, int], end: int) -> None:
    """Names where contigs are wide enough, or positions where there is one alone."""
    if len(starts) == 1:
        ((name, shift),) = starts.items()
        axes.set_xlabel(f"position in {brief(name)}", parse_math=False)
        axes.xaxis.set_major_locator(MaxNLocator(7, integer=True))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value - shift + 1:,.0f}" if 0 <= value <= end else "")
        return
    ends = {name: starts[name] + contig.end for name, contig in along.contigs.items()}
    begins = {name: starts[name] + contig.begin for name, contig in along.contigs.items()}
    wide = [(name, (begins[name] + ends[name]) / 2) for name in ends if ends[name] - begins[name] > 0.025 * end]
    axes.set_xticks(
        [middle for _, middle in wide],
        [name[:14] for name, _ in wide],
        fontsize=8,
        rotation=45,
        ha="right",
        parse_math=False,
    )
    for begin in list(begins.values())[1:]:
        axes.axvline(begin, color=PALE, linewidth=0.5, zorder=0)


def exchange_figure(target: Target, exchange: Exchange) -> None:
    """Mean scores of substitutions: a row for the letter that was, a column for the one that is."""
    mean, size = exchange.mean, len(exchange.symbols)
    reach = float(np.nanmax(np.abs(mean))) if np.isfinite(mean).any() else 1.0
    side = max(3.0, 0.26 * size + 0.8)
    with figure(target, side + 1.0, side) as drawn:
        axes = drawn.subplots()
        colours = matplotlib.colormaps["RdBu"].with_extremes(bad=PALE)
        edges, norm = np.arange(size + 1) - 0.5, CenteredNorm(0.0, reach or 1.0)
        mesh = axes.pcolormesh(edges, edges, np.ma.masked_invalid(mean), cmap=colours, norm=norm,
                               edgecolors="white", linewidth=0.6)  # fmt: skip
        if size <= 6:
            for i, j in np.argwhere(np.isfinite(mean)).tolist():
                colour = LIGHT if abs(mean[i, j]) > 0.6 * reach else DOT
                axes.text(j, i, f"{mean[i, j]:.2f}", ha="center", va="center", fontsize=9, color=colour)
        axes.set_xticks(range(size), list(exchange.symbols), fontsize=8)
        axes.set_yticks(range(size), list(exchange.symbols), fontsize=8)
        axes.set_ylim(size - 0.5, -0.5)
        axes.set_aspect("equal")
        axes.set_xlabel("becomes")
        axes.set_ylabel("was")
        axes.grid(visible=False)
        axes.tick_params(length=0)
        axes.spines[["left", "bottom"]].set_visible(False)
        bar = drawn.colorbar(mesh, ax=axes, pad=0.03, shrink=0.85)
        bar.set_label("mean LLR (nats)", fontsize=9)
        bar.outline.set_visible(False)


def measured_figure(
    target: Target, llr: Float64[np.ndarray, "m"], measured: Float64[np.ndarray, "m"], column: str, score: str
) -> None:
    """Measurements against scores, a point a mutant."""
    with figure(target, 6.4, 4.4) as drawn:
        axes = drawn.subplots()
        axes.scatter(llr, measured, s=8, color=MODEL, alpha=0.4, linewidths=0)
        axes.axvline(0, color=GREY, linestyle="--", linewidth=0.8)
        axes.set_xlabel(score)
        label = brief(column.encode("utf-8", "replace").decode())
        axes.set_ylabel(label, parse_math=False)
