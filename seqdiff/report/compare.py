"""Systems side by side: what a held-out letter costs, and how each came there."""

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from seqdiff.report.style import BLUE, FLOOR, GREEN, GREY, INK, ORANGE, PURPLE, SKY, VERMILION, Target, errors, figure

COLOURS = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY, INK, "#8c6d31", "#b8a500", GREY)


def compare_figure(target: Target, summary: Mapping[str, Any]) -> None:
    """For each budget a line of four: bits a letter of every system and of Markov chains (full marks are exact, open
    ones bounds), what each costs more than the reference on the same windows, and the validations against letters read
    and against minutes of computing. Bars are two standard errors to either side."""
    halves = [half for half in summary["halves"] if any("bits" in row for row in half["rows"])]
    unit = summary["unit"]
    colours = {
        row["name"]: COLOURS[number % len(COLOURS)]
        for number, row in enumerate(row for row in halves[0]["rows"] if "letters" in row or row["state"] != "measured")
    }
    most = max(len(half["rows"]) for half in halves)
    with figure(target, 16, (1.9 + 0.27 * max(6, most)) * len(halves)) as drawn:
        grid = drawn.subplots(len(halves), 4, squeeze=False, width_ratios=(1.2, 1, 1, 1))
        for half, (dots, apart, by_letters, by_time) in zip(halves, grid, strict=True):
            shown = [row for row in half["rows"] if "bits" in row]
            _dots(dots, shown, "bits", colours)
            dots.set_yticks(range(len(shown)), [row["title"] for row in shown])
            dots.set_xlabel(f"bits per {unit} (full: exact, open: at most)")
            _dots(apart, shown, "difference", colours)
            apart.axvline(0, color=FLOOR, linewidth=0.8, linestyle=":", zorder=0)
            apart.set_yticks(range(len(shown)), [])
            reference = next(row["title"] for row in half["rows"] if row["name"] == summary["reference"])
            apart.set_xlabel(f"more than {reference},\non the same windows")
            spent = (
                f"{half['amount'] / 1e6:,.3g} million letters"
                if half["budget"] == "tokens"
                else (f"{half['amount']:g} minutes of computing")
            )
            dots.set_title(f"{summary['comparison']}: {spent} each")
            _curves(by_letters, half["rows"], colours, "tokens", 1e6)
            by_letters.set_xlabel("million letters read")
            by_letters.set_ylabel(f"bits per {unit}, validation")
            _curves(by_time, half["rows"], colours, "seconds", 60)
            by_time.set_xlabel("minutes of computing")
            by_time.sharey(by_letters)


def _dots(axes: Axes, rows: list[Mapping[str, Any]], value: str, colours: Mapping[str, str]) -> None:
    """One value of each row, the first on top."""
    for place, row in enumerate(rows):
        if value not in row:
            continue
        colour = colours.get(row["name"], FLOOR)
        axes.errorbar(
            row[value]["value"], place, xerr=errors([row[value]["se"]]), color=colour, marker="o", markersize=6,
            markerfacecolor=colour if row["exact"] else "white", linestyle="none", capsize=2.5, elinewidth=1.2,
        )  # fmt: skip
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)


def _curves(axes: Axes, rows: list[Mapping[str, Any]], colours: Mapping[str, str], by: str, scale: float) -> None:
    drawn = [row for row in rows if row.get("curve")]
    for row in drawn:
        points = row["curve"]
        axes.errorbar(
            [point[by] / scale for point in points], [point["bits"] for point in points],
            color=colours[row["name"]], marker="o", markersize=3, linewidth=1.3, label=row["title"],
        )  # fmt: skip
    if drawn:
        # The first validations come down from log2 K; the scale is for what follows.
        later = [point["bits"] for row in drawn for point in row["curve"][1 if len(row["curve"]) > 2 else 0 :]]
        room = 0.06 * (max(later) - min(later)) + 1e-3
        axes.set_ylim(min(later) - room, max(later) + room)
    axes.set_xlim(left=0)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
