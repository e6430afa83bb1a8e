"""The page of scored variants of a genome."""

import math
from functools import partial

from seqdiff.report.page import Block, Facts, Page, Section, Table, Text
from seqdiff.report.page import Figure as PageFigure
from seqdiff.report.scored.along import CONTIGS, Along
from seqdiff.report.scored.blocks import classes_table, exchange_block, heatmaps, number, reasons_table, spread_block
from seqdiff.report.scored.classes import CLASSES
from seqdiff.report.scored.figures import along_figure
from seqdiff.report.scored.variants_tally import GROUPS, VariantsTally
from seqdiff.report.style import brief

SHOWN_ALLELE = 24
"""Letters of an allele in a table."""


def variants_page(tally: VariantsTally, name: str, by: str, provenance: dict[str, str]) -> Page:
    """Everything that a tally holds. `name` is what the file is called, `by` what it says of its scores."""
    scored = int(tally.spread.counts.sum())
    if not scored:
        blocks = (Text("No allele has a score."), *reasons_table(tally.reasons, "alleles"), Facts(provenance))
        return Page(f"Scored variants: {name}", "A file without a score.", (Section("What was scored", blocks),))
    singles = [CLASSES.index(name) for name in GROUPS["single substitutions"][0]]
    number_of_singles = int(tally.spread.counts[singles].sum())
    summary = {
        "alleles": f"{tally.alleles:,}",
        "scored": f"{scored:,} ({scored / tally.alleles:.1%})",
    }
    if number_of_singles:  # alone: every base that an allele adds costs by itself
        below, total = int(tally.spread.below[singles].sum()), float(tally.spread.sums[singles].sum())
        summary["single substitutions less probable than the reference"] = f"{below / number_of_singles:.1%}"
        summary["mean LLR of single substitutions"] = f"{number(total / number_of_singles)} nats"
    sections = [_what(tally, by, provenance), _spread(tally)]
    if along := _along(tally):
        sections.append(Section("Along the genome", along))
    if tally.sites.saturated():
        sections.append(Section("Every substitution of a stretch", heatmaps(tally.sites, "CONTIG")))
    if tally.exchange.count.any():
        sections.append(Section("Which base becomes which", (exchange_block(tally.exchange, "bases"),)))
    sections.append(_extremes(tally))
    about = (
        f"{scored:,} alleles with log p(alternate) − log p(reference), in nats: how much more or less probable each "
        "makes the genome."
    )
    return Page(f"Scored variants: {name}", about, tuple(sections), summary)


def _what(tally: VariantsTally, by: str, provenance: dict[str, str]) -> Section:
    low, high = tally.contexts
    methods = sorted(tally.methods.items(), key=lambda one: (-one[1], one[0]))
    facts = {
        "scored by": by or "the file does not say with which model",
        "methods": ", ".join(f"{method or 'not said'} {count:,}" for method, count in methods),
    }
    if high:
        facts["context"] = f"{high:,} bases" if low == high else f"{low:,} to {high:,} bases"
    if tally.uncertain:
        facts["standard error"] = (
            f"{tally.errors / tally.uncertain:.3f} nats, the mean of {tally.uncertain:,} scores that have one"
        )
    table = classes_table(tally.spread, tally.seen.tolist(), CLASSES, "alleles")
    return Section("What was scored", (Facts(facts | provenance), table, *reasons_table(tally.reasons, "alleles")))


def _spread(tally: VariantsTally) -> Section:
    blocks: tuple[Block, ...] = (spread_block(tally.spread, CLASSES),)
    if any(tally.spread.number(CLASSES.index(name)) for name in ("insertion", "deletion", "complex")):
        note = (
            "Every base that an allele adds costs about 1.3 nats by itself, and every base that it leaves out gains as "
            "much: compare insertions and deletions with those of the same length only."
        )
        blocks = (Text(note), *blocks)
    return Section("How scores are spread", blocks)


def _along(tally: VariantsTally) -> tuple[Block, ...]:
    blocks: list[Block] = []
    for along, what in ((tally.substituted, "substitutions"), (tally.others, "changes of length")):
        if not along.scores:
            continue
        blocks.append(_along_block(along, what))
        if along.elsewhere:
            blocks.append(Text(f"The first {CONTIGS:,} contigs are drawn; {along.elsewhere:,} {what} lie on others."))
    return tuple(blocks)


def _along_block(along: Along, what: str) -> PageFigure:
    few = along.points is not None
    drawn = "a point each" if few else "lines from the lowest to the highest in a bin, the mean in black"
    rows = tuple(
        (
            brief(name),
            f"{contig.count.sum():,}",
            number(float(contig.total.sum() / contig.count.sum())),
            number(float(contig.low.min())),
            number(float(contig.high.max())),
        )
        for name, contig in along.contigs.items()
    )
    return PageFigure.of(
        f"Scores of {along.scores:,} {what} along the genome: {drawn}.",
        f"Scores of {what} by position on {len(along.contigs):,} contigs; the numbers below give the lowest, mean and "
        "highest of each.",
        partial(along_figure, along=along, names=CLASSES),
        Table(f"{what.capitalize()} by contig", ("contig", "scored", "mean LLR", "lowest", "highest"), rows),
    )


def _extremes(tally: VariantsTally) -> Section:
    blocks: list[Block] = []
    for group, (_, most) in GROUPS.items():
        extremes = tally.extremes[group]
        if not extremes.lowest:
            continue
        folded = bool(blocks)
        if extremes.all:
            blocks.append(_table(f"All {group}, from the least probable on", extremes.lowest, folded))
            continue
        blocks.append(_table(f"The {most} least probable {group}", extremes.lowest, folded))
        blocks.append(_table(f"The {most} most probable {group}", extremes.highest, True))
    if not blocks:
        blocks.append(Text("No substitution, insertion or deletion has a score."))
    return Section("Least and most probable", tuple(blocks))


def _table(caption: str, rows: "list[tuple]", folded: bool) -> Table:
    cells = []
    for contig, position, name, ref, alt, llr, se, method, context in rows:
        error = "" if math.isnan(se) or se == 0 else f"{se:.3f}"
        place = (
            f"{brief(contig)}:{int(position):,}",
            "" if name == "." else brief(name),
            f"{_allele(ref)} > {_allele(alt)}",
        )
        cells.append((*place, f"{llr:.4f}", error, method, f"{int(context):,}" if context else ""))
    columns = ("position", "id", "change", "LLR (nats)", "standard error", "method", "context")
    told = [place for place in range(len(columns)) if any(cell[place] for cell in cells)]
    shown = tuple(tuple(cell[place] for place in told) for cell in cells)
    return Table(caption, tuple(columns[place] for place in told), shown, sortable=True, folded=folded)


def _allele(letters: str) -> str:
    return letters if len(letters) <= SHOWN_ALLELE else f"{letters[:SHOWN_ALLELE]}... ({len(letters):,})"
