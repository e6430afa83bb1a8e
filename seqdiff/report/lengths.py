"""How probable each length of an insert is."""

from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from seqdiff.report.style import BLUE, ORANGE, Target, figure


class Lengths(NamedTuple):
    """One pair of axes: lengths and their probabilities, and the one that is true."""

    title: str
    lengths: Sequence[int]
    posterior: Sequence[float]
    truth: int


def lengths_figure(target: Target, panels: Sequence[Lengths]) -> None:
    """Bars of the posterior of each length, panels beside each other; what was cut out is in another colour."""
    with figure(target, 4.6 * len(panels), 2.9) as drawn:
        for axes, panel in zip(drawn.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
            colours = [ORANGE if length == panel.truth else BLUE for length in panel.lengths]
            axes.bar(panel.lengths, panel.posterior, width=0.8, color=colours)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.grid(visible=False, axis="x")
            axes.set_xlabel("letters inserted")
            axes.set_ylabel("posterior")
            axes.set_title(panel.title)
            axes.legend(handles=[Patch(color=ORANGE, label="cut out")], loc="upper right")
