from functools import partial

import numpy as np
import pytest

from seqdiff.report import draw, heatmap_figure, logo_figure
from seqdiff.report.page import Code, Facts, Figure, Page, Picture, Section, Table, Text, Warning

PNG = (
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\0\0\0\0:~\x9bU\0\0\0\nIDATx\x9cc`\0\0\0\2\0\1H\xaf\xa4q"
    b"\0\0\0\0IEND\xaeB`\x82"
)


@pytest.fixture(scope="session")
def page(summaries, gap) -> Page:
    """A page with every block, of every kind of figure."""
    table = Table("Three `rows`", ("name", "value", "note"), (("a", "9", "x<y"), ("b", "10.5", ""), ("c", "−3", "&")),
                  sortable=True)  # fmt: skip
    rng = np.random.default_rng(0)
    heat = partial(heatmap_figure, contig="chr1", start=10, reference="ACGT" * 10, llr=rng.normal(size=(40, 4)),
                   symbols="ACGT", title="span")  # fmt: skip
    figures = [
        Figure.of(f"Of {name}", f"Words for {name}.", lambda t, n=name: draw(t, n, summaries[n]), table)
        for name in ("likelihood", "recovery", "calibration", "spectra")
    ]
    figures.append(Figure.of("A logo", "Letters.", lambda t: logo_figure(t, [gap], "A gap")))
    figures.append(Figure.of("A heat map", "Cells.", heat))
    blocks = (Text("Plain & `a<b` text"), Warning("Mind `this`"), Facts({"long": "f" * 200, "of": "`x`"}), table,
              Table("Folded", ("a", "b"), (("x", "1"),), folded=True), Code("A recipe", "a: <b>\n" + "c" * 300),
              Picture("A picture", "One dot.", PNG))  # fmt: skip
    return Page("A <page>", "About `it` & all.", (Section("First", blocks), Section("Pictures", tuple(figures))),
                {"bits": "1.861 ± 0.007", "a long name of a number": "42"})  # fmt: skip
