"""Evaluations of many models, or on many assays, beside one another: one table, a row each, and one figure."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, cycle, takewhile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes

from seqdiff.data.output import Output
from seqdiff.data.source import Source, text_of
from seqdiff.data.table import line_of
from seqdiff.errors import DataError
from seqdiff.report.style import MODEL, RIVAL, Target, figure

MOST_PANELS = 6
"""Numbers that are drawn; the table has all."""
COUNTED = ("mutants",)
"""Numbers that say how much was judged, not how well."""
TITLES = {
    "spearman": "Spearman", "auc": "AUC", "mcc": "MCC", "ndcg": "NDCG@10%", "auroc": "AUROC", "auprc": "AUPRC",
}  # fmt: skip
MARKS = ("D", "s", "^", "v")
"""Of rivals, by name."""


class Number(NamedTuple):
    """A value with the ends of its 95 % interval, where these are known, and what simple rivals come to."""

    value: float | None
    low: float | None = None
    high: float | None = None
    rivals: Mapping[str, float | None] = {}


@dataclass(frozen=True)
class Evaluation:
    """What `seqdiff evaluate -o` wrote, and its `numbers` by name."""

    path: str
    model: str
    recipe: str
    data: str
    numbers: dict[str, Number]

    @classmethod
    def read(cls, path: str | Path) -> "Evaluation":
        """Raises DataError for what is no evaluation, and where no answer is a number."""
        with Source(path) as source:
            text = text_of(b"".join(source.text()))
        try:
            found = json.loads(text)
            numbers = {
                name: number
                for question, answer in found["answers"].items()
                if question in _QUESTIONS
                for name, number in _QUESTIONS[question](answer)
            }
            about = [str(found.get(key, ".")) for key in ("model", "recipe", "data")]
        except json.JSONDecodeError as error:
            raise DataError(f"{path}, line {error.lineno:,}: is no JSON ({error.msg}): is it cut short?") from error
        except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
            raise DataError(f"{path}: is JSON, but no evaluation as seqdiff evaluate -o writes it") from error
        if not numbers:
            raise DataError(f"{path}: asks none of {', '.join(_QUESTIONS)}, whose answers are numbers")
        return cls(str(path), *about, numbers)


def write_metrics(evaluations: Sequence[Evaluation], output: Path | None) -> None:
    """A table, a row an evaluation; a column a number, with the ends of its interval and its rivals if any."""
    columns: dict[str, None] = {}
    rows = []
    for evaluation in evaluations:
        row = {"evaluation": evaluation.path, "model": evaluation.model, "recipe": evaluation.recipe}
        row |= {"data": evaluation.data}
        for name, number in evaluation.numbers.items():
            row[name] = _text(number.value)
            if number.low is not None:
                row |= {f"{name}_low": _text(number.low), f"{name}_high": _text(number.high)}
            row |= {f"{name}_of_{_column(who)}": _text(value) for who, value in number.rivals.items()}
        columns |= dict.fromkeys(row)
        rows.append(row)
    with Output(output) as out:
        out.write(line_of(list(columns)))
        for row in rows:
            out.write(line_of([row.get(column, ".") for column in columns]))


def metrics_figure(target: Target, evaluations: Sequence[Evaluation]) -> None:
    """A line an evaluation and a panel a number, with 95 % intervals; open marks are simple rivals."""
    titles = _titles([evaluation.path for evaluation in evaluations])
    count = Counter(chain.from_iterable(evaluation.numbers for evaluation in evaluations))
    names = [name for name, _ in count.most_common() if name not in COUNTED][:MOST_PANELS]
    found = [number for evaluation in evaluations for number in evaluation.numbers.values()]
    rivals = list(dict.fromkeys(chain.from_iterable(number.rivals for number in found)))
    height = 1.5 + 0.34 * max(4, len(evaluations))
    with figure(target, 2.2 + 2.6 * len(names), height) as drawn:
        panels = drawn.subplots(1, len(names), squeeze=False)[0]
        for panel, name in zip(panels, names, strict=True):
            _dots(panel, [evaluation.numbers.get(name) for evaluation in evaluations], rivals)
            panel.set_xlabel(TITLES.get(name, name.replace("_", " ")))
            panel.set_yticks(range(len(titles)), titles if panel is panels[0] else [])
        if rivals:
            for number, rival in enumerate(rivals):
                panels[0].plot([], [], MARKS[number % len(MARKS)], color=RIVAL, markerfacecolor="white", label=rival)
            drawn.legend(*panels[0].get_legend_handles_labels(), loc="outside upper left", ncols=1 + len(rivals))


def _dots(axes: Axes, numbers: Sequence[Number | None], rivals: Sequence[str]) -> None:
    there = [(place, number) for place, number in enumerate(numbers) if number and number.value is not None]
    values = np.array([number.value for _, number in there])
    ends = [(n.value, n.value) if n.low is None or n.high is None else (n.low, n.high) for _, n in there]
    reach = np.array([(v - low, high - v) for v, (low, high) in zip(values, ends, strict=True)]).reshape(-1, 2).clip(0)
    for mark, rival in zip(cycle(MARKS), rivals):
        theirs = [(place, number.rivals[rival]) for place, number in there if number.rivals.get(rival) is not None]
        places = [place for place, _ in theirs]
        axes.plot([value for _, value in theirs], places, mark, color=RIVAL, markerfacecolor="white", markersize=5)
    axes.errorbar(
        values, [place for place, _ in there], xerr=reach.T, color=MODEL, marker="o", markersize=6, linestyle="none",
        capsize=2.5, elinewidth=1.2, label="model",
    )  # fmt: skip
    axes.set_ylim(len(numbers) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)


def _titles(paths: Sequence[str]) -> list[str]:
    """Paths without what all have in common at either end.

    >>> _titles(["out/BLAT/evaluation.json", "out/GFP/evaluation.json"]), _titles(["out/a.json"])
    (['BLAT', 'GFP'], ['a'])
    """
    parts = [Path(path).with_suffix("").parts for path in paths]
    if len(set(parts)) < 2:
        return [each[-1] for each in parts]
    first, last = _alike(parts), _alike([each[::-1] for each in parts])
    return ["/".join(each[first : len(each) - last]) or "/".join(each[-1:]) for each in parts]


def _alike(parts: Sequence[Sequence[str]]) -> int:
    """How many of the first parts of all are the same."""
    return sum(1 for _ in takewhile(lambda same: len(set(same)) == 1, zip(*parts)))


def _text(value: float | None) -> str:
    return "." if value is None else f"{value:.6g}"


def _column(name: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in name).lower()


def _interval(of: Mapping[str, Any], rivals: Mapping[str, float | None], name: str = "value") -> Number:
    """From a value with an interval, or with a standard error, of which 1.96 make one."""
    value, se = of[name], of.get("se")
    if se is not None:
        return Number(value, value - 1.96 * se, value + 1.96 * se, rivals)
    return Number(value, of.get("low"), of.get("high"), rivals)


def _likelihood(answer: Mapping[str, Any]) -> Iterator[tuple[str, Number]]:
    markov = {"markov": answer["markov"][answer["best_markov"]]["bits"]} if answer["markov"] else {}
    profile = {"profile": answer["profile"]["bits"]} if "profile" in answer else {}
    yield f"bits_per_{answer['unit']}", _interval(answer["model"], markov | profile, "bits")


def _recovery(answer: Mapping[str, Any]) -> Iterator[tuple[str, Number]]:
    for gap in answer["gaps"]:
        rivals = {"markov": gap["markov"]["accuracy"]["value"]}
        yield f"recovery_of_{gap['length']}", _interval(gap["model"]["accuracy"], rivals)


def _calibration(answer: Mapping[str, Any]) -> Iterator[tuple[str, Number]]:
    yield "calibration_error", Number(answer["ece"], rivals={"noise": answer["ece_of_noise"]})


def _variants(answer: Mapping[str, Any]) -> Iterator[tuple[str, Number]]:
    judged = answer["classes"][0]
    for area in ("auroc", "auprc") if judged["judged"] else ():
        yield area, _interval(judged["model"][area], {"markov": judged["markov"][area]["value"]})


def _assay(answer: Mapping[str, Any]) -> Iterator[tuple[str, Number]]:
    judged = answer["classes"][0]
    yield "mutants", Number(judged["mutants"])
    results = judged["results"] if judged["judged"] else {"model": {}}
    others = [who for who in results if who != "model" and not who.startswith("minus ")]
    for name, of in results["model"].items():
        yield name, _interval(of, {who: results[who][name]["value"] for who in others})


def _probe(answer: Mapping[str, Any]) -> Iterator[tuple[str, Number]]:
    results = answer["results"]
    own, *others = (who for who in results if who != "difference")
    for name, of in results[own].items():
        yield f"probe_{name}", _interval(of, {who: results[who][name]["value"] for who in others})


_QUESTIONS = {
    "likelihood": _likelihood,
    "recovery": _recovery,
    "calibration": _calibration,
    "variants": _variants,
    "assay": _assay,
    "probe": _probe,
}
