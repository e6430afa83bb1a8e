import re

import pytest
from report.page.pages import keeps_the_contract

from seqdiff.errors import DataError
from seqdiff.report import draw
from seqdiff.report.page import Figure, Page, Section, Table, Text, render, write
from seqdiff.report.page.svg import inline
from seqdiff.report.page.theme import COLOURS
from seqdiff.report.style import Drawing
from seqdiff.report.style import figure as house_figure


@pytest.fixture(scope="module")
def text(page):
    return render(page)


def test_a_page_with_everything_keeps_the_contract(text):
    found = keeps_the_contract(text)
    assert found.words["h2"] == ["First", "Pictures"]
    assert len(found.of("svg")) == 6


def test_the_same_page_has_the_same_bytes(page, text):
    assert render(page) == text


def test_nothing_in_the_texts_is_taken_for_markup(text):
    assert "<h1>A &lt;page&gt;</h1>" in text
    assert "<code>a&lt;b</code>" in text
    assert "x&lt;y" in text
    assert "a: &lt;b&gt;" in text
    hostile = "</style></script><script>alert(1)</script>"
    found = render(
        Page(hostile, hostile, (Section(hostile, (Text(hostile), Table(hostile, (hostile,), ((hostile,),)))),))
    )
    assert "<script>alert" not in found
    keeps_the_contract(found)


def test_signs_that_no_page_can_hold_are_replaced():
    name = "chr\x07\x001\udce9"
    figure = Figure.of(name, name, lambda target: draw_name(target, name))
    found = render(Page(name, name, (Section(name, (Text(name), figure)),)))
    assert not re.search(r"[\x00-\x08\ud800-\udfff]", found)
    assert found.count("chr\ufffd\ufffd1\ufffd") >= 8
    keeps_the_contract(found)


def draw_name(target, name):
    with house_figure(target, 2, 1) as drawn:
        drawn.subplots().set_xlabel(name.replace("\udce9", "\ufffd"))


def test_a_long_name_leaves_room_for_what_stands_beside_it():
    found = render(Page("a", "b", (Section("c", (Table("d", ("e", "f"), (("A" * 10_000, "1"),)),)),)))
    assert "A" * 161 not in found
    assert "AAAA... (10,000 letters)</th>" in found


def test_heads_without_a_word_are_no_heads():
    found = render(Page("a", "b", (Section("c", (Table("d", ("", "e"), (("f", "1"),)),)),)))
    assert "<thead><tr><td></td><th" in found
    keeps_the_contract(found)


def test_figures_follow_the_theme(text):
    pictures = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    for light, _ in COLOURS.values():
        assert not any(light.lower() in picture for picture in pictures), light
    assert all("var(--ink)" in picture for picture in pictures)
    for name in COLOURS:
        assert text.count(f"--{name}:") == 3  # by day, by night, by night where that was chosen


def test_pictures_are_small_and_say_what_they_show(summaries):
    drawing = Drawing()
    draw(drawing, "likelihood", summaries["likelihood"])
    found = str(inline(drawing.svg, "one", "A <title>", "A & description"))
    assert '<title id="one-title">A &lt;title&gt;</title>' in found
    assert "A &amp; description" in found
    assert len(found) < 0.85 * len(drawing.svg)
    assert "metadata" not in found
    assert str(inline(drawing.svg, "two", "A <title>", "A & description")).replace("two-", "one-") == found


def test_columns_of_numbers_stand_right(text):
    assert '<th scope="col" class="number">value</th>' in text
    assert '<th scope="col">note</th>' in text
    assert '<td class="number">−3</td>' in text


def test_checksums_are_no_numbers():
    rows = (("a", "71d1eb", "1.5 ± 0.1", "−3e-05"), ("b", "8b4c74", "12,000", "inf"))
    found = render(Page("a", "b", (Section("c", (Table("d", ("", "sum", "value", "other"), rows),)),)))
    assert '<th scope="col">sum</th>' in found
    assert '<th scope="col" class="number">value</th><th scope="col" class="number">other</th>' in found


def test_it_is_written_whole_or_not_at_all(page, text, tmp_path):
    write(tmp_path / "page.html", page)
    assert (tmp_path / "page.html").read_text() == text
    with pytest.raises(DataError, match="cannot be"):
        write(tmp_path / "page.html" / "inside.html", page)
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def test_the_files_of_the_page_lie_in_the_package():
    from seqdiff.report.page import render as module

    folder = __import__("sys").modules[module.__module__].FOLDER
    assert {"page.html", "page.css", "page.js"} <= {path.name for path in folder.iterdir()}
