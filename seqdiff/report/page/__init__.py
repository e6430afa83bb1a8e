"""Pages that people look at: plain blocks in, one self-contained HTML file out.

Page of Sections of blocks (`blocks`) -> SVG in the page's colours (`svg`, `theme`) -> page.html, page.css, page.js
"""

from seqdiff.report.page.blocks import Block, Code, Facts, Figure, Page, Picture, Section, Table, Text, Warning
from seqdiff.report.page.render import render, write

__all__ = [
    "Block",
    "Code",
    "Facts",
    "Figure",
    "Page",
    "Picture",
    "Section",
    "Table",
    "Text",
    "Warning",
    "render",
    "write",
]
