"""The picture of a filled gap: every letter as tall as it is probable, between flanks that were known."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path as Outline
from matplotlib.textpath import TextPath
from matplotlib.transforms import Affine2D

from seqdiff.report.style import BLUE, GREEN, GREY, INK, ORANGE, VERMILION, figure

COLOURS = {"A": GREEN, "C": BLUE, "G": ORANGE, "T": VERMILION}
GAP, FLANK = "#fff8e6", "#dfe3e8"
LONGEST_ROW = 72


def longest_gap(
    sequence: str, positions: np.ndarray, marginals: np.ndarray, symbols: str, flank: int = 14
) -> dict[str, Any]:
    """The longest unbroken gap of a filled sequence, at most two rows of it, as `infill_figure` draws it.

    `positions` (n,) are the 0-based places that were filled, in order, and `marginals` (n, K) what was said there.
    """
    breaks = np.flatnonzero(np.diff(positions) != 1) + 1
    runs = np.split(np.arange(len(positions)), breaks)
    run = max(runs, key=len)[: 2 * LONGEST_ROW - 2 * flank]
    first, last = int(positions[run[0]]), int(positions[run[-1]]) + 1
    return {
        "left": sequence[max(0, first - flank) : first],
        "right": sequence[last : last + flank],
        "filled": sequence[first:last],
        "probabilities": marginals[run],
        "symbols": symbols,
        "start": first + 1,
    }


def infill_figure(path: str | Path, gap: Mapping[str, Any], title: str | None = None) -> None:
    """Draw one gap.

    `gap` holds `left` and `right`, the known letters to show beside it; `probabilities` (length, K), the model's
    marginals in the gap; `symbols`, the K letters; `filled`, the letters that were put in; and, where known,
    `truth`, which is shown below with the letters that were met in bold. `start`, the position of the first gap letter
    in the sequence, numbers the axis. Gaps of more than a row's letters go on in further rows.
    """
    probabilities = np.asarray(gap["probabilities"], np.float64)
    left, right, filled, truth = gap["left"], gap["right"], gap["filled"], gap.get("truth")
    length, symbols = len(filled), gap["symbols"]
    assert probabilities.shape == (length, len(symbols))
    letters = left + filled + right
    rows = -(-len(letters) // LONGEST_ROW)
    columns = -(-len(letters) // rows)
    with figure(
        path, max(6.0, 0.19 * columns + 1.1), (2.35 if truth else 2.1) * rows + (0.5 if title else 0.2)
    ) as drawn:
        axes_of_rows = drawn.subplots(rows, 1, squeeze=False)[:, 0]
        for number, axes in enumerate(axes_of_rows):
            first = number * columns
            shown = range(first, min(first + columns, len(letters)))
            _frame(axes, shown.start, columns, truth is not None)
            inside = [i for i in shown if len(left) <= i < len(left) + length]
            if inside:
                axes.add_patch(Rectangle((inside[0], 0.0), len(inside), 1.0, facecolor=GAP, linewidth=0, zorder=0))
                for edge in (len(left), len(left) + length):
                    if shown.start <= edge <= shown.stop:
                        axes.plot([edge, edge], [0, 1.0], color=GREY, linewidth=0.8, linestyle=(0, (2, 2)), zorder=1)
            for i in shown:
                if i in inside:
                    place = i - len(left)
                    _stack(axes, i, probabilities[place], symbols)
                    axes.text(i + 0.5, -0.13, filled[place], ha="center", va="center", fontsize=9, weight="bold",
                              color=COLOURS.get(filled[place], INK))  # fmt: skip
                    if truth:
                        met = truth[place] == filled[place]
                        axes.text(i + 0.5, -0.31, truth[place], ha="center", va="center", fontsize=9,
                                  weight="bold" if met else "normal",
                                  color=COLOURS.get(truth[place], INK) if met else GREY)  # fmt: skip
                else:
                    axes.text(i + 0.5, -0.13, letters[i], ha="center", va="center", fontsize=9, color=GREY)
                    _letter(axes, letters[i], i, 0.0, 1.0, FLANK)
            _numbers(axes, shown, gap.get("start", 1) - len(left))
        axes_of_rows[0].set_ylabel("probability")
        if title:
            axes_of_rows[0].set_title(title)


def _frame(axes: Axes, first: int, columns: int, has_truth: bool) -> None:
    axes.set_xlim(first - 0.2, first + columns + 0.2)
    axes.set_ylim(-0.42 if has_truth else -0.24, 1.02)
    axes.set_yticks([0, 0.5, 1])
    axes.grid(visible=False)
    axes.spines["bottom"].set_visible(False)
    axes.spines["left"].set_bounds(0, 1)
    axes.tick_params(axis="x", length=0)
    for height, label in ((-0.13, "filled"), *([(-0.31, "true")] if has_truth else [])):
        axes.annotate(label, (0, height), xycoords=("axes fraction", "data"), xytext=(-6, 0),
                      textcoords="offset points", ha="right", va="center", fontsize=9, color=GREY)  # fmt: skip


def _numbers(axes: Axes, shown: range, offset: int) -> None:
    """Every tenth position; `offset` + index is the number of a letter."""
    tenth = [i for i in shown if (i + offset) % 10 == 0]
    axes.set_xticks([i + 0.5 for i in tenth], [f"{i + offset:,}" for i in tenth], fontsize=8)


def _stack(axes: Axes, column: int, probabilities: np.ndarray, symbols: str) -> None:
    """The letters of one place, the most probable on top."""
    bottom = 0.0
    for symbol in np.argsort(probabilities, kind="stable"):
        height = float(probabilities[symbol])
        _letter(axes, symbols[symbol], column, bottom, height, COLOURS.get(symbols[symbol], INK))
        bottom += height


def _letter(axes: Axes, letter: str, column: float, bottom: float, height: float, colour: str) -> None:
    """A letter stretched to fill its box."""
    if height < 0.004:
        return
    outline, (x, y, width, tall) = _outline(letter)
    fit = (
        Affine2D()
        .translate(-x, -y)
        .scale(0.86 / width, 0.96 * height / tall)
        .translate(column + 0.07, bottom + 0.02 * height)
    )
    axes.add_patch(PathPatch(fit.transform_path(outline), facecolor=colour, linewidth=0, zorder=2))


@cache
def _outline(letter: str) -> tuple[Outline, tuple[float, float, float, float]]:
    outline = TextPath((0, 0), letter, size=1, prop=FontProperties(family="DejaVu Sans", weight="bold"))
    return outline, outline.get_extents().bounds
