"""How fast a training was, from the lines of metrics.jsonl."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.ticker import FuncFormatter

from seqdiff.report.style import MODEL, Target, figure


def speed_figure(target: Target, rows: Sequence[Mapping[str, Any]], unit: str) -> None:
    """Letters, each called a `unit`, a second over the steps."""
    with figure(target, 7.2, 2.6) as drawn:
        axes = drawn.subplots()
        axes.plot([row["step"] for row in rows], [row["tokens_per_second"] for row in rows], color=MODEL, linewidth=1.2,
                  marker="o" if len(rows) < 40 else None, markersize=3)  # fmt: skip
        axes.set_ylim(bottom=0)
        axes.set_xlabel("step")
        axes.set_ylabel(f"{unit}s a second")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
