"""The summary of a comparison as text, Markdown and TSV."""

from collections.abc import Sequence
from typing import Any

from seqdiff.data.table import line_of
from seqdiff.evaluate.answer import Table
from seqdiff.evaluate.statistics import Estimate

TSV = (
    "comparison", "budget", "name", "title", "state", "kind", "bits", "bits_se", "se_monte_carlo", "seeds_sd",
    "difference", "difference_se", "perplexity", "parameters", "steps", "letters", "letters_per_second", "minutes",
    "distance", "distance_se", "calls", "as_masked", "as_masked_se", "why",
)  # fmt: skip
"""Columns of the TSV; bits are of a letter, minutes of computing, calls network passes a sample."""


def tables(summary: dict[str, Any]) -> list[Table]:
    """One for each kind of budget."""
    return [_table(summary, half) for half in summary["halves"]]


def remarks(summary: dict[str, Any]) -> list[str]:
    """What stands below the tables: doubts, and why systems failed."""
    failed = {
        f"{row['title']} failed: {row['why']}": None
        for half in summary["halves"]
        for row in half["rows"]
        if row["state"] == "failed"
    }
    return [*summary["remarks"], *failed]


def markdown(summaries: Sequence[dict[str, Any]]) -> str:
    """All tables, each under its title."""
    parts = []
    for summary in summaries:
        for table in tables(summary):
            lines = [table.columns, ["---", *["---:"] * (len(table.columns) - 1)], *table.rows]
            body = "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
            parts.append(f"{table.title}\n\n{body}")
        if notes := remarks(summary):
            parts.append("\n".join(f"- {note}" for note in notes))
    return "\n\n".join(parts) + "\n"


def tsv(summaries: Sequence[dict[str, Any]]) -> bytes:
    """A line for each row of each table; what is not known is empty."""
    lines = [line_of(TSV)]
    for summary in summaries:
        for half in summary["halves"]:
            for row in half["rows"]:
                values = row | {"comparison": summary["comparison"], "budget": half["budget"], "kind": _kind(row)}
                for name in ("bits", "difference", "distance", "as_masked"):
                    both = row.get(name) or {"value": None, "se": None}
                    values |= {name: both["value"], f"{name}_se": both["se"]}
                lines.append(line_of([_cell(values.get(column)) for column in TSV]))
    return b"".join(lines)


def amount(half: dict[str, Any]) -> str:
    """What each system of a table could spend.

    >>> amount({"budget": "tokens", "amount": 4_000_000}), amount({"budget": "minutes", "amount": 2.5})
    ('4,000,000 letters', '2.5 minutes of computing')
    """
    return f"{half['amount']:,} letters" if half["budget"] == "tokens" else f"{half['amount']:g} minutes of computing"


def _table(summary: dict[str, Any], half: dict[str, Any]) -> Table:
    unit, samples, place = summary["unit"], summary["samples"], summary["place"]
    reference = next(row["title"] for row in half["rows"] if row["name"] == summary["reference"])
    several = f", the mean of {len(summary['seeds'])} seeds" if len(summary["seeds"]) > 1 else ""
    where = f" on {place['device']}" if place else ""
    columns = {
        "": lambda row: row["title"],
        f"bits per {unit}": lambda row: (
            {"failed": "failed", "waiting": "not run"}.get(row["state"]) or _estimate(row.get("bits"))
        ),
        f"minus {reference}": lambda row: _estimate(row.get("difference"), sign=True),
        "how": _kind,
        "as masked": lambda row: _estimate(row.get("as_masked")),
        "parameters": lambda row: _whole(row.get("parameters")),
        "letters": lambda row: _whole(row.get("letters")),
        "letters/s": lambda row: _whole(row.get("letters_per_second")),
        "minutes": lambda row: minutes(row.get("minutes")),
        f"{samples['word']}-mers apart" if samples else "apart": lambda row: _estimate(row.get("distance"), 3),
        "calls": lambda row: "" if row.get("calls") is None else f"{row['calls']:,.1f}",
    }
    if not any(row.get("as_masked") for row in half["rows"]):
        del columns["as masked"]
    if not samples:
        del columns["apart"], columns["calls"]
    shown = [row for row in half["rows"] if samples or row["name"] != "held-out"]
    rows = [tuple(cell(row) for cell in columns.values()) for row in shown]
    title = (
        f"{summary['comparison']}: {amount(half)} of training each{where}{several}; {summary['data']}; held-out bits "
        f"of {summary['scored']:,} {unit}s in {summary['read']}"
    )
    if samples:
        title += f"; {samples['number']} samples"
    return Table(title, tuple(columns), tuple(rows))


def _kind(row: dict[str, Any]) -> str:
    """Whether bits are -log p itself or a bound on it."""
    return "" if "bits" not in row else "exact" if row["exact"] else "at most"


def _estimate(value: dict[str, Any] | None, digits: int = 4, sign: bool = False) -> str:
    return "" if value is None else Estimate(**value).format(digits, sign)


def _whole(value: float | int | None) -> str:
    return "" if value is None else f"{value:,.0f}"


def minutes(value: float | None) -> str:
    """Minutes as people say them.

    >>> minutes(0.1333), minutes(3.456), minutes(32768.2)
    ('0.13', '3.5', '32,768')
    """
    return "" if value is None else f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
