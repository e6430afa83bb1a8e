"""The page of scored mutants of a protein."""

import math
from functools import partial

import numpy as np

from seqdiff.data.scored_mutants import MutantScores
from seqdiff.report.page import Block, Facts, Figure, Page, Section, Table, Text
from seqdiff.report.scored.blocks import classes_table, exchange_block, heatmaps, number, reasons_table, spread_block
from seqdiff.report.scored.figures import measured_figure
from seqdiff.report.scored.mutants_tally import CLASSES, LISTED, MutantsTally

POINTS = 3000
"""Mutants that are drawn, evenly spread over the table."""
FEWEST = 10
"""Mutants: of fewer there is no correlation."""
SENSITIVE = 30
"""Positions that are listed."""
APART = 10
"""Residues without a mutant that a heat map goes on over."""


def mutants_page(tally: MutantsTally, scores: MutantScores, name: str, provenance: dict[str, str]) -> Page:
    """Everything that a tally holds; `scores` says which columns were read, `name` what the file is called."""
    scored = int(tally.spread.counts.sum())
    if not scored:
        blocks = (Text("No mutant has a score."), *reasons_table(tally.reasons, "mutants"), Facts(provenance))
        return Page(f"Scored mutants: {name}", "A table without a score.", (Section("What was scored", blocks),))
    summary = {
        "mutants": f"{tally.mutants:,}",
        "scored": f"{scored:,} ({scored / tally.mutants:.1%})",
        "less probable than the wild type": f"{int(tally.spread.below.sum()) / scored:.1%}",
        "mean LLR": f"{tally.spread.sums.sum() / scored:.3f} nats",
    }
    sections = [
        _what(tally, scores, provenance),
        Section("How scores are spread", (spread_block(tally.spread, CLASSES),)),
    ]
    if scores.measured is not None:
        blocks, whole = _measured(tally, scores.measured)
        sections.insert(1, Section("Against the measurement", blocks))
        if whole:
            summary["Spearman with the measurement (95 % interval)"] = whole
    if tally.sites.substitutions:
        sections.append(_along(tally))
        if tally.exchange.count.any():
            sections.append(Section("Which residue becomes which", (exchange_block(tally.exchange, "residues"),)))
    sections.append(_extremes(tally, scores.measured))
    about = (
        f"{scored:,} mutants with log p(mutant) − log p(wild type), in nats: how much more or less probable each is as "
        "a protein."
    )
    return Page(f"Scored mutants: {name}", about, tuple(sections), summary)


def _what(tally: MutantsTally, scores: MutantScores, provenance: dict[str, str]) -> Section:
    methods = sorted(tally.methods.items(), key=lambda one: (-one[1], one[0]))
    facts = {
        "mutants": f"column `{scores.column}`" if scores.column else "no column names them",
        "scores": f"column `{scores.prefix}llr`",
        "methods": ", ".join(f"{method or 'not said'} {count:,}" for method, count in methods),
    }
    if scores.measured is not None:
        facts["measurement"] = f"column `{scores.measured}`"
    if tally.uncertain:
        facts["standard error"] = (
            f"{tally.errors / tally.uncertain:.3f} nats, the mean of {tally.uncertain:,} scores that have one"
        )
    blocks: list[Block] = [Facts(facts | provenance)]
    if scores.others:
        others = ", ".join(f"`{prefix}llr`" for prefix in scores.others)
        blocks.append(Text(f"The table has other scores as well, which are not on this page: {others}."))
    blocks.append(classes_table(tally.spread, tally.seen.tolist(), CLASSES, "mutants"))
    return Section("What was scored", (*blocks, *reasons_table(tally.reasons, "mutants")))


