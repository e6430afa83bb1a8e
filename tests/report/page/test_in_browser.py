"""Pages as people meet them: on a phone, in the dark, by the keyboard, on paper. Needs Chromium."""

import pytest
from browser import PROGRAM, Browser

from seqdiff.report.page import Page, Section, Table, write

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="needs chromium")


@pytest.fixture(scope="module")
def file(page, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "page.html"
    write(path, page)
    return path


@pytest.fixture(scope="module")
def browser():
    with Browser() as found:
        yield found


@pytest.mark.parametrize("width", [360, 390, 768, 1280])
def test_no_screen_scrolls_sideways(browser, file, width):
    browser.open(file, width)
    browser.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert browser.evaluate("innerWidth") == width
    assert browser.evaluate("document.documentElement.scrollWidth") == width
    wide = "[...document.querySelectorAll('main *')].filter((one) => !one.closest('.scroll') && "
    assert browser.evaluate(f"{wide} one.getBoundingClientRect().right > innerWidth).length") == 0


def test_nothing_is_fetched_and_the_console_is_silent(browser, file):
    browser.requests.clear()
    browser.open(file)
    assert [url for url in browser.requests if not url.startswith("data:")] == [file.as_uri()]
    assert browser.said == browser.thrown == []


def test_the_theme_follows_the_system_and_the_button(browser, file):
    def ground() -> str:
        return browser.evaluate("getComputedStyle(document.body).backgroundColor")

    def lines() -> str:
        return browser.evaluate("getComputedStyle(document.querySelector('svg text')).fill")

    browser.open(file, dark=True)
    dark = ground(), lines()
    assert browser.evaluate("document.getElementById('theme').textContent") == "Light theme"
    browser.evaluate("document.getElementById('theme').click()")
    light = ground(), lines()
    assert dark == ("rgb(15, 20, 25)", "rgb(230, 237, 243)")
    assert light == ("rgb(255, 255, 255)", "rgb(31, 35, 40)")
    browser.open(file)
    assert (ground(), lines()) == light


def test_text_stands_out_in_both_themes(browser, file):
    """A contrast of 4.5 at least, of everything that is read (WCAG 2.2, 1.4.3)."""
    contrast = """(() => {
      const light = (name) => { const probe = document.createElement('i'); probe.style.color = `var(--${name})`;
        document.body.append(probe); const found = getComputedStyle(probe).color.match(/\\d+/g).map(Number);
        probe.remove();
        const [r, g, b] = found.map((c) => (c /= 255) <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4);
        return .2126 * r + .7152 * g + .0722 * b; };
      const ratio = (a, b) => (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
      return Math.min(...['ink', 'grey', 'blue'].map((name) => ratio(light(name), light('paper'))),
        ratio(light('ink'), light('gap')), ratio(light('ink'), light('flank')));
    })()"""
    for dark in (False, True):
        browser.open(file, dark=dark)
        assert browser.evaluate(contrast) >= 4.5


def test_the_keyboard_reaches_everything_in_its_order(browser, file):
    browser.open(file)
    seen = []
    for _ in range(60):
        browser.press("Tab")
        name = browser.evaluate("(() => { const one = document.activeElement; return one === document.body ? '' : "
                                "one.id || one.textContent.trim().slice(0, 20) || one.className; })()")  # fmt: skip
        if not name:
            break
        seen.append(name)
        shown = browser.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert shown == "solid", f"{name}: the focus is not seen"
    assert seen[:4] == ["To the content", "theme", "First", "Pictures"]
    may = "[...document.querySelectorAll('a, button, summary, [tabindex=\"0\"]')]"
    assert len(seen) == browser.evaluate(f"{may}.filter((one) => one.checkVisibility()).length")
    assert "The numbers" in seen


def test_the_skip_link_leads_to_the_content(browser, file):
    browser.open(file)
    browser.press("Tab")
    assert browser.evaluate("document.activeElement.getBoundingClientRect().left") == 0
    browser.press("Enter")
    assert browser.evaluate("document.activeElement.id") == "main"


def test_tables_are_sorted_by_number_and_by_name(browser, file):
    browser.open(file)
    rows = (
        "[...document.querySelector('table.sortable').tBodies[0].rows].map((row) => row.cells[0].textContent).join('')"
    )
    click = "document.querySelectorAll('table.sortable th button')[{}].click()"
    assert browser.evaluate(rows) == "abc"
    browser.evaluate(click.format(1))
    assert browser.evaluate(rows) == "cab"
    browser.evaluate(click.format(1))
    assert browser.evaluate(rows) == "bac"
    browser.evaluate(click.format(0))
    assert browser.evaluate(rows) == "abc"
    assert browser.evaluate("document.querySelectorAll('[aria-sort]').length") == 1


def test_names_with_numbers_are_sorted_by_these(browser, tmp_path):
    rows = [("20:10,001", "x"), ("20:997", "1.5"), ("3:5", "−2 ± 0.1"), ("X:1", ""), ("20:9,970", "12 %")]
    table = Table("Places", ("place", "score"), tuple(rows), sortable=True)
    write(tmp_path / "page.html", Page("a", "b", (Section("c", (table,)),)))
    browser.open(tmp_path / "page.html")
    order = "[...document.querySelectorAll('tbody tr')].map((row) => row.cells[0].textContent).join(' ')"
    browser.evaluate("document.querySelectorAll('th button')[0].click()")
    assert browser.evaluate(order) == "3:5 20:997 20:9,970 20:10,001 X:1"
    browser.evaluate("document.querySelectorAll('th button')[1].click()")
    assert browser.evaluate(order) == "3:5 20:997 20:9,970 20:10,001 X:1"


def test_what_goes_on_beyond_its_box_is_seen_to(browser, file):
    faded = "document.querySelectorAll('main .more').length"
    settled = "new Promise((done) => requestAnimationFrame(() => setTimeout(done, 50)))"
    browser.open(file, 360)
    browser.call("Runtime.evaluate", expression=settled, awaitPromise=True)
    assert browser.evaluate(faded) > 0
    browser.evaluate("document.querySelectorAll('.scroll').forEach((box) => { box.scrollLeft = 1e6; })")
    browser.call("Runtime.evaluate", expression=settled, awaitPromise=True)
    assert browser.evaluate(faded) == 0
    widest = "Math.max(...[...document.querySelectorAll('caption span')].map((one) => one.offsetWidth))"
    assert browser.evaluate(widest) <= 360


def test_what_is_folded_is_opened_for_the_printer(browser, file):
    browser.open(file)
    browser.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert browser.evaluate("document.querySelectorAll('details:not([open])').length") == 0
    browser.evaluate("dispatchEvent(new Event('afterprint'))")
    assert browser.evaluate("document.querySelectorAll('details[open]').length") == 0
