"""The colours of a page by day and by night: those of the figures, by the names that style sheet and SVG share."""

from seqdiff.report.logo import FLANK, GAP
from seqdiff.report.style import BLUE, GREEN, GREY, INK, ORANGE, PALE, PAPER, PURPLE, SKY, VERMILION

COLOURS = {
    "paper": (PAPER, "#0f1419"),
    "ink": (INK, "#e6edf3"),
    "grey": (GREY, "#9aa4af"),
    "pale": (PALE, "#39424d"),
    "blue": (BLUE, "#4ba9e8"),
    "orange": (ORANGE, "#f2b134"),
    "green": (GREEN, "#2fc79b"),
    "vermilion": (VERMILION, "#ff8547"),
    "purple": (PURPLE, "#e09cc2"),
    "sky": (SKY, "#7cc7f2"),
    "gap": (GAP, "#29251a"),
    "flank": (FLANK, "#333c47"),
}
"""By name: light, dark. The dark ones keep the hue and are as far from their ground as the light ones from theirs."""

VARIABLES = {light.lower(): f"var(--{name})" for name, (light, _) in COLOURS.items()}
"""What stands in a page's SVG for each colour of a figure; any other colour stays as it is."""
