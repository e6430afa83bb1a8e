from contextlib import contextmanager

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch

from seqdiff.report import every_gap, logo, logo_figure, longest_gap, that_fit
from seqdiff.report.logo import FLANK, LONGEST_ROW, stacks
from seqdiff.report.style import BLUE, GREEN, INK, LOOK, ORANGE, VERMILION, letter_colours


@pytest.fixture
def drawn(monkeypatch):
    """The figures that were drawn, before they become dots."""
    figures = []

    @contextmanager
    def keeping(path, width, height):
        with matplotlib.rc_context(LOOK):
            figures.append(Figure(figsize=(width, height), layout="constrained"))
            yield figures[-1]

    monkeypatch.setattr(logo, "figure", keeping)
    return figures


def boxes(axes) -> list[tuple[str, float, float, float]]:
    """Colour, middle, bottom and height of every letter in the stacks and flanks."""
    from matplotlib.colors import to_hex

    glyphs = [p for p in axes.patches if isinstance(p, PathPatch)]
    found = []
    for glyph in glyphs:
        (left, low), (right, high) = glyph.get_path().get_extents().get_points()
        found.append((to_hex(glyph.get_facecolor()), (left + right) / 2, low, high - low))
    return found


def test_every_letter_is_as_tall_as_probable_and_the_likeliest_on_top(drawn, tmp_path):
    probabilities = np.array([[0.4, 0.3, 0.2, 0.1], [0.0, 0.0, 1.0, 0.0]])
    gap = {"left": "A", "right": "TT", "filled": "CG", "probabilities": probabilities, "symbols": "ACGT", "start": 10}
    logo_figure(tmp_path / "x.png", [gap])
    letters = boxes(drawn[0].axes[0])
    flanks = [box for box in letters if box[0] == FLANK]
    assert sorted(round(x) for _, x, _, _ in flanks) == [0, 3, 4]
    first = sorted((box for box in letters if round(box[1]) == 1), key=lambda box: box[2])
    assert [colour.upper() for colour, *_ in first] == [VERMILION, ORANGE, BLUE, GREEN]
    assert [height for *_, height in first] == pytest.approx([0.096, 0.192, 0.288, 0.384])
    assert [low for _, _, low, _ in first] == pytest.approx([0.002, 0.104, 0.306, 0.608])
    assert [height for _, x, _, height in letters if round(x) == 2] == pytest.approx([0.96])


def test_heights_in_bits_are_shares_of_the_information(drawn, tmp_path):
    half, sure, flat = [0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0], [0.25] * 4
    assert stacks(np.array([half, sure, flat]), bits=True).tolist() == [[0.5, 0.5, 0, 0], [0, 0, 0, 2], [0, 0, 0, 0]]
    residues = np.full((1, 20), 0.0)
    residues[0, :2] = 0.5
    assert stacks(residues, bits=True).sum() == pytest.approx(np.log2(20) - 1)
    gap = {"left": "A", "right": "", "filled": "ATC", "probabilities": [half, sure, flat], "symbols": "ACGT"}
    logo_figure(tmp_path / "x.png", [gap], bits=True)
    (axes,) = drawn[0].axes
    assert axes.get_ylabel() == "bits"
    heights = {round(x): height for _, x, _, height in boxes(axes)}
    assert heights == {0: pytest.approx(1.92), 1: pytest.approx(0.48), 2: pytest.approx(1.92)}


def test_filled_letters_stand_below_and_places_are_numbered(gap, drawn, tmp_path):
    logo_figure(tmp_path / "x.png", [gap], "A gap")
    (axes,) = drawn[0].axes
    assert axes.get_title(loc="left") == "A gap"
    below = {round(text.get_position()[0]): text for text in axes.texts if text.get_position()[1] == -0.13}
    letters = gap["left"] + gap["filled"] + gap["right"]
    assert "".join(below[i].get_text() for i in range(len(letters))) == letters
    numbers = [text.get_text() for text in axes.get_xticklabels()]
    assert numbers[:2] == ["1,203,410", "1,203,420"]
    assert axes.get_xticks()[0] == len(gap["left"]) - 7
    met = [text.get_weight() == "bold" for text in axes.texts if text.get_position()[1] == -0.31]
    assert met == [a == b for a, b in zip(gap["filled"], gap["truth"], strict=True)]


