"""How well a fine-tuned network predicts the labels of rows that it has not learned from."""

import logging
from collections.abc import Iterable
from typing import Any

import numpy as np
from jaxtyping import Float64

from seqdiff.alphabet import Alphabet
from seqdiff.data.labelled import Labelled, Task, identity
from seqdiff.errors import DataError
from seqdiff.evaluate.agreement import cell, judge, measures
from seqdiff.evaluate.answer import Answer, Table
from seqdiff.predictor import Prediction, Target

log = logging.getLogger("seqdiff")


def judged(
    predictions: Iterable[Prediction],
    rows: Labelled,
    target: Target,
    alphabet: Alphabet,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> Answer:
    """Measures of the predictions for labelled rows, with 95 % intervals (`agreement.judge`).

    Raises DataError, with the line, for a label that the network does not know and a row without a known letter.
    """
    truth = rows.indices(target.classes) if target.task == "classification" else rows.numbers()
    values = np.stack([prediction.values for prediction in predictions])
    if (unknown := np.isnan(values).any(1)).any():
        line = rows.lines[int(unknown.argmax())]
        raise DataError(f"{rows.name}, line {line:,}: no letter of the sequence is known: leave the row out")
    groups = [identity(text, alphabet) for text in rows.sequences]
    results = judge(truth, {"tuned": _shape(values, target.task)}, groups, target.task, resamples=resamples, seed=seed)
    summary: dict[str, Any] = {
        "task": target.task, "classes": list(target.classes) or None, "rows": len(rows), "file": rows.name,
        "results": results["tuned"],
    }  # fmt: skip
    return Answer("tuned", summary, _table(summary))


CHOSEN = "what is measured on them was chosen on them"


def warn_of_known(
    test: Labelled, train: Labelled, alphabet: Alphabet, so: str = "what is measured on them is memory"
) -> int:
    """How many test rows have a sequence of the training rows (or others), said aloud where there are any."""
    known = {identity(text, alphabet) for text in train.sequences}
    shared = sum(identity(text, alphabet) in known for text in test.sequences)
    if shared:
        log.warning(
            "%s: %s of %s sequences are in %s as well (or, of DNA, their reverse complements): %s",
            test.name, f"{shared:,}", f"{len(test):,}", train.name, so,
        )  # fmt: skip
    return shared


def _shape(values: Float64[np.ndarray, "N C"], task: Task) -> np.ndarray:
    return values if task == "classification" else values[:, 0]


def _table(summary: dict[str, Any]) -> Table:
    names = measures(summary["task"])
    columns = tuple({"mcc": "MCC", "f1": "F1", "auroc": "AUROC"}.get(name, name) for name in names)
    title = f"Fine-tuned {summary['task']} on the {summary['rows']:,} rows of {summary['file']} [95 % interval]"
    return Table(title, ("", *columns), (("fine-tuned", *(cell(summary["results"][name]) for name in names)),))
