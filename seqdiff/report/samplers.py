"""Quality of samplers over the network calls that they take."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullLocator

from seqdiff.report.style import BLUE, FLOOR, GREEN, GREY, INK, ORANGE, PURPLE, SKY, VERMILION, Target, errors, figure

LOOKS = {
    "exact": (INK, "D"),
    "ancestral": (BLUE, "o"),
    "ancestral, cosine": (SKY, "o"),
    "bounded": (ORANGE, "s"),
    "confident": (VERMILION, "^"),
    "remask": (GREEN, "v"),
    "correct": (PURPLE, "P"),
    "correct, least certain": (GREY, "X"),
}
"""Colour and marker by family of samplers."""


class Panel(NamedTuple):
    """One pair of axes: rows with `family`, `setting`, `calls` and under `value` a value with its se, or nothing."""

    title: str
    label: str
    rows: Sequence[Mapping[str, Any]]
    value: str
    floor: tuple[str, float]
    """What a horizontal line stands for, and where."""
    limits: tuple[float, float] | None = None


def samplers_figure(target: Target, summary: Mapping[str, Any]) -> None:
    """What samplers give for their network calls: letters recovered, bits, distance of words to held-out ones. Bars are
    two standard errors to either side.
    """
    unit, word, rows = summary["unit"], summary["settings"]["word"], summary["samplers"]
    what = (
        ("recovered", f"{unit}s that stood there"),
        ("bits", f"bits per {unit} under the model"),
        ("distance", f"distance of {word}-mers"),
    )
    looks = [(colour, marker) for marker in "osD^vPX" for colour in (BLUE, ORANGE, GREEN, VERMILION, PURPLE, INK)]
    with figure(target, 11.5, 4.2) as drawn:
        for axes, (value, title) in zip(drawn.subplots(1, 3), what, strict=True):
            if value != "recovered":
                height = summary["true"][value]["value"]
                axes.axhline(height, color=FLOOR, linestyle="--", linewidth=1.2, label=f"the true {unit}s")
            for row, (colour, marker) in zip(rows, looks):
                axes.errorbar(
                    row["calls"], row[value]["value"], errors([row[value]["se"]]), color=colour, marker=marker,
                    markersize=6, linestyle="none", capsize=2.5, elinewidth=1.2, label=row["name"],
                )  # fmt: skip
            _calls(axes, [row["calls"] for row in rows])
            axes.set_title(title)
        handles, labels = drawn.axes[1].get_legend_handles_labels()
        drawn.legend(handles, labels, loc="outside right upper", handlelength=1.4)


def curves_figure(target: Target, panels: Sequence[Panel], marked: Mapping[str, tuple[str, str]]) -> None:
    """Each family of samplers as a curve of quality over calls, panels beside each other; `marked` names some settings,
    (family, setting) by what stands at them. Bars are one standard error to either side.
    """
    with figure(target, 10.4, 4.9) as drawn:
        places = drawn.subplots(1, len(panels))
        for axes, panel in zip(places, panels, strict=True):
            for family, (colour, marker) in LOOKS.items():
                rows = [row for row in panel.rows if row["family"] == family and row.get(panel.value)]
                rows.sort(key=lambda row: row["calls"])
                if not rows:
                    continue
                axes.errorbar(
                    [row["calls"] for row in rows], [row[panel.value]["value"] for row in rows],
                    [row[panel.value]["se"] or 0.0 for row in rows],
                    color=colour, marker=marker, markersize=5, capsize=1.5, elinewidth=0.8, linewidth=1.3,
                    label=family if family != "ancestral" else "ancestral, uniform",
                )  # fmt: skip
            label, height = panel.floor
            axes.axhline(height, color=FLOOR, linestyle="--", linewidth=1.2, zorder=0.5)
            axes.annotate(label, (0.01, height), xycoords=("axes fraction", "data"), xytext=(0, -3),
                          textcoords="offset points", va="top", fontsize=8.5, color=GREY)  # fmt: skip
            for name, setting in marked.items():
                _mark(axes, panel, name, *setting)
            if panel.limits:
                axes.set_ylim(*panel.limits)
            _calls(
                axes,
                [row["calls"] for row in panel.rows if row["calls"]],
            )
            axes.set_ylabel(panel.label)
            axes.set_title(panel.title)
        handles, labels = places[0].get_legend_handles_labels()
        drawn.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=9)


def _mark(axes: Axes, panel: Panel, name: str, family: str, setting: str) -> None:
    (row,) = [row for row in panel.rows if (row["family"], row["setting"]) == (family, setting)]
    place = row["calls"], row[panel.value]["value"]
    axes.plot(*place, marker="o", markersize=13, markerfacecolor="none", markeredgecolor=INK, markeredgewidth=1.4)
    axes.annotate(name, place, xytext=(0, 16), textcoords="offset points", ha="center", fontweight="bold", fontsize=10)


def _calls(axes: Axes, calls: Sequence[float]) -> None:
    axes.set_xscale("log", base=2)
    low, high = max(1, min(calls)), max(calls)
    axes.set_xticks([2**k for k in range(12) if low * 0.6 <= 2**k <= high * 1.6])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda count, _: f"{count:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("network calls")
