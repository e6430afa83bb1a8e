"""The file of an evaluation: answers to questions about the very weights that it names.

{"model": "runs/demo", "recipe": "demo", "weights": SHA-256, "data": ..., "doubts": [...], "written_by": ...,
 "answers": {QUESTION: summary}, "tables": {QUESTION: {"title": ..., "columns": [...], "rows": [[...]]}}}
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seqdiff import __version__
from seqdiff.data.output import Output
from seqdiff.errors import DataError
from seqdiff.evaluate.answer import Answer, Table
from seqdiff.files import explain


@dataclass(frozen=True)
class Evaluation:
    """What was asked of one model, and what it answered."""

    model: str
    """The run, for people."""
    recipe: str
    weights: str | None
    """SHA-256 of model.safetensors; None in files written before it was noted."""
    data: str | None = None
    doubts: tuple[str, ...] = ()
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Summaries by question, in the order in which they were asked."""
    tables: dict[str, Table] = field(default_factory=dict)

    def add(self, answer: Answer) -> None:
        """One more answer, in place of an earlier one to the same question."""
        self.answers[answer.question] = answer.summary
        self.tables[answer.question] = answer.table()

    def write(self, path: str | Path | None) -> None:
        """As JSON, whole or not at all. Raises DataError where it cannot be written."""
        values: dict[str, Any] = {"model": self.model, "recipe": self.recipe, "weights": self.weights}
        values |= {"data": self.data} if self.data else {}
        values |= {"doubts": list(self.doubts)} if self.doubts else {}
        values |= {"written_by": f"seqdiff {__version__}", "answers": self.answers}
        values |= {"tables": {name: table._asdict() for name, table in self.tables.items()}}
        with Output(path) as out:
            out.write((json.dumps(values, indent=2) + "\n").encode())

    @classmethod
    def read(cls, path: Path) -> "Evaluation":
        """What `seqdiff evaluate -o` wrote. Raises DataError for anything else."""
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            answers = {name: dict(summary) for name, summary in values["answers"].items()}
            tables = {
                name: Table(of["title"], tuple(of["columns"]), tuple(tuple(row) for row in of["rows"]))
                for name, of in values.get("tables", {}).items()
            }
            doubts = tuple(values.get("doubts", ()))
            return cls(values["model"], values["recipe"], values.get("weights"), values.get("data"), doubts, answers,
                       tables)  # fmt: skip
        except OSError as error:
            raise DataError(f"{path}: cannot be read: {explain(error)}") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{path}: not an evaluation that `seqdiff evaluate -o` wrote, or damaged") from error
