"""SVG of matplotlib -> a picture inside a page: small, in the page's colours, with names that no other picture has."""

import re
from xml.etree import ElementTree

from markupsafe import Markup

from seqdiff.report.page.theme import VARIABLES

POINTS = 11.0
"""Of a figure, on a rem of the page: its letters of 10 points are a little smaller than the text."""
LINK = "{http://www.w3.org/1999/xlink}href"
_NUMBER = re.compile(r"-?\d+\.\d+")
_REFERENCE = re.compile(r"url\(#([^)]+)\)")
_COLOUR = re.compile(r"#[0-9a-f]{6}\b")
_CONTROL = re.compile(r"[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML has no way to write (XML 1.0, 2.2), and names of records may hold."""
_PLACES = ("d", "x", "y", "width", "height", "transform", "points", "style", "cx", "cy", "r")


def inline(svg: str, name: str, title: str, description: str) -> Markup:
    """An SVG document as an element of a page.

    Its ids begin with `name`, those that nothing refers to are gone; house colours are the page's variables, so that it
    follows the theme; it knows its `--natural` width, where its letters are as large as the text's; `title` and
    `description` are read out in its place.
    """
    root = ElementTree.fromstring(printable(svg))
    for parent in list(root.iter()):
        for child in list(parent):
            if _tag(child) in ("metadata", "style"):
                parent.remove(child)
    used = {found for element in root.iter() for found in _references(element)}
    for element in root.iter():
        element.tag = _tag(element)
        for key, value in list(element.attrib.items()):
            if key == "id":
                del element.attrib[key]
                if value in used:
                    element.attrib["id"] = f"{name}-{value}"
            elif key == LINK:
                del element.attrib[key]
                element.attrib["href"] = value if value.startswith("data:") else f"#{name}-{value.removeprefix('#')}"
            else:
                element.attrib[key] = _attribute(key, value, name)
        if element.tag != "text" and element.tag != "tspan":
            element.text = (element.text or "").strip() or None
        element.tail = (element.tail or "").strip() or None
    box = root.attrib["viewBox"]
    rem = float(box.split()[2]) / POINTS
    root.attrib = {"viewBox": box, "role": "img", "aria-labelledby": f"{name}-title {name}-description",
                   "style": f"--natural:{rem:.4g}rem"}  # fmt: skip
    for place, (tag, text) in enumerate((("title", title), ("desc", description))):
        element = ElementTree.Element(tag, id=f"{name}-{'title' if tag == 'title' else 'description'}")
        element.text = printable(text)
        root.insert(place, element)
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def printable(text: str) -> str:
    """Text with the sign of a lost letter for what no page can hold.

    >>> printable("chr\\x071")
    'chr\ufffd1'
    """
    return _CONTROL.sub("\ufffd", text)


def _tag(element: ElementTree.Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _references(element: ElementTree.Element) -> list[str]:
    found = [match for value in element.attrib.values() for match in _REFERENCE.findall(value)]
    link = element.attrib.get(LINK, "")
    return [*found, link[1:]] if link.startswith("#") else found


def _attribute(key: str, value: str, name: str) -> str:
    if key in _PLACES:
        value = " ".join(_NUMBER.sub(lambda number: f"{float(number[0]):.5g}", value).split())
    if key == "style":
        value = _COLOUR.sub(lambda colour: VARIABLES.get(colour[0], colour[0]), value)
        value = value.replace("'DejaVu Sans'", "var(--figure)")
    return _REFERENCE.sub(rf"url(#{name}-\1)", value)
