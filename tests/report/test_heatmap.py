from contextlib import contextmanager

import numpy as np
import pytest
from matplotlib.collections import PathCollection, QuadMesh

from seqdiff.errors import UsageError
from seqdiff.report import heatmap, heatmap_figure


@pytest.fixture
def drawn(monkeypatch):
    """The axes of what was drawn, the strips first and the colour bar last."""
    kept = []
    real = heatmap.figure

    @contextmanager
    def keeping(*args):
        with real(*args) as figure:
            yield figure
            kept[:] = figure.axes

    monkeypatch.setattr(heatmap, "figure", keeping)
    return kept


def part(axes, kind):
    (found,) = (child for child in axes.get_children() if isinstance(child, kind))
    return found


def span(length: int, symbols: str = "ACGT", seed: int = 0) -> tuple[str, np.ndarray]:
    """A reference and the ratios of all letters to it, 0 at its own."""
    rng = np.random.default_rng(seed)
    reference = rng.integers(0, len(symbols), length)
    llr = rng.normal(-1, 1, (length, len(symbols)))
    llr[np.arange(length), reference] = 0
    return "".join(symbols[i] for i in reference), llr


def test_every_cell_holds_its_ratio_and_a_dot_marks_the_reference(drawn, tmp_path):
    reference, llr = span(40)
    heatmap_figure(tmp_path / "x.png", "chr1", 1000, reference.lower(), llr, "ACGT", "A span")
    strip = drawn[0]
    assert part(strip, QuadMesh).get_array().filled(np.nan) == pytest.approx(llr.T)
    dots = part(strip, PathCollection).get_offsets()
    assert ["ACGT"[int(y)] for _, y in sorted(dots.tolist())] == list(reference)
    assert [text.get_text() for text in strip.get_yticklabels()] == list("ACGT")
    assert "".join(text.get_text() for text in strip.texts) == reference
    assert strip.yaxis_inverted()


def test_positions_count_from_one_and_are_numbered_every_ten(drawn, tmp_path):
    heatmap_figure(tmp_path / "x.png", "chr1", 998, *span(25), "ACGT")
    assert drawn[0].get_xticks().tolist() == [1, 11, 21]
    assert [text.get_text() for text in drawn[0].get_xticklabels()] == ["1,000", "1,010", "1,020"]
    heatmap_figure(tmp_path / "x.png", "chr1", 1_000, *span(3), "ACGT")
    assert [text.get_text() for text in drawn[0].get_xticklabels()] == ["1,001"]


@pytest.mark.parametrize("symbols", ["ACGT", "ACDEFGHIKLMNPQRSTVWY"])
def test_colours_are_centred_at_no_difference(symbols, drawn, tmp_path):
    heatmap_figure(tmp_path / "x.png", "p", 0, *span(30, symbols), symbols)
    mesh = part(drawn[0], QuadMesh)
    assert mesh.norm.vmin == -mesh.norm.vmax
    middle = np.array(mesh.cmap(mesh.norm(0.0))[:3])
    assert middle.min() > 0.95
    red, blue = mesh.cmap(mesh.norm(-1.0)), mesh.cmap(mesh.norm(1.0))
    assert red[0] > red[2]
    assert blue[2] > blue[0]
    assert drawn[-1].get_ylabel() == "LLR (nats)"


def test_one_wild_value_does_not_bleach_the_rest(drawn, tmp_path):
    reference, llr = span(200)
    llr[3, (reference[3] == "A") + 0] = -1000.0
    heatmap_figure(tmp_path / "x.png", "c", 0, reference, llr, "ACGT")
    assert part(drawn[0], QuadMesh).norm.vmax < 10


def test_what_has_no_value_is_grey_and_has_no_dot_where_the_reference_is_unknown(drawn, tmp_path):
    reference, llr = span(30)
    reference = reference[:7] + "NN" + reference[9:]
    llr[7:9] = np.nan
    llr[20, 2] = np.nan
    heatmap_figure(tmp_path / "x.png", "c", 0, reference, llr, "ACGT")
    mesh = part(drawn[0], QuadMesh)
    assert mesh.get_array().mask.T.tolist() == np.isnan(llr).tolist()
    assert len(part(drawn[0], PathCollection).get_offsets()) == 28
    heatmap_figure(tmp_path / "nothing.png", "c", 0, "N" * 30, np.full((30, 4), np.nan), "ACGT")
    assert drawn[0].collections


def test_long_spans_go_on_in_further_rows_and_too_long_ones_are_refused(drawn, tmp_path):
    reference, llr = span(170)
    heatmap_figure(tmp_path / "x.png", "c", 0, reference, llr, "ACGT")
    strips = drawn[:-1]
    assert [len(strip.texts) for strip in strips] == [57, 57, 56]
    assert "".join(text.get_text() for strip in strips for text in strip.texts) == reference
    assert strips[1].get_xticklabels()[0].get_text() == "60"
    with pytest.raises(UsageError, match=r"c:11-4,811 has 4,801 positions; a heat map holds at most 4,800"):
        heatmap_figure(tmp_path / "y.png", "c", 10, "A" * 4801, np.zeros((4801, 4)), "ACGT")
    assert not (tmp_path / "y.png").exists()


def test_same_numbers_same_bytes(tmp_path):
    for name in ("one.png", "two.png"):
        heatmap_figure(tmp_path / name, "c", 0, *span(20), "ACGT")
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
