"""Schedules that a process has learned, one of each symbol: alpha_v(t) = 1 - t^(w_v), and how w_v came to be."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from seqdiff.report.style import FLOOR, NUCLEOTIDES, Target, figure

NAMED = 32
"""Symbols that are named beside their lines; of more the outermost."""


def schedules_figure(target: Target, powers: Mapping[str, float], rows: Sequence[Mapping[str, Any]]) -> None:
    """The share of each symbol that is visible at a time, by its power, and the powers over the steps of training,
    from the lines of metrics.jsonl; without any of these, the powers as they are.
    """
    logged = [row for row in rows if "powers" in row] or [{"step": step, "powers": powers} for step in (0, 1)]
    ranked = sorted(powers, key=powers.__getitem__)
    shades = matplotlib.colormaps["viridis"](np.linspace(0, 0.9, len(ranked)))
    colours = dict(zip(ranked, shades, strict=True))
    if set(powers) <= set(NUCLEOTIDES):
        colours = {symbol: NUCLEOTIDES[symbol] for symbol in powers}
    t = np.linspace(0, 1, 201)
    with figure(target, 10.4, 4.4) as drawn:
        left, right = drawn.subplots(1, 2)
        for symbol in ranked:
            left.plot(t, 1 - t ** powers[symbol], color=colours[symbol], linewidth=1.3)
        left.plot(t, 1 - t, color=FLOOR, linestyle="--", linewidth=1, label="linear, power 1")
        left.set(xlim=(0, 1), ylim=(0, 1), xlabel="time", title="Share still visible")
        left.legend(loc="lower left")
        steps = [row["step"] for row in logged]
        for symbol in ranked:
            right.plot(steps, [row["powers"][symbol] for row in logged], color=colours[symbol], linewidth=1.3)
        right.axhline(1, color=FLOOR, linestyle="--", linewidth=1)
        right.margins(x=0)
        right.set_title("Learned powers")
        if any("powers" in row for row in rows):
            right.set_xlabel("step")
            right.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step:,.0f}"))
        else:
            right.set_xticks([])
        _name(right, {symbol: logged[-1]["powers"][symbol] for symbol in ranked}, colours)


def _name(axes: Axes, ends: Mapping[str, float], colours: Mapping[str, Any]) -> None:
    """The symbols at the ends of their lines, where they do not cover each other."""
    low, high = axes.get_ylim()
    ranked = sorted(ends, key=ends.__getitem__)
    if len(ranked) > NAMED:
        ranked = ranked[: NAMED // 4] + ranked[-NAMED // 4 :]
    steps = (high - low) / NAMED * np.arange(len(ranked))
    free = np.array([ends[symbol] for symbol in ranked]) - steps
    # Rising by a line each at least, and no further from their ends than they must: half from below, half from above.
    spread = (np.maximum.accumulate(free) + np.minimum.accumulate(free[::-1])[::-1]) / 2 + steps
    heights = np.maximum(spread - max(0.0, spread[-1] - high), low + steps)
    for symbol, height in zip(ranked, heights, strict=True):
        shown = symbol if symbol.isprintable() and symbol != " " else ascii(symbol)
        axes.annotate(
            shown, (1, height), (5, 0), xycoords=("axes fraction", "data"), textcoords="offset points", va="center",
            fontsize=8, color=colours[symbol],
        )  # fmt: skip
