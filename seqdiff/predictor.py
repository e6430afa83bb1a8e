"""`Predictor`: a network that was fine-tuned to tell labels from sequences, ready for use.

Its run directory has recipe.yaml (of the run that it started from), finetune.yaml (how it was tuned), metrics.jsonl,
and model.safetensors with the tuned network, its head, and in the header what it predicts.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from seqdiff import __version__, devices, resources
from seqdiff.alphabet import Alphabet
from seqdiff.checkpoint import RunFolder
from seqdiff.data.fasta import Record
from seqdiff.data.labelled import Task
from seqdiff.denoisers.readout import Pooled, Reader, Readout
from seqdiff.errors import ConfigError, DataError
from seqdiff.inference.embed import padded, views
from seqdiff.recipe import Recipe

HEADER = "seqdiff_predictor"
SCHEMA = 1
LETTERS_AT_ONCE = 65_536


@dataclass(frozen=True)
class Prediction:
    """What is said of a record: probabilities of the classes, or one value; NaN without a known letter."""

    name: str
    length: int
    values: Float64[np.ndarray, "C"]


@dataclass(frozen=True)
class Target:
    """What a network predicts: the header of its weights."""

    task: Task
    classes: tuple[str, ...]
    """Labels in the order of the probabilities; none for a regression."""
    readout: dict[str, Any]
    middle: float = 0.0
    spread: float = 1.0
    """Of a regression: the mean and standard deviation of the training labels."""
    start: dict[str, Any] = field(default_factory=dict)
    """What was tuned: `run` and `checksum` of its model, or that it was a fresh network."""
    learned_from: str = ""
    rows: int = 0
    validation_loss: float | None = None
    schema: int = SCHEMA
    written_by: str = field(default_factory=lambda: f"seqdiff {__version__}")

    @property
    def outputs(self) -> int:
        return len(self.classes) or 1


class _Window(NamedTuple):
    owner: int
    tokens: np.ndarray
    counted: slice


class Predictor:
    """A fine-tuned network with what it predicts; `load` makes one."""

    def __init__(self, reader: Reader, recipe: Recipe, target: Target, device: torch.device):
        self.reader, self.recipe, self.target, self.device = reader.to(device).eval(), recipe, target, device
        self.batch_tokens = 16_384 if device.type == "cpu" else 262_144

    @property
    def alphabet(self) -> Alphabet:
        return self.recipe.data.alphabet

    def predict(
        self, records: Iterable[Record], *, progress: Callable[[int], None] | None = None
    ) -> Iterator[Prediction]:
        """Predictions for records whose letters have been checked, in their order, streamed.

        For DNA the answers for both strands are averaged (before the softmax), unless the network gives both the same.
        A record longer than the context is read in overlapping windows, whose letters are pooled together.
        """
        waiting: list[Record] = []
        letters = 0
        for record in records:
            waiting.append(record)
            letters += len(record.sequence)
            if letters >= LETTERS_AT_ONCE or len(waiting) >= LETTERS_AT_ONCE // 8:
                yield from self._predict(waiting, progress)
                waiting, letters = [], 0
        yield from self._predict(waiting, progress)

    def _predict(self, records: Sequence[Record], progress: Callable[[int], None] | None) -> Iterator[Prediction]:
        if not records:
            return
        tokens = [self.alphabet.encode(record.sequence) for record in records]
        outputs = answers(self.reader, tokens, self.alphabet, self.recipe.data.context, self.device, self.batch_tokens)
        values = predicted(outputs, self.target)
        for record, row, text in zip(records, values, tokens, strict=True):
            known = bool((text < self.alphabet.size).any())
            yield Prediction(record.name, len(record.sequence), row if known else np.full_like(row, np.nan))
        if progress:
            progress(sum(map(len, tokens)))


@torch.no_grad()
def answers(
    reader: Reader,
    tokens: Sequence[np.ndarray],
    alphabet: Alphabet,
    context: int,
    device: torch.device,
    batch_tokens: int,
) -> Tensor:
    """The head's outputs (N, C) for sequences of any length, the mean of both strands where they differ."""
    strands = [list(tokens)]
    if reader.reads_twice:
        strands.append([alphabet.reverse_complement(row) for row in tokens])
    found = []
    for rows in strands:
        windows = [
            _Window(owner, row[view.start : view.end], slice(view.first - view.start, view.last - view.start))
            for owner, row in enumerate(rows)
            for view in views(len(row), context)
            if len(row)
        ]
        pooled = _pooled(reader, sorted(windows, key=lambda w: len(w.tokens)), alphabet, device, batch_tokens)
        if pooled is None:  # nothing but empty sequences
            return torch.zeros(len(tokens), reader.head.out.out_features)
        gathered, owner = pooled
        found.append(reader.head(gathered.combined(owner, len(tokens))))
    return torch.stack(found).mean(0).cpu()


def _pooled(
    reader: Reader, windows: list[_Window], alphabet: Alphabet, device: torch.device, batch_tokens: int
) -> tuple[Pooled, Tensor] | None:
    parts: list[Pooled] = []
    owners: list[int] = []
    while windows:
        rows = max(1, batch_tokens // len(windows[-1].tokens))
        part, windows = windows[-rows:], windows[:-rows]
        x = padded([window.tokens for window in part], alphabet.pad).to(device)
        counted = np.zeros(x.shape, bool)
        for row, window in zip(counted, part, strict=True):
            row[window.counted] = True
        parts.append(reader.gather(x, torch.from_numpy(counted).to(device) & (x < alphabet.size)))
        owners += [window.owner for window in part]
    if not parts:
        return None
    return Pooled(*(torch.cat(each) for each in zip(*parts, strict=True))), torch.tensor(owners, device=device)


def predicted(outputs: Tensor, target: Target) -> Float64[np.ndarray, "N C"]:
    """Outputs of the head as probabilities, or as values in the units of the labels."""
    outputs = outputs.double()
    if target.task == "classification":
        return outputs.softmax(-1).numpy()
    return (outputs * target.spread + target.middle).numpy()


def save(folder: RunFolder, reader: Reader, target: Target) -> None:
    """The weights of a tuned network with what they predict in their header."""
    folder.write_tensors(reader.state_dict(), {HEADER: json.dumps(asdict(target))})


def load(run: str | Path, device: str = "auto") -> Predictor:
    """The predictor in a run directory. Raises ConfigError for a run that was not fine-tuned."""
    folder = RunFolder(resources.run_folder(run))
    recipe = folder.read_recipe()
    tensors, metadata = folder.read_tensors()
    if HEADER not in metadata:
        raise ConfigError(
            f"{run} predicts no labels: it is a model of sequences. Tune it first: seqdiff finetune --model {run} "
            "--train rows.csv --out tuned"
        )
    try:
        values = json.loads(metadata[HEADER])
        if values["schema"] > SCHEMA:
            raise DataError(f"{folder.weights_file}: schema {values['schema']} is newer than this seqdiff; upgrade it")
        target = Target(**values | {"classes": tuple(values["classes"])})
        reader = Reader(
            recipe.network(), Readout(**target.readout), target.outputs, strands=recipe.data.alphabet.complementary
        )
        reader.load_state_dict(tensors)
    except (RuntimeError, TypeError, ValueError, KeyError) as error:
        raise DataError(f"{folder.weights_file}: damaged: {str(error).splitlines()[0]}") from error
    return Predictor(reader, recipe, target, devices.find(device))
