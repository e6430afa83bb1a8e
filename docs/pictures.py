"""The pictures of the README, drawn again from the model that ships: `make pictures`.

That of the digits is drawn from a run of its own: `seqdiff train digits && python docs/pictures.py runs/digits`.
"""

import json
import sys
from pathlib import Path

import numpy as np

import seqdiff
from seqdiff import resources
from seqdiff.data.fasta import Record, read_records
from seqdiff.data.intervals import Interval
from seqdiff.diffusion.samplers import PRESETS
from seqdiff.evaluate import Likelihood
from seqdiff.inference.images import Canvas
from seqdiff.inference.inserts import Insert
from seqdiff.inference.variants import effects, substitutions
from seqdiff.report import likelihood_figure, logo_figure, longest_gap
from seqdiff.report.heatmap import heatmap_figure
from seqdiff.report.lengths import Lengths, lengths_figure
from seqdiff.report.samplers import Panel, curves_figure
from seqdiff.report.style import figure

HERE = Path(__file__).parent


def main() -> None:
    if len(sys.argv) > 1:
        _digits(sys.argv[1])
        return
    model = seqdiff.load()
    data = model.recipe.data.open()
    _gap(model, data)
    likelihood_figure(HERE / "likelihood.png", Likelihood().ask(model, data).summary)
    _saturation(model, data)
    _samplers()
    _lengths(model, data)


def _lengths(model, data) -> None:
    """How many bases are missing: inside the Alu of the example file, and in a held-out (AC)n microsatellite."""
    (alu,) = read_records(resources.folder("genomes") / "examples" / "insert.fa")
    contig, start, cut = next(iter(data.genome.contigs)), 241_353, 7
    sides = (Interval(contig, start - 150, start), Interval(contig, start + cut, start + cut + 150))
    repeat = Record("ac", "ac", b"".join(model.alphabet.decode(data.genome.tokens(side)) for side in sides))
    panels = []
    for title, record, insert, truth in (
        ("inside an Alu", alu, "100:0-10", 5),
        ("inside a microsatellite, (AC)n", repeat, "150:0-20", cut),
    ):
        inserts = model.inserts([Insert.parse(insert)], {record.name: len(record.sequence)})
        (fit,) = inserts.fits(record)
        panels.append(Lengths(title, fit.lengths.tolist(), fit.posterior.tolist(), truth))
    lengths_figure(HERE / "lengths.png", panels)


def _gap(model, data) -> None:
    """The gap inside an Alu of the example file, with what really stands there."""
    path = resources.folder("genomes") / "examples" / "gaps.fa"
    record = next(read_records(path))
    result = next(model.infill_records([record], seed=1))
    first, last = result.positions[0], result.positions[-1] + 1
    assert last - first == len(result.positions)
    contig = next(iter(data.genome.contigs))
    start = 1_223_900
    truth = model.alphabet.decode(data.genome.tokens(Interval(contig, start, start + len(record.sequence)))).decode()
    known = np.frombuffer(record.sequence, np.uint8) != ord("N")
    assert (np.frombuffer(truth.encode(), np.uint8) == np.frombuffer(record.sequence, np.uint8))[known].all()
    filled = result.record.sequence.decode()
    gap = longest_gap(filled, result.positions, result.marginals, model.alphabet.symbols)
    gap |= {"truth": truth[first:last], "start": 10_000_000 + start + int(first) + 1}
    logo_figure(HERE / "infill.png", [gap], "A gap of 36 bases in held-out human DNA, filled (GRCh37 chr20)")


def _saturation(model, data) -> None:
    """Every substitution of a stretch of the same Alu."""
    contig = next(iter(data.genome.contigs))
    place = Interval(contig, 1_224_089, 1_224_210)
    scorer = model.change_scorer(data.genome)
    llr = np.zeros((place.length, model.alphabet.size))
    for effect in effects(substitutions([place], data.genome), scorer):
        llr[effect.variant.start - place.start, model.alphabet.symbols.index(effect.variant.alt)] = effect.llr
    reference = model.alphabet.decode(data.genome.tokens(place)).decode()
    title = "Every substitution of a stretch of an Alu, as the demo model sees it (GRCh37 chr20)"
    heatmap_figure(HERE / "saturation.png", "chr20", 10_000_000 + place.start, reference, llr, "ACGT", title)


def _digits(run: str) -> None:
    """Of each digit two that are held out, five drawn where it is told, and three with guidance 2 besides."""
    model = seqdiff.load(run)
    data = model.recipe.data.open()
    held_out = data.test.batch(np.arange(len(data.test)))
    canvas = Canvas(model.recipe.data.grid, model.alphabet)

    def drawn(asked, label, number):
        blank = (canvas.blank(f"{label} {place}") for place in range(number))
        return [canvas.values(result.record) for result in asked.infill_records(blank, seed=1)]

    with figure(HERE / "digits.png", 6.4, 6.2) as page:
        page.set_layout_engine("none")
        for digit, label in enumerate(model.labels):
            told = model.labelled(label)
            real = held_out.tokens[held_out.labels == digit][:2].numpy()
            images = [model.alphabet.values(image).reshape(canvas.grid) for image in real]
            images += drawn(told, label, 5) + drawn(told.guided(model, 2.0), label, 3)
            for place, image in enumerate(images):
                gaps = (place > 1) + (place > 6)
                axes = page.add_axes((0.13 + 0.086 * digit, 0.91 - 0.0945 * place - 0.02 * gaps, 0.08, 0.0826))
                axes.imshow(image[..., 0], cmap="gray", vmin=0, vmax=255)
                axes.set_axis_off()
        for name, height in (("held out", 0.904), ("told", 0.554), ("guided", 0.154)):
            page.text(0.015, height, name, va="center")


def _samplers() -> None:
    """Quality against calls, from what `tests/benchmarks/bench_samplers.py all --out docs/samplers.json` measured."""
    measured = json.loads((HERE / "samplers.json").read_text())
    gaps = measured["gaps 256"]
    (exact,) = [row for row in gaps if row["family"] == "exact"]
    curves_figure(
        HERE / "samplers.png",
        (
            Panel("A Markov chain known exactly, 128 letters", "bits a letter above the entropy", measured["chain"],
                  "excess", ("exact", 0.0)),
            Panel("The demo model, gaps of 256 bases", "bits a filled base, by the model itself", gaps, "bits",
                  ("one at a time", exact["bits"]["value"])),
        ),
        marked={"fast": ("ancestral", f"{PRESETS['fast'].steps}"), "exact": ("exact", "")},
    )  # fmt: skip


if __name__ == "__main__":
    main()
