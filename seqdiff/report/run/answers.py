"""The sections of an evaluation: a question each, its figure, its numbers, and what comes out in a sentence."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from seqdiff.report.figures import draw
from seqdiff.report.page import Block, Figure, Section, Table, Text
from seqdiff.report.run.run import Run, estimate, percent, plus_minus
from seqdiff.report.spectra import composition_figure

Summary = Mapping[str, Any]

TITLES = {
    "likelihood": "Held-out likelihood",
    "recovery": "Gaps recovered",
    "calibration": "Calibration",
    "spectra": "Samples beside held-out sequences",
    "samplers": "Samplers",
    "variants": "Variants told apart",
    "assay": "Mutants of an assay",
    "probe": "What the embeddings know",
    "couplings": "Couplings",
}
EXPECTED = ("likelihood", "recovery", "calibration", "spectra")
"""Questions that a page says it lacks."""


def answers(run: Run) -> list[Section]:
    """A section for each question that has an answer, in the order of `TITLES`."""
    return [_section(run, name) for name in TITLES if name in run.answers]


def _section(run: Run, name: str) -> Section:
    summary, table = run.answers[name], run.tables.get(name)
    says, description = SAYS.get(name, _plain)(run, summary)
    numbers = [table] if table else []
    blocks: list[Block] = [Text(says)] if says else []
    blocks.append(Figure.of(CAPTIONS[name], description, partial(_draw, name, summary), *numbers))
    if name == "spectra":
        blocks.append(_composition(summary))
    return Section(TITLES[name], tuple(blocks))


def _draw(name: str, summary: Summary, target: Any) -> None:
    draw(target, name, summary)


CAPTIONS = {
    "likelihood": "What a held-out letter costs, in bits, beside Markov chains that were fitted on the training data; "
    "the band and the bars are two standard errors.",
    "recovery": "Letters of held-out gaps that are named right, and the probability that the true ones were given, by "
    "length of the gap, beside a Markov chain that knows both flanks. Bars are two standard errors.",
    "calibration": "How often a letter stood where it was given a probability, over that probability; below, how many "
    "forecasts there were.",
    "spectra": "Left: how frequent each word is among samples of the model, over held-out sequences; training "
    "sequences show what chance does. Right: how far apart they are, by length of the words (Jensen-Shannon "
    "divergence, bits); independent letters are exact frequencies without the noise of a sample, so that they may lie "
    "below it.",
    "samplers": "What samplers give for their network calls.",
    "variants": "How well classes of variants are told apart, with 95 % intervals.",
    "assay": "Measured fitness over the score, and how well mutants are ranked, with 95 % intervals.",
    "probe": "A linear model of the embeddings beside one of k-mer counts, with 95 % intervals.",
    "couplings": "The pairs of columns that depend on each other most.",
}


def _likelihood(run: Run, summary: Summary) -> tuple[str, str]:
    model, best, difference = summary["model"], summary["best_markov"], summary["difference"]
    chain, unit = summary["markov"][best], summary["unit"]
    apart, error = difference["bits"], difference["se"] or 0.0
    verdict = "better than" if apart < -2 * error else "worse than" if apart > 2 * error else "no different from"
    bound = "exactly" if summary.get("exact") else "at most"
    text = (
        f"A held-out {unit} costs the model {bound} {plus_minus(model['bits'], model['se'])} bits. The best of the "
        f"Markov chains, of order {best}, pays {plus_minus(chain['bits'], chain['se'])}: on the same "
        f"{summary.get('examples', 'windows')} the difference is {plus_minus(apart, difference['se'], sign=True)}, so "
        f"that the model is {verdict} it, at two standard errors."
    )
    if profile := summary.get("profile"):
        place = "place" if summary.get("examples") == "images" else "column"
        text += f" The profile, each {place} by itself, pays {plus_minus(profile['bits'], profile['se'])}."
    first, last = summary["markov"][0], summary["markov"][-1]
    description = (
        f"Markov chains of order {first['order']} to {last['order']} fall from {first['bits']:.3f} to "
        f"{min(m['bits'] for m in summary['markov']):.3f} bits per {unit}; the model is a line at {model['bits']:.3f}."
    )
    return text, description


def _recovery(run: Run, summary: Summary) -> tuple[str, str]:
    if not summary["gaps"]:
        return "No window had room for a gap.", "Nothing is drawn."
    said = [
        f"{gap['length']:,}: {percent(gap['model']['accuracy'])} (chain {percent(gap['markov']['accuracy'])})"
        for gap in summary["gaps"]
    ]
    return "", f"Share of {summary['unit']}s named right by length of the gap: {'; '.join(said)}."


def _calibration(run: Run, summary: Summary) -> tuple[str, str]:
    text = (
        f"The expected calibration error is {summary['ece']:.4f}; forecasts that are right would come to "
        f"{summary['ece_of_noise']:.4f} by noise alone."
    )
    bins = summary["reliability"]
    apart = max(abs(b["forecast"] - b["observed"]["value"]) for b in bins)
    return text, f"{len(bins)} bins of probability; the furthest lies {apart:.3f} from the diagonal."


def _spectra(run: Run, summary: Summary) -> tuple[str, str]:
    last, what = summary["spectra"][-1], summary["examples"]
    text = (
        f"{summary['sequences']['samples']:,} sequences of up to {summary['window_length']:,} {summary['unit']}s were "
        f"drawn by the sampler `{_sampler(summary['sampler'])}`. Their words of {last['k']} diverge from those of "
        f"held-out {what} by {estimate(last['samples'])} bits; as many training {what} by {estimate(last['train'])}, "
        "which is what chance and region do"
    )
    if last["k"] > 1:
        text += (
            f"; letters in no order, as exact frequencies without the noise of a sample, by {last['independent']:.4f}"
        )
    text += "."
    if "cpg" in summary:
        text += (
            f" CpG stands {estimate(summary['cpg']['samples'], 3)} times as often as C and G would have it in the "
            f"samples, {estimate(summary['cpg']['test'], 3)} times in held-out {what}."
        )
    return text, (
        f"Points of {len(summary['words']['rows']):,} words along the diagonal; divergences of words of 1 to "
        f"{last['k']} letters, of samples and of training sequences."
    )


def _sampler(settings: Mapping[str, Any]) -> str:
    steps = settings.get("steps")
    return f"{settings['kind']}, {steps} steps" if steps else str(settings["kind"])


def _composition(summary: Summary) -> Figure:
    sets = ("test", "samples", "train")
    heads = ("held out", "samples", "training")
    rows = [(row["symbol"], *(estimate(row[name]) for name in sets)) for row in summary["composition"]]
    tables = [Table("Share of each letter", ("letter", *heads), tuple(rows))]
    caption, said = "How frequent each letter is.", ""
    if gc := summary.get("gc"):
        means = [estimate(gc[name]["mean"], 3) for name in sets]
        spread = ["" if gc[name]["deviation"] is None else f"{gc[name]['deviation']:.3f}" for name in sets]
        cpg = [estimate(summary["cpg"][name], 3) for name in sets]
        of_dna = (("GC content, mean", *means), ("GC content, standard deviation of windows", *spread),
                  ("CpG, observed over expected", *cpg))  # fmt: skip
        tables.append(Table("GC content and CpG", ("", *heads), of_dna))
        caption = "How frequent each letter is, and how the GC content of windows is spread."
        said = f" GC content {means[0]} held out, {means[1]} in samples."
    words = summary["words"]
    most = [
        (row[0], *(f"{100 * row[1 + words['columns'].index(name)]:.3f} %" for name in sets)) for row in words["rows"]
    ]
    tables.append(Table(f"The most frequent words of {words['k']}", ("word", *heads), tuple(most[:40]), sortable=True))
    description = f"Bars of {len(rows)} letters, held out, samples and training beside each other.{said}"
    return Figure.of(caption, description, lambda target: composition_figure(target, summary), *tables)


def _plain(run: Run, summary: Summary) -> tuple[str, str]:
    return "", "The numbers are in the table beneath."


SAYS: dict[str, Callable[[Run, Summary], tuple[str, str]]] = {
    "likelihood": _likelihood,
    "recovery": _recovery,
    "calibration": _calibration,
    "spectra": _spectra,
}
