"""How figures look, and where they go: to disk, whole or not at all, or into a page as SVG."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from seqdiff.files import replacing

# Okabe and Ito's palette, told apart with every kind of colour vision (jfly.uni-koeln.de/color).
BLUE, ORANGE, GREEN, VERMILION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
INK, GREY, PALE = "#1f2328", "#6e7781", "#d0d7de"
MODEL, RIVAL, FLOOR = BLUE, VERMILION, GREY

PURPLE, SKY = "#CC79A7", "#56B4E9"
PAPER = "#ffffff"
DOT = "#101418"
"""Marks on a coloured ground, which stay dark where the page around them is."""
NUCLEOTIDES = {"A": GREEN, "C": BLUE, "G": ORANGE, "T": VERMILION, "U": VERMILION}
"""As sequence browsers and logos have them: A green, C blue, G yellow, T red."""
RESIDUES = {
    residue: colour
    for residues, colour in (("GSTYC", GREEN), ("NQ", PURPLE), ("KRH", BLUE), ("DE", VERMILION), ("AVLIPWFM", INK))
    for residue in residues
}
"""By chemistry, as WebLogo has them: polar green, amide purple, basic blue, acidic red, hydrophobic black."""

LOOK = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": PALE,
    "grid.linewidth": 0.5,
    "text.color": INK,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
    "svg.fonttype": "none",
    "svg.hashsalt": "seqdiff",
}


class Drawing:
    """A figure kept as SVG, to stand in a page: every `*_figure` takes one in place of a path."""

    def __init__(self) -> None:
        self.svg = ""
        """The text of the picture, once it is drawn."""


Target = str | Path | Drawing
"""Where a figure goes: a PNG of this name, or a page."""


@contextmanager
def figure(target: Target, width: float, height: float) -> Iterator[Figure]:
    """A figure of this many inches to draw on; on leaving it is written to `target`: PNG of 160 dots an inch, or SVG.

    Needs no display and touches no global state of matplotlib. The same numbers give the same bytes. Raises DataError
    if the file cannot be written.
    """
    with matplotlib.rc_context(LOOK):
        drawn = Figure(figsize=(width, height), layout="constrained")
        yield drawn
        if isinstance(target, Drawing):
            text = io.StringIO()
            with warnings.catch_warnings():  # of letters that its font lacks: the reader's browser has its own
                warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
                drawn.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
            target.svg = text.getvalue()
            return
        with replacing(target) as temporary:
            drawn.savefig(temporary, format="png", dpi=160, metadata={"Software": None})


def brief(name: str, most: int = 48) -> str:
    """A name as it fits on an axis or into a cell: of a long one the beginning, and how long it is.

    >>> brief("chr1"), brief("A" * 10_000, 4)
    ('chr1', 'AAAA... (10,000 letters)')
    """
    return name if len(name) <= most + 16 else f"{name[:most]}... ({len(name):,} letters)"


def letter_colours(symbols: str) -> dict[str, str]:
    """The colours of an alphabet's letters: nucleotides or residues.

    >>> letter_colours("ACGT")["A"] == GREEN, letter_colours("ACDEFGHIKLMNPQRSTVWY")["A"] == INK
    (True, True)
    """
    return NUCLEOTIDES if set(symbols) <= set(NUCLEOTIDES) else RESIDUES


def errors(se: list[float | None]) -> list[float]:
    """Lengths of error bars: twice the standard error, none where it is unknown."""
    return [2 * (one or 0.0) for one in se]


def key_above(axes: Axes, columns: int = 3) -> None:
    """The legend in one line above the axes, where it covers nothing."""
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(-0.01, 1.0),
        ncols=columns,
        borderaxespad=0.2,
        handlelength=1.6,
        columnspacing=1.4,
    )
