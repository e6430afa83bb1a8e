"""Tables from a summary whose numbers are given."""

import csv
import io

import pytest

from seqdiff.compare import table


def system(name, **values):
    return {"name": name, "title": name.upper(), "state": "measured", "exact": False} | values


@pytest.fixture
def summary():
    spent = {"parameters": 1000, "steps": 4, "letters": 4096, "letters_per_second": 512.4, "minutes": 0.1333}
    rows = [
        system("a", bits={"value": 1.9, "se": 0.01}, perplexity=2**1.9, calls=31.5, se_monte_carlo=0.001,
               distance={"value": 0.05, "se": 0.004}, **spent),
        system("b", bits={"value": 1.8, "se": None}, difference={"value": -0.1, "se": 0.002}, exact=True,
               perplexity=2**1.8, distance={"value": 0.06, "se": None}, calls=64.0, **spent),
        system("c", state="failed", why="it | diverged", **spent),
        system("d", state="waiting"),
        system("markov-0", bits={"value": 2.0, "se": 0.0}, difference={"value": 0.1, "se": 0.01}, exact=True),
        system("held-out", distance={"value": 0.01, "se": 0.001}),
    ]  # fmt: skip
    return {
        "comparison": "small", "data": "a genome", "read": "2 test windows of 8", "scored": 16, "unit": "base",
        "reference": "a", "seeds": [1], "samples": {"number": 64, "word": 3}, "remarks": ["c is larger"],
        "place": {"device": "cpu", "threads": 1, "processes": 1},
        "halves": [{"budget": "tokens", "amount": 4096, "rows": rows}],
    }  # fmt: skip


def test_text(summary):
    (found,) = table.tables(summary)
    assert found.columns == (
        "", "bits per base", "minus A", "how", "parameters", "letters", "letters/s", "minutes", "3-mers apart", "calls"
    )  # fmt: skip
    cells = {row[0]: row[1:] for row in found.rows}
    assert cells["A"] == ("1.9000 ± 0.0100", "", "at most", "1,000", "4,096", "512", "0.13", "0.050 ± 0.004", "31.5")
    assert cells["B"][:3] == ("1.8000", "-0.1000 ± 0.0020", "exact")
    assert cells["C"][:3] == ("failed", "", "")
    assert cells["D"] == ("not run", *[""] * 8)
    assert cells["HELD-OUT"][-2:] == ("0.010 ± 0.001", "")
    assert "4,096 letters of training each on cpu" in found.title
    assert table.remarks(summary) == ["c is larger", "C failed: it | diverged"]


def test_what_networks_know_has_a_column_where_it_was_asked(summary):
    summary["halves"][0]["rows"][1]["as_masked"] = {"value": 1.7, "se": 0.01}
    (found,) = table.tables(summary)
    place = found.columns.index("as masked")
    assert [row[place] for row in found.rows] == ["", "1.7000 ± 0.0100", "", "", "", ""]


def test_without_samples_nothing_is_said_of_them(summary):
    (found,) = table.tables(summary | {"samples": None})
    assert found.columns[-1] == "minutes"
    assert [row[0] for row in found.rows][-1] == "MARKOV-0"
    assert all(len(row) == len(found.columns) for row in found.rows)


def test_tsv(summary):
    lines = list(csv.DictReader(io.StringIO(table.tsv([summary, summary]).decode()), delimiter="\t"))
    assert len(lines) == 12
    assert lines[1] | {"why": ""} == dict.fromkeys(table.TSV, "") | {
        "comparison": "small", "budget": "tokens", "name": "b", "title": "B", "state": "measured", "kind": "exact",
        "bits": "1.8", "difference": "-0.1", "difference_se": "0.002", "perplexity": "3.4822", "parameters": "1000",
        "steps": "4", "letters": "4096", "letters_per_second": "512.4", "minutes": "0.1333", "distance": "0.06",
        "calls": "64",
    }  # fmt: skip
    assert lines[2]["why"] == "it | diverged"


def test_markdown(summary):
    text = table.markdown([summary])
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len(lines) == 8
    assert {line.count(" | ") for line in lines} == {9}
    assert "- C failed: it | diverged" in text
