"""The page of a table of filled letters."""

from functools import partial

import numpy as np

from seqdiff.report.filled.chosen import SHOWN_SAMPLES
from seqdiff.report.filled.figures import confidence_figure, edges_figure, hidden_figure, wilson
from seqdiff.report.filled.logos import logos, many
from seqdiff.report.filled.samples import KEPT
from seqdiff.report.filled.tally import ROWS, Tally
from seqdiff.report.filled.truth import NEAR
from seqdiff.report.page import Facts, Figure, Page, Section, Table, Text, Warning
from seqdiff.report.style import brief

BY_DISTANCE = ("distance", "letters", "mean probability", "mean entropy (bits)")


def filled_page(tally: Tally, name: str, made_by: list[str], provenance: dict[str, str]) -> Page:
    """Everything that a tally holds. `name` is what the table is called, `made_by` what its comments say."""
    if not tally.letters:
        nothing = Text("The table has no line: nothing was unknown, so nothing was filled.")
        facts = Section("What was filled", (nothing, Facts(provenance)))
        return Page(f"Filled letters: {name}", "A table without a filled letter.", (facts,))
    summary = {
        "letters filled": f"{tally.letters:,}",
        "gaps": f"{tally.gaps:,}",
        "expected to be right": f"{tally.confidence / tally.letters:.1%}",
        "entropy of a letter": f"{tally.bits / tally.letters:.3f} of {np.log2(len(tally.symbols)):.3f} bits",
    }
    sections = [_what(tally, made_by, provenance), _sure(tally)]
    if tally.truth is not None and tally.truth.hidden.any():
        hidden = int(tally.truth.hidden.sum())
        right = int(tally.truth.right.sum())
        low, high = map(float, wilson(right / hidden, hidden))
        summary["hidden letters met (95 % interval)"] = f"{right / hidden:.1%} ({low:.1%} to {high:.1%})"
        sections.append(_hidden(tally))
    if tally.samples.records:
        sections.append(_samples(tally))
    sections += [logos(tally), _listed(tally)]
    records = many(tally.records, "record")
    if tally.fillings > tally.records:
        records = f"{tally.fillings:,} fillings of {records}"
    letters, gaps = many(tally.letters, "letter"), many(tally.gaps, "gap")
    about = f"{letters} in {gaps} of {records}, and how sure the model is of them."
    return Page(f"Filled letters: {name}", about, tuple(sections), summary)


def _what(tally: Tally, made_by: list[str], provenance: dict[str, str]) -> Section:
    facts = {
        "records": f"{tally.records:,}" + (f", {tally.fillings:,} fillings" if tally.fillings > tally.records else ""),
        "gaps": f"{tally.gaps:,}, the longest of {tally.longest:,} letters",
        "letters": f"{tally.letters:,}",
        "expected to be right": f"{tally.confidence:,.1f} of {tally.letters:,} letters: the sum of their probabilities",
        "made by": "; ".join(made_by) or "the table does not say with which model",
    }
    return Section("What was filled", (Facts(facts | provenance), _composition(tally), _lengths(tally)))


def _composition(tally: Tally) -> Table:
    rows = []
    near = tally.truth.near if tally.truth is not None else None
    beside = (lambda share: (f"{share:.2%}",)) if near is not None and near.sum() else (lambda _: ())
    total = near.sum() if near is not None and near.sum() else 1
    for i, symbol in enumerate(tally.symbols):
        said = tally.expected[i] / tally.letters
        there = 0 if near is None else near[ord(symbol)] / total
        rows.append((symbol, f"{tally.filled[ord(symbol)] / tally.letters:.2%}", f"{said:.2%}", *beside(there)))
    if set(tally.symbols) == set("ACGT"):
        gc = [tally.symbols.index(base) for base in "GC"]
        there = 0 if near is None else sum(near[ord(base)] for base in "GC") / total
        filled = sum(int(tally.filled[ord(base)]) for base in "GC") / tally.letters
        rows.append(("G and C", f"{filled:.2%}", f"{tally.expected[gc].sum() / tally.letters:.2%}", *beside(there)))
    columns = ("letter", "filled", "by the probabilities", *((f"known within {NEAR}",) if beside(0) else ()))
    caption = "Composition of what was filled, and what the probabilities come to"
    return Table(caption, columns, tuple(rows), folded=len(rows) > 8)


def _lengths(tally: Tally) -> Table:
    rows = []
    for power in np.flatnonzero(tally.lengths).tolist():
        low, high = 2**power, 2 ** (power + 1) - 1
        name = f"{low:,}" if low == high else f"{low:,} to {high:,}"
        rows.append((name, f"{tally.lengths[power]:,}", f"{tally.letters_of_length[power]:,}"))
    return Table("Gaps by their length", ("length", "gaps", "letters"), tuple(rows))


