"""What every page keeps to, read without a browser."""

from html.parser import HTMLParser

VOID = {"meta", "link", "img", "br", "hr", "input"}


class Read(HTMLParser):
    """Elements of a page with their attributes; fails where one is closed that is not open."""

    def __init__(self, text: str):
        super().__init__()
        self.elements: list[tuple[str, dict]] = []
        self.words: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self._open, f"</{tag}> closes nothing"
        assert self._open.pop() == tag

    def handle_data(self, data):
        if self._open and data.strip():
            self.words.setdefault(self._open[-1], []).append(data.strip())

    def of(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.elements if name == tag]


def keeps_the_contract(text: str) -> Read:
    """Well formed; ids unique and all that is referred to there; every section linked; nothing of any network; every
    picture with words in its place; tables with heads."""
    assert text.startswith("<!DOCTYPE html>")
    page = Read(text)
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids)), [one for one in ids if ids.count(one) > 1]
    links = [one["href"] for one in page.of("a") + page.of("use")]
    assert {link.removeprefix("#") for link in links} <= set(ids)
    for _, attributes in page.elements:
        for key, value in attributes.items():
            value = value or ""
            if key in ("src", "href", "xlink:href", "action", "data", "srcset"):
                assert value.startswith(("#", "data:")), (key, value[:80])
            for reference in value.split("url(#")[1:]:
                assert reference.split(")")[0] in ids
        for name in (*(attributes.get("aria-labelledby") or "").split(), attributes.get("aria-controls")):
            assert name is None or name in ids
    assert "@import" not in text
    assert "url(http" not in text
    assert [one["id"] for one in page.of("section")] == [link[1:] for link in links if link in
            {f"#{one['id']}" for one in page.of("section")}]  # fmt: skip
    assert len(page.of("h1")) == len(page.of("main")) == len(page.of("nav")) == 1
    assert len(page.of("title")) == 1 + len(page.of("svg"))
    assert all(one.get("alt") for one in page.of("img"))
    assert all(one.get("role") == "img" and one.get("aria-labelledby") for one in page.of("svg"))
    assert len(page.of("desc")) == len(page.of("svg"))
    assert len(page.of("caption")) == len(page.of("table"))
    assert all(one.get("scope") in ("col", "row") for one in page.of("th"))
    assert page.of("html")[0]["lang"] == "en"
    return page
