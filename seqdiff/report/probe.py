"""The figure of a linear probe: each measure of the embeddings beside that of k-mer counts, with its interval."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from seqdiff.report.style import MODEL, RIVAL, Target, figure, key_above

SHOWN = {"accuracy": "accuracy", "mcc": "MCC", "f1": "F1", "auroc": "AUROC"}


def probe_figure(target: Target, summary: Mapping[str, Any]) -> None:
    """A column a measure; lines are 95 % intervals."""
    results, k = summary["results"], summary["chosen"]["k-mers"]["k"]
    names = list(results["embeddings"])
    with figure(target, 1.9 + 1.35 * len(names), 4.0) as drawn:
        axes = drawn.subplots()
        rivals = (("embeddings", "embeddings", MODEL, "o"), ("k-mers", f"counts of {k}-mers", RIVAL, "s"))
        for side, (who, says, colour, marker) in enumerate(rivals):
            there = [i for i, name in enumerate(names) if results[who][name]["value"] is not None]
            values = np.array([results[who][names[i]]["value"] for i in there])
            ends = [[results[who][names[i]][end] for i in there] for end in ("low", "high")]
            known = all(end is not None for row in ends for end in row)
            reach = [values - ends[0], np.array(ends[1]) - values] if known else None
            axes.errorbar(
                np.array(there) + 0.16 * (2 * side - 1), values, reach, color=colour, marker=marker, linestyle="none",
                markersize=6, capsize=3, elinewidth=1.4, label=says,
            )  # fmt: skip
        axes.set_xticks(range(len(names)), [SHOWN.get(name, name.capitalize()) for name in names])
        axes.set_xlim(-0.6, len(names) - 0.4)
        axes.set_ylabel("on the test rows")
        axes.grid(axis="x", visible=False)
        axes.set_title(f"Linear {summary['task']}, {summary['rows']['test']:,} test rows", pad=28)
        key_above(axes)
