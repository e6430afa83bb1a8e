"""What was trained on what."""

from collections.abc import Mapping
from typing import Any

from seqdiff.report.page import Block, Facts, Section, Warning
from seqdiff.report.run.run import Run

SHOWN_LABELS = 8


def about(run: Run) -> Section:
    """Data, network, process, training; and what a reader must not miss."""
    blocks: list[Block] = [Warning(sentence) for sentence in [*_state(run), *run.missing]]
    blocks += [
        Warning(f"{doubt[0].upper()}{doubt[1:]}: what is held out here may be known to it, so that the numbers below "
                "may flatter it.") for doubt in run.doubts
    ]  # fmt: skip
    blocks.append(Facts(_data(run) | _network(run) | _training(run)))
    return Section("What was trained on what", tuple(blocks))


def sentence(run: Run) -> str:
    """The run in one sentence."""
    size = "" if run.parameters is None else f" of {run.parameters:,} parameters"
    on = run.provenance.data if run.provenance else run.contents.get("data", "")
    how = f"process `{run.recipe.process.kind}`"
    return f"A `{run.recipe.denoiser.kind}` network{size}, trained by {how}" + (f" on {on}." if on else ".")


def _state(run: Run) -> list[str]:
    steps, found = run.recipe.training.steps, []
    if run.provenance is None:
        at = f"training stands at step {run.step:,} of {steps:,}" if run.rows else "training has logged nothing yet"
        return [f"There is no model yet: {at}. What follows is what is there so far; ask again when it has saved one."]
    if run.rows and run.step < steps:
        found.append(
            f"Training has not come to its end: step {run.step:,} of {steps:,}. It goes on still, or was stopped and "
            f"can be resumed. The model is that of step {run.provenance.step:,}."
        )
    return found


def _data(run: Run) -> dict[str, str]:
    data, found = run.recipe.data, {}
    if run.provenance:
        found["data"] = run.provenance.data
    found |= run.contents
    found["letters"] = f"{data.alphabet.name}, {data.alphabet.size} symbols"
    if data.grid:
        found["images"] = f"{data.grid[0]} × {data.grid[1]} pixels, {data.grid[2]} channel{'s' * (data.grid[2] > 1)}"
    found["context"] = f"{data.context:,} {run.unit}s"
    if labels := data.labels:
        more = f" and {len(labels) - SHOWN_LABELS:,} more" if len(labels) > SHOWN_LABELS else ""
        found["labels"] = ", ".join(labels[:SHOWN_LABELS]) + more
    facts = run.provenance.facts if run.provenance else {}
    if query := facts.get("query"):
        found["query of the family"] = f"{query['name']}, {len(query['sequence']):,} columns"
    if lengths := facts.get("lengths"):
        found["training sequences"] = _lengths(lengths)
    if splits := getattr(data, "splits", None):
        found["splits"] = _settings(splits.model_dump(mode="json"))
    return found


def _lengths(lengths: list[list[int]]) -> str:
    total = sum(count for _, count in lengths)
    seen, middle = 0, lengths[0][0]
    for length, count in lengths:
        seen += count
        if 2 * seen >= total:
            middle = length
            break
    return f"{total:,}, of {lengths[0][0]:,} to {lengths[-1][0]:,} letters, half of them up to {middle:,}"


def _network(run: Run) -> dict[str, str]:
    network, process = run.recipe.denoiser, run.recipe.process
    size = "" if run.parameters is None else f"{run.parameters:,} parameters; "
    found = {"network": f"{network.kind}: {size}{_settings(network.model_dump(mode='json'))}",
             "process": f"{process.kind}{_after(_settings(process.model_dump(mode='json')))}"}  # fmt: skip
    if not process.bounds_likelihood:
        found["loss"] = "of selected letters alone: no bound on the likelihood, so it is not compared with one"
    return found


def _training(run: Run) -> dict[str, str]:
    training = run.recipe.training
    if not run.rows and training.steps == 1 and not training.start:  # what an import writes
        return {}
    weights = f"average of decay {training.ema:g}" if training.ema else "the raw ones"
    found = {
        "steps": f"{training.steps:,}, of {training.batch_size:,} × {run.recipe.data.context:,} {run.unit}s",
        "optimizer": f"{training.optimizer}, learning rate {training.learning_rate:g}, {training.precision}",
        "weights": f"{weights}, of the best validation" + (f": step {run.provenance.step:,}" if run.provenance else ""),
    }
    start = run.provenance.start if run.provenance else None
    if start:
        found["started from"] = f"{start.get('run')}, trained on {start.get('data')}"
    return found


def _settings(values: Mapping[str, Any]) -> str:
    """Settings that say something, in a line."""
    said = {key: value for key, value in values.items() if key != "kind" and value not in (None, False, [], {}, "")}
    return ", ".join(f"{key.replace('_', ' ')} {_value(value)}" for key, value in said.items())


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "on"
    if isinstance(value, list | tuple):
        some = ", ".join(str(one) for one in value[:4])
        return f"[{some}{', ...' if len(value) > 4 else ''}]"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _after(text: str) -> str:
    return f": {text}" if text else ""