def _measured(tally: MutantsTally, column: str) -> tuple[tuple[Block, ...], str]:
    """Correlations and the scatter; Spearman's of all mutants as text, empty where there is none."""
    score, measured, classes, per_residue = tally.pairs
    if len(score) < FEWEST:
        return (Text(f"Only {len(score):,} mutants have a score and a measurement, too few to correlate."),), ""
    rows, whole = [], ""
    groups = [("all", np.ones(len(score), bool)), *((name, classes == i) for i, name in enumerate(CLASSES))]
    for name, chosen in groups:
        rho = _spearman(score[chosen], measured[chosen])
        if math.isnan(rho):
            continue
        low, high = _interval(rho, int(chosen.sum()))
        rows.append((name, f"{int(chosen.sum()):,}", f"{rho:.3f}", f"{low:.3f} to {high:.3f}"))
        whole = whole or (f"{rho:.3f} ({low:.3f} to {high:.3f})" if name == "all" else "")
    shown = np.linspace(0, len(score) - 1, min(POINTS, len(score))).astype(int)
    what = "LLR by residue (nats)" if per_residue else "LLR (nats)"
    how = " Scores are by residue, since some mutants are longer or shorter than others." if per_residue else ""
    drawn = f"{len(shown):,} of {len(score):,} mutants, evenly spread over the table" if len(shown) < len(score) else (
        f"all {len(score):,} mutants"
    )  # fmt: skip
    figure = Figure.of(
        f"`{column}` against the score: {drawn}.{how}",
        f"Scatter of the measurement against the score; Spearman's rank correlation {whole or 'unknown'}.",
        partial(measured_figure, llr=score[shown], measured=measured[shown], column=column, score=what),
        Table(
            "Spearman's rank correlation; 95 % intervals as if mutants were independent (Bonett and Wright 2000): "
            "`seqdiff evaluate RUN variants --mutations` has those over sites, beside rivals",
            ("mutants", "number", "Spearman", "95 % interval"),
            tuple(rows),
        ),
    )
    return (figure,), whole


def _spearman(x: np.ndarray, y: np.ndarray) -> float:
    """NaN where there are too few, or all are alike."""
    if len(x) < FEWEST or np.ptp(x) == 0 or np.ptp(y) == 0:
        return math.nan
    from scipy.stats import rankdata

    return float(np.corrcoef(rankdata(x), rankdata(y))[0, 1])


def _interval(rho: float, number: int) -> tuple[float, float]:
    """Fisher's z with the standard error of Bonett and Wright 2000 (Psychometrika 65:23)."""
    if abs(rho) >= 1:
        return rho, rho
    reach = 1.96 * math.sqrt((1 + rho * rho / 2) / (number - 3))
    return math.tanh(math.atanh(rho) - reach), math.tanh(math.atanh(rho) + reach)


def _along(tally: MutantsTally) -> Section:
    stretches = tally.sites.stretches(APART)
    rows = []
    for stretch in stretches:
        for i, residue in enumerate(stretch.reference):
            row = stretch.llr[i]
            others = row[np.isfinite(row) & (np.array(list(tally.sites.symbols)) != residue)]
            if len(others):
                rows.append((float(others.mean()), stretch.start + i + 1, residue, len(others), float(others.min())))
    rows.sort()
    table = Table(
        f"The {min(SENSITIVE, len(rows))} positions at which substitutions cost most, by the mean over those scored",
        ("position", "residue", "substitutions", "mean LLR", "lowest"),
        tuple(
            (f"{place:,}", residue, f"{count:,}", number(mean), number(low))
            for mean, place, residue, count, low in rows[:SENSITIVE]
        ),
        sortable=True,
        folded=True,
    )
    return Section("Along the protein", (*heatmaps(tally.sites, "NAME", APART), table))


def _extremes(tally: MutantsTally, measured: str | None) -> Section:
    columns = ("mutant", "LLR (nats)", "standard error", "method", *((measured,) if measured else ()))
    tables = []
    groups = {
        f"The {LISTED} least probable mutants": tally.extremes.lowest,
        f"The {LISTED} most probable mutants": tally.extremes.highest,
    }
    if tally.extremes.all:
        groups = {"All mutants, from the least probable on": tally.extremes.lowest}
    for caption, rows in groups.items():
        cells = tuple(
            (
                mutant[:60] + ("..." if len(mutant) > 60 else ""),
                f"{llr:.4f}",
                "" if math.isnan(se) or se == 0 else f"{se:.3f}",
                method,
                *((number(float(value), 4),) if measured else ()),
            )
            for mutant, llr, se, method, value in rows
        )
        told = [place for place in range(len(columns)) if any(cell[place] for cell in cells)]
        shown = tuple(tuple(cell[place] for place in told) for cell in cells)
        tables.append(Table(caption, tuple(columns[i] for i in told), shown, sortable=True, folded=bool(tables)))
    return Section("Least and most probable", tuple(tables))
