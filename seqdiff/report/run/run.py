"""What the page of a run is made from."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seqdiff.checkpoint import Provenance
from seqdiff.recipe import Recipe
from seqdiff.report.page import Picture, Table


@dataclass(frozen=True)
class Run:
    """A run directory as it was found, and what was asked about its model."""

    name: str
    """What it is called: its folder, or the name of a model that ships."""
    recipe: Recipe
    rows: Sequence[Mapping[str, Any]] = ()
    """The lines of metrics.jsonl."""
    position: Mapping[str, Any] = field(default_factory=dict)
    """Of its last save: where it was trained, and the memory that it took."""
    provenance: Provenance | None = None
    """None: no model has been saved yet."""
    parameters: int | None = None
    doubts: Sequence[str] = ()
    """Why what is held out may be known to the model."""
    contents: Mapping[str, str] = field(default_factory=dict)
    """What the data hold, for people; nothing where they are not at hand."""
    missing: Sequence[str] = ()
    """What could not be found out, and why: sentences."""
    answers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Summaries of `seqdiff.evaluate` by question."""
    tables: Mapping[str, Table] = field(default_factory=dict)
    """The same numbers as text."""
    pictures: Sequence[Picture] = ()
    """Of a model of images."""
    files: Mapping[str, Path] = field(default_factory=dict)
    """Files whose checksums the page gives, by what they are."""

    @property
    def unit(self) -> str:
        """What a letter is called: base, residue, ..."""
        return self.recipe.data.alphabet.unit

    @property
    def step(self) -> int:
        """The last step that was logged, or that of the model."""
        return max((row["step"] for row in self.rows), default=self.provenance.step if self.provenance else 0)

    @property
    def measure(self) -> str:
        """What the loss is called in the lines of metrics.jsonl."""
        selected = any("nats_per_selected" in row for row in self.rows)
        return "nats_per_selected" if selected else "nats_per_symbol"

    def validations(self) -> list[tuple[int, float, float | None]]:
        """Steps, bits a letter and their standard errors."""
        key = f"valid_{self.measure}"
        found = [(row["step"], row[key], row.get("valid_standard_error")) for row in self.rows if key in row]
        return [(step, nats / math.log(2), None if se is None else se / math.log(2)) for step, nats, se in found]


def plus_minus(value: float, se: float | None, digits: int = 4, sign: bool = False) -> str:
    """A value with its standard error.

    >>> plus_minus(-0.0112, 0.004, 3, sign=True), plus_minus(1.861, None, 3)
    ('−0.011 ± 0.004', '1.861')
    """
    text = f"{value:{'+' if sign else ''}.{digits}f}".replace("-", "−")
    return text if se is None else f"{text} ± {se:.{digits}f}"


def estimate(found: Mapping[str, Any], digits: int = 4) -> str:
    """A value of an evaluation, `{"value": 0.2, "se": 0.01}`, with its standard error."""
    return plus_minus(found["value"], found["se"], digits)


def percent(found: Mapping[str, Any]) -> str:
    """A share of an evaluation with its standard error.

    >>> percent({"value": 0.4149, "se": 0.0178}), percent({"value": 0.5, "se": None})
    ('41.5 ± 1.8 %', '50.0 %')
    """
    return f"{plus_minus(100 * found['value'], None if found['se'] is None else 100 * found['se'], 1)} %"