def _sure(tally: Tally) -> Section:
    bars = len(tally.confidences)
    shares = tuple(
        (f"{i / bars:.2f} to {(i + 1) / bars:.2f}", f"{count:,}", f"{count / tally.letters:.2%}")
        for i, count in enumerate(tally.confidences.tolist())
    )
    sure = f"{tally.confidences[-bars // 10 :].sum() / tally.letters:.1%}"
    chance = 1 / len(tally.symbols)
    rows = tuple((name, f"{count:,}", f"{said:.4f}", f"{bits:.4f}") for name, count, said, bits in tally.edges.rows())
    first, last = rows[0], rows[-1]
    return Section(
        "How sure the model is",
        (
            Text(
                "The probability of a letter is the model's given everything known in its window before anything there "
                "was filled (of a model that reads in one direction: given the letters before it). Were the model "
                "perfectly calibrated, that share of letters would be right."
            ),
            Figure.of(
                "Probabilities of the letters that were filled in.",
                f"Histogram: {sure} of {tally.letters:,} letters have a probability of 0.9 or more; the mean is "
                f"{tally.confidence / tally.letters:.3f}, that of a guess {chance:.3f}.",
                partial(confidence_figure, counts=tally.confidences, letters=tally.letters, chance=chance),
                Table("Letters by probability", ("probability", "letters", "share"), shares),
            ),
            Figure.of(
                "By the distance to the nearest known letter: deep inside a gap there is less to go by.",
                f"Two curves by distance to the nearest known letter: mean probability {first[2]} at {first[0]}, "
                f"{last[2]} at {last[0]}; mean entropy {first[3]} and {last[3]} bits.",
                partial(edges_figure, edges=tally.edges, symbols=len(tally.symbols)),
                Table("By distance to the nearest known letter", BY_DISTANCE, rows),
            ),
        ),
    )


def _hidden(tally: Tally) -> Section:
    truth = tally.truth
    hidden, right, said = int(truth.hidden.sum()), int(truth.right.sum()), float(truth.said.sum())
    bins = len(truth.hidden)
    rows = tuple(
        (
            f"{i / bins:.1f} to {(i + 1) / bins:.1f}",
            f"{truth.hidden[i]:,}",
            f"{truth.said[i] / truth.hidden[i]:.3f}",
            f"{truth.right[i] / truth.hidden[i]:.3f}",
            "{:.3f} to {:.3f}".format(*map(float, wilson(truth.right[i] / truth.hidden[i], truth.hidden[i]))),
        )
        for i in np.flatnonzero(truth.hidden).tolist()
    )
    return Section(
        "Letters that were hidden",
        (
            Text(
                f"The FASTA knows {hidden:,} of the filled letters (`--bed` or `--region` hid them): {right:,} "
                f"({right / hidden:.1%}) were filled as they are there; by their probabilities {said:,.1f} "
                f"({said / hidden:.1%}) were to be."
            ),
            Figure.of(
                "How often a letter was the hidden one, by the probability that it was given; bars are 95 % intervals, "
                "as if letters were independent.",
                f"Reliability diagram of {hidden:,} letters: {right / hidden:.1%} right where {said / hidden:.1%} were "
                "expected.",
                partial(hidden_figure, truth=truth),
                Table(
                    "Hidden letters by probability", ("probability", "letters", "mean", "right", "95 % interval"), rows
                ),
            ),
        ),
    )


def _samples(tally: Tally) -> Section:
    samples = tally.samples
    facts = {"records with several fillings": f"{samples.records:,}, up to {samples.most:,} each"}
    blocks: list = []
    if samples.pairs:
        facts |= {
            "places that all fillings fill alike": f"{samples.unanimous:,} of {samples.letters:,} "
            f"({samples.unanimous / samples.letters:.1%})",
            "two fillings agree at a place": f"{samples.equal / samples.pairs:.2%}; by the probabilities "
            f"{samples.alone / samples.pairs:.2%}",
            "gaps that all fillings fill alike": f"{samples.gaps_alike:,} of {samples.gaps:,}; were letters drawn by "
            f"themselves, {samples.gaps_alone:,.1f}",
        }
        blocks.append(
            Text(
                "Fillings drawn at random agree at a place as often as its probabilities say, whether or not letters "
                "depend on each other; more often where a temperature, top-p or a sampler such as `best` leans to the "
                "probable letters. Whole gaps agree more often than by single letters where letters hang together."
            )
        )
    if samples.cut:
        blocks.append(Text(f"Of {samples.cut:,} records the first {KEPT:,} letters were compared."))
    if samples.unlike:
        blocks.append(
            Warning(
                f"The fillings of {samples.unlike:,} records are of different positions (as with `--insert`), so they "
                "were not compared."
            )
        )
    return Section("How the fillings agree", (*blocks, Facts(facts)))


def _listed(tally: Tally) -> Section:
    rows = tuple(
        (brief(name), f"{start:,}", f"{length:,}", f"{said:.3f}", f"{said * length:,.1f}", f"{bits:.3f}", letters)
        for name, start, length, said, bits, letters in tally.rows
    )
    more = tally.gaps - len(rows)
    columns = ("record", "from", "length", "mean probability", "expected right", "bits a letter", "filled with")
    caption = (
        "All gaps, in their order" if not more else f"The first {ROWS:,} gaps; {more:,} more are in the table itself"
    )
    blocks = [Table(caption, columns, rows, sortable=True, folded=len(rows) > 20)]
    if tally.samples.most > SHOWN_SAMPLES:
        blocks.append(Text(f"Logos show the first {SHOWN_SAMPLES} of {tally.samples.most:,} fillings."))
    return Section("Gaps, one by one", tuple(blocks))