def test_rows_hold_no_more_than_seventy_two_letters_and_every_gap_begins_one(gap, drawn, tmp_path):
    gap = gap | {"probabilities": np.eye(4)[["ACGT".index(letter) for letter in gap["filled"]]].tolist()}
    long = gap | {what: gap[what] * 3 for what in ("probabilities", "filled", "truth")} | {"title": "the long one"}
    logo_figure(tmp_path / "x.png", [long, gap | {"title": "the short one"}], "Two gaps")
    widths = [np.diff(axes.get_xlim())[0] for axes in drawn[0].axes]
    assert len(widths) == 3
    assert max(widths) <= LONGEST_ROW + 0.5
    assert [axes.get_title(loc="left") for axes in drawn[0].axes] == ["the long one", "", "the short one"]
    assert sum(len(boxes(axes)) for axes in drawn[0].axes) == 4 * len(gap["filled"]) + 2 * 30


def test_gap_with_and_without_the_truth(gap, drawn, tmp_path):
    logo_figure(tmp_path / "with.png", [gap], title="A gap")
    logo_figure(tmp_path / "without.png", [{key: value for key, value in gap.items() if key != "truth"}])
    (width, height), (same, lower) = (figure.get_size_inches() for figure in drawn)
    assert width == same
    assert height > lower


def test_a_gap_at_the_end_of_a_sequence_has_one_flank(gap, drawn, tmp_path):
    logo_figure(tmp_path / "end.png", [gap | {"right": ""}])
    logo_figure(tmp_path / "start.png", [gap | {"left": "", "start": 1}])
    end, start = (figure.axes[0] for figure in drawn)
    assert [len([box for box in boxes(axes) if box[0] == FLANK]) for axes in (end, start)] == [15, 15]
    assert [text.get_text() for text in start.get_xticklabels()][:2] == ["10", "20"]


def test_same_gap_same_bytes_and_global_state_is_left_alone(gap, tmp_path):
    from matplotlib import pyplot

    before = dict(matplotlib.rcParams)
    for name in ("one.png", "two.png"):
        logo_figure(tmp_path / name, [gap])
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    assert dict(matplotlib.rcParams) == before
    assert pyplot.get_fignums() == []


def test_colours_are_those_of_the_field():
    assert [letter_colours("ACGT")[letter] for letter in "ACGT"] == [GREEN, BLUE, ORANGE, VERMILION]
    residues = letter_colours("ACDEFGHIKLMNPQRSTVWY")
    assert set("ACDEFGHIKLMNPQRSTVWY") == set(residues)
    assert (residues["K"], residues["D"], residues["A"], residues["T"]) == (BLUE, VERMILION, INK, GREEN)


def test_every_gap_shows_only_known_letters_beside_it():
    sequence = "ACGTACGTACGTACGTACGT"
    positions = np.array([0, 1, 5, 6, 7, 9, 19])
    marginals = np.eye(4)[[0, 1, 1, 2, 3, 1, 3]]
    gaps = list(every_gap(sequence, positions, marginals, "ACGT", flank=4))
    assert [(g["left"], g["filled"], g["right"], g["start"]) for g in gaps] == [
        ("", "AC", "GTA", 1), ("GTA", "CGT", "A", 6), ("A", "C", "GTAC", 10), ("TACG", "T", "", 20),
    ]  # fmt: skip
    for g in gaps:
        assert "".join("ACGT"[i] for i in g["probabilities"].argmax(-1)) == g["filled"]
    assert longest_gap(sequence, positions, marginals, "ACGT", flank=4)["start"] == 6


def test_a_page_takes_the_first_gaps_and_says_what_it_leaves_out():
    sequence = "A" * 10 + "C" * 300 + "G" * 10 + "T" * 5 + "A" * 10
    positions = np.r_[10:310, 320:325]
    marginals = np.full((305, 4), 0.25)

    def gaps():
        return every_gap(sequence, positions, marginals, "ACGT", flank=10)

    assert [len(g["filled"]) for g in that_fit(gaps())[0]] == [300, 5]
    assert that_fit(gaps())[1] == 0
    (cut,), left_out = that_fit(gaps(), rows=2)
    assert (len(cut["left"]), len(cut["filled"]), cut["right"]) == (10, 134, "")
    assert cut["probabilities"].shape == (134, 4)
    assert left_out == 305 - 134
    longest = longest_gap(sequence, positions, marginals, "ACGT", flank=10)
    assert (longest["filled"], longest["right"]) == ("C" * 134, "")
