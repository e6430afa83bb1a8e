"""A page as one HTML file that needs nothing else: no network, no fonts, no other file.

Its policy (the meta element) forbids a browser to fetch anything. The same page gives the same bytes.
"""

import base64
import re
from functools import cache
from pathlib import Path

import jinja2
from markupsafe import Markup, escape

from seqdiff import __version__
from seqdiff.data.output import Output
from seqdiff.report.page.blocks import Block, Figure, Page, Picture, Table
from seqdiff.report.page.svg import inline, printable
from seqdiff.report.page.theme import COLOURS
from seqdiff.report.style import brief

FOLDER = Path(__file__).parent
_NUMERIC = re.compile(r"^[+\-−]?(\d[\d,.]*(e[+-]?\d+)?|inf|nan)(?!\w)")


def write(path: str | Path | None, page: Page) -> None:
    """Write the page to a file (`-` or None: stdout), whole or not at all. Raises DataError where it cannot be."""
    text = render(page)
    with Output(path) as out:
        out.write(text.encode())


def render(page: Page) -> str:
    """The page as HTML."""
    names = _names([section.title for section in page.sections])
    text = _template().render(
        page=page,
        sections=list(zip(names, page.sections, strict=True)),
        colours=COLOURS,
        style=Markup((FOLDER / "page.css").read_text(encoding="utf-8")),
        script=Markup((FOLDER / "page.js").read_text(encoding="utf-8")),
        version=__version__,
    )
    return printable(text)


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {
        "prose": _prose,
        "svg": _svg,
        "data": _data,
        "kind": _kind,
        "numeric": _numeric,
        "brief": brief,
    }
    return environment.get_template("page.html")


def _names(titles: list[str]) -> list[str]:
    """An id for each title, no two alike.

    >>> _names(["K-mer spectra", "k-mer spectra", "α"])
    ['k-mer-spectra', 'k-mer-spectra-2', 'section']
    """
    found: list[str] = []
    for title in titles:
        name = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") or "section"
        number, free = 2, name
        while free in found:
            free, number = f"{name}-{number}", number + 1
        found.append(free)
    return found


def _prose(text: str) -> Markup:
    """Text with `code` between backticks set as such, all else as it is.

    >>> str(_prose("`a<b` & c"))
    '<code>a&lt;b</code> &amp; c'
    """
    parts = text.split("`")
    if len(parts) % 2 == 0:  # a backtick without its fellow is a backtick
        return escape(text)
    return Markup("").join(Markup("<code>{}</code>").format(part) if place % 2 else part
                           for place, part in enumerate(parts))  # fmt: skip


def _svg(figure: Figure, name: str) -> Markup:
    return inline(figure.drawing.svg, name, figure.caption, figure.description)


def _data(picture: Picture) -> str:
    return "data:image/png;base64," + base64.b64encode(picture.png).decode()


def _kind(block: Block) -> str:
    return type(block).__name__


def _numeric(table: Table) -> list[bool]:
    """Which columns hold numbers alone; the first never does, it names the rows."""
    columns = [[row[place] for row in table.rows if row[place]] for place in range(len(table.columns))]
    return [place > 0 and all(_NUMERIC.match(cell) for cell in cells) for place, cells in enumerate(columns)]
