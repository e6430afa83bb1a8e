"""Parts that the pages of variants and of mutants have in common."""

import math
from collections import Counter
from collections.abc import Sequence
from functools import partial

from seqdiff.report.heatmap import heatmap_figure
from seqdiff.report.page import Block, Figure, Table, Text
from seqdiff.report.scored.exchange import Exchange
from seqdiff.report.scored.figures import exchange_figure, spread_figure
from seqdiff.report.scored.sites import Sites, Stretch
from seqdiff.report.scored.spread import WIDTH, Spread
from seqdiff.report.style import brief

MEANINGS = {
    "no_alternate": "the line has no alternate allele",
    "symbolic": "an allele such as <DEL> without letters",
    "breakend": "a breakend",
    "overlapping_deletion": "the allele *: deleted by another variant",
    "unknown_letter": "the allele has an unknown letter",
    "unknown_reference": "the reference is unknown there",
    "ref_mismatch": "the reference has another letter there than the file says",
    "same_as_reference": "the allele is that of the reference",
    "too_long": "longer than half the context of the model",
    "other_method": "the method that was asked for is not for this class",
    "overlapping_alleles": "alleles of one haplotype overlap",
    "not_scored": "the line has no score at all",
    "empty": "no mutation is given",
    "not_understood": "the mutation cannot be read",
    "stop": "a stop codon",
    "frameshift": "a frameshift",
    "site_twice": "one site is mutated twice",
    "outside_the_protein": "a residue that the protein does not have",
    "sequence_differs": "the mutated sequence is not what the mutations give",
    "outside_the_alignment": "a site outside the alignment of the family",
    "indel": "a family has no column for what is put in",
}
"""Of the reasons why there is no score."""
HEATMAPS = 4
"""Stretches of sites that are drawn, at most."""


def number(value: float, digits: int = 3, sign: str = "") -> str:
    """
    >>> number(-1.23456), number(float("nan"))
    ('-1.235', '')
    """
    return "" if math.isnan(value) else f"{value:{sign},.{digits}f}"


def classes_table(spread: Spread, seen: Sequence[int], names: Sequence[str], what: str) -> Table:
    """Counts, shares and means by class, of the classes that there are."""
    total, rows = sum(seen), []
    for i, name in enumerate(names):
        if not seen[i]:
            continue
        scored = spread.number(i)
        if scored:
            values = (
                f"{spread.below[i] / scored:.1%}", number(spread.mean(i)), number(spread.deviation(i)),
                *(number(spread.quantile(i, share), 2) for share in (0.05, 0.5, 0.95)),
            )  # fmt: skip
        else:
            values = ("",) * 6
        rows.append((name, f"{seen[i]:,}", f"{seen[i] / total:.1%}", f"{scored:,}", *values))
    columns = (
        "class", what, "share", "scored", "LLR < 0", "mean LLR", "SD", "5 %", "median", "95 %",
    )  # fmt: skip
    caption = (
        "By class: LLR in nats, with its standard deviation, and 5th, 50th and 95th percentiles, interpolated in bins "
        f"of {WIDTH:g} nats"
    )
    return Table(caption, columns, tuple(rows))


def reasons_table(reasons: Counter[str], what: str) -> tuple[Block, ...]:
    """Why there is no score, if there is none for some."""
    if not reasons:
        return (Text(f"Every one of the {what} has a score."),)
    rows = tuple(
        (reason, f"{count:,}", MEANINGS.get(reason, "the file does not say more"))
        for reason, count in sorted(reasons.items(), key=lambda one: (-one[1], one[0]))
    )
    return (Table(f"{what.capitalize()} without a score", ("reason", what, "which means"), rows),)


def spread_block(spread: Spread, names: Sequence[str]) -> Figure:
    """The histogram of all classes."""
    edges, counts, beyond = spread.histogram()
    there = [i for i in range(len(names)) if spread.number(i)]
    rows = tuple(
        (f"{low:.2f} to {high:.2f}", *(f"{counts[i][bar]:,}" for i in there))
        for bar, (low, high) in enumerate(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))
    )
    said = "; ".join(f"{names[i]}: mean {spread.mean(i):.2f}" for i in there)
    left_out = f" {beyond:,} scores lie beyond the ends." if beyond else ""
    return Figure.of(
        f"Scores by class, each as shares of its own.{left_out}",
        f"Histograms of the log-likelihood ratios by class. {said}.{left_out}",
        partial(spread_figure, edges=edges, counts=counts, names=names),
        Table("Scores by class", ("LLR (nats)", *(names[i] for i in there)), rows),
    )


def exchange_block(exchange: Exchange, what: str) -> Figure:
    """The matrix of substitutions."""
    mean, symbols = exchange.mean, exchange.symbols
    rows = tuple(
        (f"{was} > {now}", f"{exchange.count[i, j]:,}", number(float(mean[i, j])))
        for i, was in enumerate(symbols)
        for j, now in enumerate(symbols)
        if exchange.count[i, j]
    )
    by_mean = sorted((float(row[2].replace(",", "")), row[0]) for row in rows)
    return Figure.of(
        f"Mean score of single substitutions by {what}: a row for what was, a column for what is; grey: none.",
        f"Matrix of mean scores; least probable {by_mean[0][1]} ({by_mean[0][0]:.2f}), most probable {by_mean[-1][1]} "
        f"({by_mean[-1][0]:.2f}).",
        partial(exchange_figure, exchange=exchange),
        Table("Mean score by substitution", ("substitution", "scored", "mean LLR"), rows),
    )


def heatmaps(sites: Sites, what: str, apart: int = 1) -> tuple[Block, ...]:
    """A heat map of each of the first stretches, and what is left out."""
    stretches = [stretch for stretch in sites.stretches(apart) if len(stretch.reference) > 1]
    blocks: list[Block] = [_heatmap(stretch, sites.symbols) for stretch in stretches[:HEATMAPS]]
    if sites.more or len(stretches) > HEATMAPS:
        blocks.append(
            Text(
                f"Only the first positions are drawn; the file has {sites.substitutions:,} single substitutions. Draw "
                f"a stretch of your own with `seqdiff variants --saturate {what}:START-END --figure map.png`."
            )
        )
    return tuple(blocks)


def _heatmap(stretch: Stretch, symbols: str) -> Figure:
    place = f"{brief(stretch.contig)}:{stretch.start + 1:,}-{stretch.start + len(stretch.reference):,}"
    rows = tuple(
        (f"{stretch.start + i + 1:,}", reference, *(number(float(value), 2) for value in stretch.llr[i]))
        for i, reference in enumerate(stretch.reference)
    )
    return Figure.of(
        f"What every substitution costs, {place}; red is less probable than what was, a dot marks what was, grey has "
        "no score.",
        f"Heat map of log-likelihood ratios, a column a position, a row a letter, {place}.",
        lambda target: heatmap_figure(
            target, brief(stretch.contig), stretch.start, stretch.reference, stretch.llr, symbols, None
        ),
        Table(f"Scores in {place}, nats", ("position", "was", *symbols), rows),
    )
