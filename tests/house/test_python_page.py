"""The page of the Python API is true: its lines run, and say what stands behind them."""

import ast
import re

import pytest
from desk import ROOT, lay

PAGE = (ROOT / "docs" / "python.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.S)


DRAWN = [("[1.23]", "[...]"), ("['ACGT']", "['....']"), ("(1, 112)", "(1, 112)")]


@pytest.mark.parametrize(("said", "shown"), DRAWN)
def test_dots_stand_for_what_is_drawn(said, shown):
    assert matches(said, shown)
    assert not matches("(2, 112)", shown)


def matches(said: str, shown: str) -> bool:
    """Three dots are anything, as in doctests; any other number of them is as many letters."""
    anything = re.search(r"(?<!\.)\.{3}(?!\.)", shown)
    pattern = re.escape(shown).replace(r"\.\.\." if anything else r"\.", ".*" if anything else ".")
    return re.fullmatch(pattern, said) is not None


def test_every_line_of_the_page_runs_and_says_what_it_shows(tmp_path, monkeypatch):
    monkeypatch.chdir(lay(tmp_path))
    names: dict[str, object] = {}
    checked = 0
    for block in BLOCKS:
        lines = block.splitlines()
        for part in ast.parse(block).body:
            code = "\n".join(lines[part.lineno - 1 : part.end_lineno])
            if not isinstance(part, ast.Expr):
                exec(code, names)
                continue
            code, _, shown = code.partition("  # ")
            said = repr(eval(code, names))
            assert matches(re.sub(r"^np\.\w+\((.*)\)$", r"\1", said), shown), (code, said, shown)
            checked += 1
    assert checked > 10
    assert (tmp_path / "filled.fq").read_text().startswith("@read1\n")
