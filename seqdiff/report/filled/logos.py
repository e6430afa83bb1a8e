"""The gaps of a page as sequence logos, each with its fillings and the probability of every letter."""

from seqdiff.report.filled.chosen import SHORTEST, Shown
from seqdiff.report.filled.tally import Tally
from seqdiff.report.infill import FLANK, that_fit
from seqdiff.report.logo import logo_figure
from seqdiff.report.page import Figure, Section, Table, Text
from seqdiff.report.style import brief

LOGO_BYTES = 3 << 20
"""SVG of logos on a page, at most."""
ROWS_SHOWN = 2
"""Rows of letters of one gap."""
LONG_ONES = f" (of gaps of {SHORTEST} or more letters, where there are any)"
WHY = {
    "all": "All of them, in their order:",
    "surest": f"The surest, with the least entropy a letter{LONG_ONES}:",
    "least sure": f"The least sure, with the most entropy a letter{LONG_ONES}:",
    "longest": "The longest:",
    "first": "The first:",
}


def logos(tally: Tally) -> Section:
    """The gaps that were chosen, by why they are shown, as long as there is room."""
    groups = tally.chosen.groups()
    shown = [gap for gaps in groups.values() for gap in gaps]
    around = tally.truth.around(shown, FLANK) if tally.truth is not None else {}
    blocks: list = [
        Text(
            "A stack is as high as what is known of a letter (bits); within it, each letter by its probability. Below "
            "stand the letters that were filled in, and the probability of each as a bar"
            + (
                ", between the letters beside the gap."
                if around
                else ". With `--fasta` the letters beside gaps appear."
            )
        )
    ]
    size = left_out = 0
    for why, gaps in groups.items():
        if gaps and size <= LOGO_BYTES:
            blocks.append(Text(WHY[why]))
        for gap in gaps:
            if size > LOGO_BYTES:
                left_out += 1
                continue
            figure, cut = _logo(gap, tally.symbols, around.get(id(gap)))
            size += len(figure.drawing.svg)
            blocks.append(figure)
            if cut:
                blocks.append(Text(f"{cut:,} more letters of this gap are not shown."))
    if rest := tally.chosen.offered - len(shown) + left_out:
        blocks.append(Text(f"{many(rest, 'more gap')} {'is' if rest == 1 else 'are'} not shown as logos."))
    return Section("Gaps as logos", tuple(blocks))


def _logo(gap: Shown, symbols: str, beside: tuple[str, str, str] | None) -> tuple[Figure, int]:
    """The picture of a gap, and how many of its letters it has no room for."""
    left, right, inside = beside or ("", "", "")
    filled = gap.letters.tobytes().decode()
    drawn = {
        "left": left, "right": right, "filled": filled, "probabilities": gap.probabilities, "symbols": symbols,
        "start": gap.start + 1, "confidence": True,
    }  # fmt: skip
    if any(letter in symbols for letter in inside):
        drawn["truth"] = inside
    if gap.length > len(filled):
        drawn["right"] = ""
    ((panel, *_), _) = that_fit([drawn], rows=ROWS_SHOWN)
    fits = len(panel["filled"])
    panel["others"] = {
        f"sample {number}": letters.tobytes().decode()[:fits] for number, letters in sorted(gap.others.items())
    }
    if "truth" in panel:
        panel["truth"] = panel["truth"][:fits]
    place = f"{brief(gap.base)}:{gap.start + 1:,}" + (f"-{gap.start + gap.length:,}" if gap.length > 1 else "")
    means = f"mean probability {gap.confidence:.3f}, entropy {gap.bits:.3f} bits a letter"
    rows = tuple(
        (f"{gap.start + i + 1:,}", filled[i], *(f"{p:.4f}" for p in gap.probabilities[i])) for i in range(fits)
    )
    figure = Figure.of(
        f"{place}, {many(gap.length, 'letter')}: {means}.",
        f"Sequence logo of the gap {place}, filled with {filled[:fits]}; {means}.",
        lambda target: logo_figure(target, [panel], bits=True),
        Table(f"Probabilities in {place}", ("position", "filled", *symbols), rows),
    )
    return figure, gap.length - fits


def many(number: int, what: str) -> str:
    """A number of things.

    >>> many(1, "gap"), many(2000, "gap")
    ('1 gap', '2,000 gaps')
    """
    return f"{number:,} {what}{'' if number == 1 else 's'}"
