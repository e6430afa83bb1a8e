"""The figure of a family's couplings: which residues depend on each other most, as a map of contacts."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from seqdiff.report.style import BLUE, GREY, Target, figure


def couplings_figure(target: Target, summary: Mapping[str, Any]) -> None:
    """A dot a pair, on both sides of the diagonal, the larger and darker the stronger."""
    pairs = summary["pairs"]
    first, second = (np.array([pair[side] for pair in pairs]) for side in ("i", "j"))
    score = np.array([pair["score"] for pair in pairs])
    share = (score - score.min()) / max(np.ptp(score), 1e-12)
    low, high = summary["first"] - 1, summary["first"] + summary["columns"]
    with figure(target, 6.4, 6.4) as drawn:
        axes = drawn.subplots()
        axes.plot([low, high], [low, high], color=GREY, linewidth=0.8)
        for x, y in ((first, second), (second, first)):
            axes.scatter(x, y, s=6 + 34 * share, color=BLUE, alpha=0.25 + 0.75 * share, linewidths=0)
        axes.set_xlim(low, high)
        axes.set_ylim(low, high)
        axes.set_aspect("equal")
        axes.set_xlabel("residue")
        axes.set_ylabel("residue")
        best = pairs[0]
        axes.set_title(f"The {len(pairs):,} strongest couplings, {'-'.join(best['residues'])} first")
