"""What a page is made of: sections of blocks, plain values without a word of HTML.

    Page(title, about, (Section("Training", (Text(...), Figure(...), Table(...))), ...))

Text is shown as it is: nothing in it is taken for markup. In `Text` and `Warning`, `code` between backticks is set as
such.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from seqdiff.report.style import Drawing, Target


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Warning:
    """A paragraph that must not be missed."""

    text: str


@dataclass(frozen=True)
class Facts:
    """Terms and what they are, in their order: `{"parameters": "415,872"}`."""

    facts: dict[str, str]


@dataclass(frozen=True)
class Table:
    """Text cells under heads; the first column names the rows. Columns of numbers stand right."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    sortable: bool = False
    """Whether a reader may sort it by any column."""
    folded: bool = False
    """Whether it is opened by a click on its caption."""


@dataclass(frozen=True)
class Figure:
    """A drawing with its caption, what it shows in words, and its numbers beneath, folded."""

    caption: str
    description: str
    """For those who do not see it: what is drawn, and what comes out."""
    drawing: Drawing
    numbers: tuple[Table, ...] = ()

    @classmethod
    def of(cls, caption: str, description: str, draw: Callable[[Target], None], *numbers: Table) -> "Figure":
        """What `draw` draws: a `*_figure` with all but its target given."""
        drawing = Drawing()
        draw(drawing)
        return cls(caption, description, drawing, numbers)


@dataclass(frozen=True)
class Picture:
    """Pixels: a PNG, embedded."""

    caption: str
    description: str
    png: bytes = field(repr=False)


@dataclass(frozen=True)
class Code:
    """Text in a fixed pitch, opened by a click on its caption."""

    caption: str
    text: str
    folded: bool = True


Block = Text | Warning | Facts | Table | Figure | Picture | Code


@dataclass(frozen=True)
class Section:
    """Blocks under a head, which the page's contents link to."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Page:
    """A whole page."""

    title: str
    about: str
    """One sentence under the title."""
    sections: tuple[Section, ...]
    summary: dict[str, str] = field(default_factory=dict)
    """The few numbers that most readers come for, shown large: name by value."""
