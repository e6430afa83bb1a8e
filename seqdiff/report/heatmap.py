"""The heat map of a saturated span: what every substitution at every position costs."""

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import CenteredNorm

from seqdiff.errors import UsageError
from seqdiff.report.style import DOT, GREY, PALE, Target, figure

SHORTEST_ROW, LONGEST_ROW = 20, 80
"""Positions in a row."""
LONGEST = 60 * LONGEST_ROW
"""Positions on a picture."""
CELL = 0.165
"""Side of a cell, inches."""
OUTLIERS = 0.005
"""Share of the values that may lie beyond the ends of the colour bar."""


def heatmap_figure(
    target: Target,
    contig: str,
    start: int,
    reference: str,
    llr: Float[np.ndarray, "L K"],
    symbols: str,
    title: str | None = None,
) -> None:
    """Draw log p(letter) - log p(reference letter), nats, for each of the K letters at L positions of a contig.

    `start` counts from 0; the axis numbers positions from 1, every tenth. A dot marks the reference letter, grey is
    what has no value (NaN). Colours are centred at 0 and as far apart in both directions: red is less probable than
    the reference. Spans of more than a row's positions go on in further rows. Raises UsageError for more than
    `LONGEST` positions.
    """
    length, letters = llr.shape
    assert len(reference) == length
    assert len(symbols) == letters
    if length > LONGEST:
        raise UsageError(
            f"{contig}:{start + 1:,}-{start + length:,} has {length:,} positions; a heat map holds at most "
            f"{LONGEST:,}: draw it in parts"
        )
    rows = -(-length // LONGEST_ROW)
    columns = max(-(-length // rows), SHORTEST_ROW)
    norm, beyond = _scale(llr)
    width, height = CELL * columns + 1.4, rows * (CELL * letters + 0.62) + (0.45 if title else 0.15)
    with figure(target, width, height) as drawn:
        rows_of_axes = drawn.subplots(rows, 1, squeeze=False)[:, 0]
        for row, axes in enumerate(rows_of_axes):
            part = slice(row * columns, (row + 1) * columns)
            mesh = _strip(axes, llr[part], reference[part].upper(), symbols, norm)
            _frame(axes, start + part.start, len(reference[part]), columns, symbols)
        rows_of_axes[-1].set_xlabel(f"position in {contig}", parse_math=False)
        if title:
            rows_of_axes[0].set_title(title, pad=16)
        bar = drawn.colorbar(
            mesh, ax=list(rows_of_axes), extend=beyond, pad=0.012, aspect=min(30, 12 * rows), shrink=1 / rows**0.5
        )
        bar.set_label("LLR (nats)", fontsize=9)
        bar.outline.set_visible(False)
        bar.ax.tick_params(labelsize=8)


def _scale(llr: Float[np.ndarray, "L K"]) -> tuple[CenteredNorm, str]:
    """As wide as all values but the outliers, and on which ends of the bar there are some."""
    values = llr[np.isfinite(llr)]
    reach = float(np.quantile(np.abs(values), 1 - OUTLIERS, method="higher")) if len(values) else 0.0
    below, above = (values < -reach).any(), (values > reach).any()
    ends = {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}
    return CenteredNorm(0.0, reach or 1.0), ends[bool(below), bool(above)] if reach else "neither"


def _strip(axes: Axes, llr: Float[np.ndarray, "L K"], reference: str, symbols: str, norm: CenteredNorm) -> QuadMesh:
    """The cells of one row, the first letter on top, the reference above them and marked in them."""
    colours = matplotlib.colormaps["RdBu"].with_extremes(bad=PALE)
    edges = np.arange(len(reference) + 1) - 0.5, np.arange(len(symbols) + 1) - 0.5
    values = np.ma.masked_invalid(llr.T)
    mesh = axes.pcolormesh(*edges, values, cmap=colours, norm=norm, edgecolors="white", linewidth=0.4)
    known = [(place, symbols.index(letter)) for place, letter in enumerate(reference) if letter in symbols]
    if known:
        axes.scatter(*zip(*known, strict=True), s=7, color=DOT, linewidths=0, zorder=3)
    for place, letter in enumerate(reference):
        axes.text(place, -0.62, letter, ha="center", va="bottom", fontsize=7, color=GREY)
    return mesh


def _frame(axes: Axes, first: int, shown: int, columns: int, symbols: str) -> None:
    axes.set_xlim(-0.5, columns - 0.5)
    axes.set_ylim(len(symbols) - 0.5, -0.5)
    axes.set_yticks(range(len(symbols)), list(symbols), fontsize=8)
    tenth = [place for place in range(shown) if (first + place + 1) % 10 == 0] or [0]
    axes.set_xticks(tenth, [f"{first + place + 1:,}" for place in tenth], fontsize=8)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", length=2.5)
    axes.grid(visible=False)
    axes.spines[["left", "bottom"]].set_visible(False)
