"""What do the model's embeddings know of a label? A linear probe, beside k-mer counts."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32
from pydantic import Field

from seqdiff.alphabet import Alphabet
from seqdiff.config import Config
from seqdiff.data.fasta import Record
from seqdiff.data.labelled import Labelled, Task, identity, read_labelled
from seqdiff.data.source import Source
from seqdiff.errors import DataError
from seqdiff.evaluate.agreement import cell, judge, measures
from seqdiff.evaluate.answer import Answer, Progress, Table, silent
from seqdiff.evaluate.kmers import frequencies
from seqdiff.evaluate.linear import Choice, Features, Fold, choose, fitted, folds
from seqdiff.evaluate.tuned import CHOSEN, warn_of_known

EMBEDDING, COUNTS = "embeddings", "k-mers"


@runtime_checkable
class Embedding(Protocol):
    """What the probe needs of a model."""

    alphabet: Alphabet

    def embed_records(self, records: Any, *, progress: Any = None) -> Any: ...


class Probe(Config):
    """Accuracy, MCC, F1 and AUROC, or correlations, of a linear model on frozen mean embeddings, on the test rows.

    Logistic or ridge regression on standardised features (`seqdiff.evaluate.linear`). Its penalty is chosen by
    cross-validation of the training rows, or on the development rows if there are any; then it is fitted on all
    training rows. The rival is the same on frequencies of k-mers (of both strands), k chosen like the penalty. Nothing
    is chosen on the test rows. Rows of one sequence (DNA: or its reverse complement) share a fold and are drawn
    together for the intervals.
    """

    question: Literal["probe"] = "probe"
    train: Path
    """Rows to learn from: a table with a column of sequences and one of labels."""
    test: Path
    dev: Path | None = None
    """Rows to choose penalty and k on, in place of cross-validation."""
    sequence_column: str = "sequence"
    label_column: str = "label"
    task: Literal["classification", "regression"] | None = None
    """None: words and up to 20 different whole numbers are classes, other numbers a quantity."""
    folds: int = Field(5, ge=2)
    kmers: tuple[int, ...] | None = None
    """The k to choose from; None: 2 to 6 for DNA, 1 to 3 for proteins, and for text those of at most 65,536 kinds."""
    resamples: int = Field(1000, ge=100)
    seed: int = 0

    def check(self) -> None:
        """Raises DataError for a file that is not there."""
        for path in (self.train, self.test, self.dev):
            if path is not None and str(path) != "-":
                with Source(path):
                    pass

    def ask(self, model: Embedding, data: object = None, progress: Progress = silent) -> Answer:
        """Raises DataError, with the line: an unknown column, an empty cell, a foreign letter, one class alone, a label
        that is not in the training rows. `data` is not needed."""
        alphabet = model.alphabet
        parts = {"train": self._read(self.train, alphabet), "test": self._read(self.test, alphabet)}
        if self.dev:
            parts["dev"] = self._read(self.dev, alphabet)
        task = self.task or parts["train"].task()
        classes = parts["train"].classes() if task == "classification" else ()
        targets = {
            name: rows.indices(classes) if task == "classification" else rows.numbers() for name, rows in parts.items()
        }
        if task == "regression" and len(set(targets["train"].tolist())) < 2:
            raise DataError(f"{parts['train'].name}: every label is the same: there is nothing to learn")
        groups = {name: [identity(text, alphabet) for text in rows.sequences] for name, rows in parts.items()}
        shared = {name: warn_of_known(parts[name], parts["train"], alphabet) for name in parts if name != "train"}
        if "dev" in parts:
            shared["test in dev"] = warn_of_known(parts["test"], parts["dev"], alphabet, CHOSEN)
        vectors = _embeddings(model, parts, progress)

        # What is chosen and fitted sees training (and development) rows alone.
        target = targets["train"]
        kinds = target if task == "classification" else np.zeros(len(target), np.int64)
        stacked = [name for name in ("train", "dev") if name in parts]
        judged = np.concatenate([targets[name] for name in stacked])
        splits = (
            [Fold(np.arange(len(target)), np.arange(len(target), len(judged)))]
            if self.dev
            else self._folds(groups["train"], kinds, parts["train"], classes)
        )
        known = np.concatenate([vectors[name] for name in stacked])
        choice = choose(known, judged, splits, task)
        progress(0.75)
        texts = [text for name in stacked for text in parts[name].sequences]
        k, counts, count_choice = self._best_k(texts, judged, splits, task, alphabet)
        progress(0.95)
        train = np.arange(len(target))
        predicted = {
            EMBEDDING: fitted(known[train], target, choice.strength, task)(vectors["test"]),
            COUNTS: fitted(counts[train], target, count_choice.strength, task)(
                frequencies(parts["test"].sequences, alphabet, k)
            ),
        }
        summary = {
            "question": self.question,
            "settings": self.model_dump(mode="json"),
            "task": task,
            "classes": {label: int((target == i).sum()) for i, label in enumerate(classes)} or None,
            "rows": {name: len(rows) for name, rows in parts.items()},
            "shared": shared,
            "width": int(known.shape[1]),
            "chosen": {
                EMBEDDING: choice._asdict(), COUNTS: {"k": k, **count_choice._asdict()},
                "on": "development rows" if self.dev else f"{len(splits)} folds of the training rows",
            },
            "results": judge(
                targets["test"], predicted, groups["test"], task, resamples=self.resamples, seed=self.seed
            ),
        }  # fmt: skip
        progress(1.0)
        return Answer(self.question, summary, _table(summary))

    def _read(self, path: Path, alphabet: Alphabet) -> Labelled:
        return read_labelled(path, alphabet, sequence=self.sequence_column, label=self.label_column)

    def _folds(self, groups: Sequence[bytes], kinds: np.ndarray, rows: Labelled, classes: Sequence[str]) -> list[Fold]:
        """As many as asked for, or as the rarest class has sequences. Raises DataError where that is one."""
        distinct = [
            len({group for group, kind in zip(groups, kinds, strict=True) if kind == each}) for each in set(kinds)
        ]
        count = min(self.folds, *distinct) if len(distinct) > 1 else min(self.folds, distinct[0])
        if count < 2:
            rare = f"label {classes[int(np.argmin(np.bincount(kinds)))]!r}" if classes else "file"
            raise DataError(
                f"{rows.name}: its {rare} has a single sequence, too few to choose a penalty by cross-validation: "
                "give more rows, or --dev"
            )
        return folds(groups, kinds, count, self.seed)

    def _best_k(
        self, texts: Sequence[bytes], target: np.ndarray, splits: Sequence[Fold], task: Task, alphabet: Alphabet
    ) -> tuple[int, Features, Choice]:
        best: tuple[int, Features, Choice] | None = None
        for k in self.kmers or _lengths(alphabet):
            features = frequencies(texts, alphabet, k)
            choice = choose(features, target, splits, task)
            if best is None or choice.loss < best[2].loss:
                best = k, features, choice
        assert best is not None
        return best


def _lengths(alphabet: Alphabet) -> tuple[int, ...]:
    """The k of k-mers that are tried."""
    if alphabet.size == 4:
        return (2, 3, 4, 5, 6)
    return (1, *(k for k in (2, 3) if alphabet.size**k <= 1 << 16))


def _embeddings(
    model: Embedding, parts: dict[str, Labelled], progress: Progress
) -> dict[str, Float32[np.ndarray, "N D"]]:
    """The mean embedding of every row. Raises DataError, with the line, for a row without a known letter."""
    total, done, found = sum(len(text) for rows in parts.values() for text in rows.sequences), 0, {}

    def more(letters: int) -> None:
        nonlocal done
        done += letters
        progress(0.65 * done / total)

    for name, rows in parts.items():
        records: list[Record] = rows.records()
        found[name] = np.stack([row.vector for row in model.embed_records(records, progress=more)])
        if (unknown := np.isnan(found[name]).any(1)).any():
            line = rows.lines[int(unknown.argmax())]
            raise DataError(f"{rows.name}, line {line:,}: no letter of the sequence is known: leave the row out")
    return found


def _table(summary: dict[str, Any]) -> Table:
    names = measures(summary["task"])
    rows = []
    for who, found in summary["results"].items():
        sign = "+" if who == "difference" else ""
        rows.append((who, *(cell(found[name], sign) for name in names)))
    chosen = summary["chosen"]
    title = (
        f"A linear {summary['task']} of frozen embeddings ({summary['width']} numbers) beside one of counts of "
        f"{chosen[COUNTS]['k']}-mers, on {summary['rows']['test']:,} test rows [95 % interval]; learned from "
        f"{summary['rows']['train']:,}, penalty and k chosen on {chosen['on']}"
    )
    if summary["shared"].get("test"):
        title += f"; {summary['shared']['test']:,} test sequences are training sequences as well"
    columns = tuple({"mcc": "MCC", "f1": "F1", "auroc": "AUROC"}.get(name, name) for name in names)
    return Table(title, ("", *columns), tuple(rows))
