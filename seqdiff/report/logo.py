"""Sequence logos of filled gaps: every letter as tall as it is probable, between flanks that were known.

Letters are stacked and stretched as in Schneider and Stephens 1990 (Nucleic Acids Res. 18:6097), drawn with logomaker
(Tareen and Kinney 2020, Bioinformatics 36:2272).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float64
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from seqdiff.report.style import GREY, INK, MODEL, PALE, Target, figure, letter_colours

SHORTEST_ROW, LONGEST_ROW = 24, 72
"""Letters in a row; where there are fewer, the rest stays empty."""
GAP, FLANK = "#fff8e6", "#dfe3e8"
GLYPH = {"font_name": "DejaVu Sans", "font_weight": "bold", "width": 0.86, "vpad": 0.04, "zorder": 2}
THINNEST = 0.004
"""Of the height of the axis: thinner letters are left out, and their room stays empty."""
LINE, TRACK = 0.18, 0.36
"""Heights of a line of letters below the logo and of the bars beneath it, of the height of the axis."""


def logo_figure(
    target: Target, gaps: Sequence[Mapping[str, Any]], title: str | None = None, *, bits: bool = False
) -> None:
    """Draw gaps one below the other.

    A gap holds `left` and `right`, the known letters to show beside it; `probabilities` (length, K), the model's
    marginals in the gap; `symbols`, the K letters; `filled`, the letters that were put in; and, where known,
    `truth`, which is shown below with the letters that were met in bold. `others`, fillings by name, stand below in the
    same way; with `confidence` there are bars beneath, as high as the probability of the letter that was put in.
    `start`, the position of the first gap letter
    in the sequence, numbers the axis; `title`, if it has one, stands above it. Gaps of more than a row's letters go
    on in further rows.

    A letter is as tall as its probability p_a, or with `bits` as its share p_a (log2 K + sum_b p_b log2 p_b) of the
    information at its place: a place of which nothing is known is empty.
    """
    assert gaps
    panels = [(gap, row) for gap in gaps for row in _rows(gap)]
    columns = max(SHORTEST_ROW, *(len(row) for _, row in panels))
    heights = [2.1 + 1.39 * (_depth(gap) - 0.24) + 0.3 * ("title" in gap and row.start == 0) for gap, row in panels]
    with figure(target, max(6.0, 0.19 * columns + 1.1), sum(heights) + (0.5 if title else 0.2)) as drawn:
        drawn.get_layout_engine().set(h_pad=0.08)
        rows_of_axes = drawn.subplots(len(panels), 1, squeeze=False, height_ratios=heights)[:, 0]
        for axes, (gap, row) in zip(rows_of_axes, panels, strict=True):
            _panel(axes, gap, row, columns, bits)
            if row.start == 0:
                middle = (_depth(gap) + 0.5) / (_depth(gap) + 1.02)
                axes.set_ylabel("bits" if bits else "probability", y=middle, ha="center")
                axes.set_title(gap.get("title", ""), fontsize=10, weight="normal")
        if title and "title" in gaps[0]:
            drawn.suptitle(title, x=0.01, ha="left", fontsize=11, weight="bold")
        elif title:
            rows_of_axes[0].set_title(title)


def stacks(probabilities: Float64[np.ndarray, "L K"], *, bits: bool = False) -> Float64[np.ndarray, "L K"]:
    """The heights of the letters of each place.

    >>> stacks(np.array([[0.5, 0.5, 0.0, 0.0]]), bits=True).tolist()
    [[0.5, 0.5, 0.0, 0.0]]
    """
    if not bits:
        return probabilities
    logs = np.log2(probabilities, out=np.zeros_like(probabilities), where=probabilities > 0)
    information = np.log2(probabilities.shape[1]) + (probabilities * logs).sum(-1, keepdims=True)
    return probabilities * np.maximum(information, 0.0)


def _lines(gap: Mapping[str, Any]) -> dict[str, str]:
    """What stands below the letters of the gap, by name; a blank is a letter that is not known."""
    truth = {"true": gap["truth"]} if gap.get("truth") else {}
    return {"filled": gap["filled"]} | truth | gap.get("others", {})


def _depth(gap: Mapping[str, Any]) -> float:
    """How far below 0 a panel reaches, of the height of the axis."""
    return 0.06 + LINE * len(_lines(gap)) + TRACK * bool(gap.get("confidence"))


def _rows(gap: Mapping[str, Any]) -> list[range]:
    """The letters of a gap and its flanks in rows of much the same length."""
    letters = len(gap["left"]) + len(gap["filled"]) + len(gap["right"])
    columns = -(-letters // -(-letters // LONGEST_ROW))
    return [range(first, min(first + columns, letters)) for first in range(0, letters, columns)]


def _panel(axes: Axes, gap: Mapping[str, Any], shown: range, columns: int, bits: bool) -> None:
    """One row of a gap: letter i of `left + filled + right` stands at x = i."""
    left, right, filled, lines = gap["left"], gap["right"], gap["filled"], _lines(gap)
    probabilities, symbols = np.asarray(gap["probabilities"], np.float64), gap["symbols"]
    assert probabilities.shape == (len(filled), len(symbols))
    letters, colours = left + filled + right, letter_colours(symbols)
    top = float(np.log2(len(symbols))) if bits else 1.0
    first, last = max(shown.start, len(left)), min(shown.stop, len(left) + len(filled))
    for i in shown:
        if not first <= i < last:
            _under(axes, i, -0.13 * top, letters[i], GREY)
            _flank(axes, i, letters[i], top)
    if first < last:
        places = slice(first - len(left), last - len(left))
        _logo(axes, first, stacks(probabilities[places], bits=bits), symbols, colours, top)
        axes.add_patch(Rectangle((first - 0.5, 0.0), last - first, top, facecolor=GAP, linewidth=0, zorder=0))
        for edge in {len(left), len(left) + len(filled)} & {first, last}:
            axes.plot([edge - 0.5] * 2, [0, top], color=GREY, linewidth=0.8, linestyle=(0, (2, 2)), zorder=1)
    for i in range(first, last):
        for line, letters in enumerate(lines.values()):
            letter, met = letters[i - len(left)], letters[i - len(left)] == filled[i - len(left)]
            height = -(0.13 + LINE * line) * top
            _under(axes, i, height, letter, colours.get(letter, INK) if met else GREY, bold=met)
    _frame(axes, shown.start, columns, top, _depth(gap))
    for line, name in enumerate(lines):
        _beside(axes, -(0.13 + LINE * line) * top, name)
    if gap.get("confidence"):
        said = [probabilities[i - len(left), symbols.index(filled[i - len(left)])] for i in range(first, last)]
        floor = -(_depth(gap) - 0.03) * top
        _bars(axes, range(first, last), said, floor, (TRACK - 0.08) * top)
        _beside(axes, floor + (TRACK - 0.08) * top / 2, "its p")
    offset = gap.get("start", 1) - len(left)
    tenth = [i for i in shown if (i + offset) % 10 == 0]
    axes.set_xticks(tenth, [f"{i + offset:,}" for i in tenth], fontsize=8)


def _logo(
    axes: Axes,
    first: int,
    heights: Float64[np.ndarray, "L K"],
    symbols: str,
    colours: Mapping[str, str],
    top: float,
) -> None:
    import pandas as pd
    from logomaker import Logo

    table = pd.DataFrame(heights, columns=list(symbols), index=np.arange(first, first + len(heights)))
    table = table.where(table >= THINNEST * top, 0.0)
    if not table.to_numpy().any():  # nothing is known: logomaker would warn of an axis of no height
        return
    scheme = {symbol: colours.get(symbol, INK) for symbol in symbols}
    Logo(table, ax=axes, color_scheme=scheme, baseline_width=0, show_spines=None, stack_order="big_on_top", **GLYPH)


def _flank(axes: Axes, place: int, letter: str, top: float) -> None:
    from logomaker import Glyph

    Glyph(place, letter, 0.0, top, ax=axes, color=FLANK, edgewidth=0, **GLYPH)


def _under(axes: Axes, place: int, height: float, letter: str, colour: str, *, bold: bool = False) -> None:
    axes.text(place, height, letter, ha="center", va="center", fontsize=9, color=colour,
              weight="bold" if bold else "normal")  # fmt: skip


def _beside(axes: Axes, height: float, label: str) -> None:
    axes.annotate(label, (0, height), xycoords=("axes fraction", "data"), xytext=(-6, 0), textcoords="offset points",
                  ha="right", va="center", fontsize=9, color=GREY)  # fmt: skip


def _bars(axes: Axes, places: range, said: Sequence[float], floor: float, height: float) -> None:
    """Probabilities as bars from `floor` on, with lines at 0, 1/2 and 1."""
    if not said:
        return
    for share, width in ((0.0, 0.8), (0.5, 0.5), (1.0, 0.5)):
        ends = [places[0] - 0.5, places[-1] + 0.5]
        axes.plot(ends, [floor + share * height] * 2, color=PALE, linewidth=width, zorder=0)
    axes.bar(places, np.asarray(said) * height, 0.72, bottom=floor, color=MODEL, linewidth=0, zorder=1)


def _frame(axes: Axes, first: int, columns: int, top: float, depth: float) -> None:
    axes.set_xlim(first - 0.7, first + columns - 0.3)
    axes.set_ylim(-depth * top, 1.02 * top)
    axes.set_yticks([0, top / 2, top] if top == int(top) else np.arange(0, top, 2))
    axes.grid(visible=False)
    axes.spines["bottom"].set_visible(False)
    axes.spines["left"].set_bounds(0, top)
    axes.tick_params(axis="x", length=0)
