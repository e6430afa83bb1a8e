"""The run directory, schema 1: everything a run leaves, written atomically, without pickle.

    runs/NAME/
      recipe.yaml               the resolved recipe and the version that wrote it
      model.safetensors         the moving-average weights that did best on validation, and what they are
      resume/state.safetensors  raw and averaged weights, optimizer state, step: one file, so one whole save
      resume/state-1.safetensors  the save before it, in case the last one is damaged; as many as `training.keep` says
      metrics.jsonl             one object a logged step
      tensorboard/              the same as events of TensorBoard, where the recipe asks for them

Loading a run from a stranger executes no code: the files are YAML, JSON and safetensors.
"""

import json
import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from seqdiff import __version__, lock, recipe, tensorfile
from seqdiff.errors import ConfigError, DataError, TrainingError
from seqdiff.files import replacing
from seqdiff.recipe import KEPT_AT_MOST, Recipe
from seqdiff.resources import shipped_runs

logger = logging.getLogger("seqdiff")

SCHEMA = 1


@dataclass(frozen=True)
class Provenance:
    """What weights are: kept in the header of model.safetensors."""

    alphabet: str
    context: int
    data: str
    """What was learned from, for people."""
    data_checksum: str
    """Empty for imported weights: nobody knows."""
    step: int
    nats_per_symbol: float | None = None
    """The bound on the validation windows; None when the run was stopped before its first validation, was trained by
    a process that gives no bound, or was trained elsewhere."""
    standard_error: float | None = None
    start: dict[str, Any] | None = None
    """What the run's first weights were, if not fresh ones: `run`, `checksum` of its model, and its provenance."""
    facts: dict[str, Any] = field(default_factory=dict)
    """What the data say to a user of the model (`seqdiff.modalities.opened.Opened.facts`)."""
    schema: int = SCHEMA
    written_by: str = field(default_factory=lambda: f"seqdiff {__version__}")

    def doubts(self, checksum: str) -> list[str]:
        """Why what is held out from the data of `checksum` may be known to these weights all the same.

        One clause for each training on other data, or on data nobody knows: their own, and that of what they started
        from, and so on.
        """
        found: list[str] = []
        what: Any = asdict(self)
        who = "the model"
        while isinstance(what, dict):
            if not what.get("data_checksum"):
                found.append(f"{who} was imported, and what it was trained on is not known")
            elif what["data_checksum"] != checksum:
                found.append(f"{who} was trained on other data or splits ({what.get('data')})")
            what = what.get("start")
            who = f"it started from {what.get('run')}, which" if isinstance(what, dict) else ""
        return found


class RunFolder:
    """A run directory, for the one process that writes it and for all that read it."""

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self._lock: lock.Lock | None = None
        self._damaged: set[Path] = set()

    @property
    def recipe_file(self) -> Path:
        return self.path / "recipe.yaml"

    @property
    def weights_file(self) -> Path:
        return self.path / "model.safetensors"

    @property
    def state_file(self) -> Path:
        return self.path / "resume" / "state.safetensors"

    @property
    def events(self) -> Path:
        return self.path / "tensorboard"

    @property
    def metrics_file(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def saves(self) -> list[Path]:
        """The saves of the training that are there, the last one first."""
        found = [self._save(number) for number in range(KEPT_AT_MOST)]
        return [file for file in found if file.is_file()]

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for one training. TrainingError if another process does."""
        with lock.held(self.path) as self._lock:
            for folder in (self.path, self.state_file.parent):
                for left in folder.glob(".*.partial"):  # by a run that was killed while it saved
                    left.unlink(missing_ok=True)
            try:
                yield
            finally:
                self._lock = None

    def check_present(self) -> None:
        """DataError where the folder that is held has gone."""
        if self._lock is not None:
            self._lock.check()

    def write_recipe(self, resolved: Recipe, remarks: Iterable[str] = ()) -> None:
        """The recipe with the version that writes it, under comments for people."""
        signed = resolved.model_copy(update={"written_by": f"seqdiff {__version__}"})
        head = "".join(f"# {' '.join(remark.split())}\n" for remark in remarks)
        with replacing(self.recipe_file) as file:
            file.write_text(head + signed.to_yaml(), encoding="utf-8")

    def read_recipe(self) -> Recipe:
        """The recipe of the run; ConfigError when this is no run directory."""
        if not self.recipe_file.is_file():
            raise ConfigError(
                f"{self.path}: no run directory (it has no recipe.yaml); `seqdiff train` makes one, and "
                f"{' and '.join(shipped_runs())} ship with seqdiff"
            )
        try:
            values = yaml.safe_load(self.recipe_file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise ConfigError(f"{self.recipe_file}: cannot be read: {error}") from error
        if not isinstance(values, dict):
            raise ConfigError(f"{self.recipe_file}: damaged: holds no settings")
        return recipe.parse(values, str(self.recipe_file))

    def write_weights(self, weights: Mapping[str, Tensor], provenance: Provenance) -> None:
        metadata = {"seqdiff": json.dumps(asdict(provenance))}
        self.check_present()
        tensorfile.write(self.weights_file, weights, metadata)

    def read_weights(self, denoiser: nn.Module) -> Provenance:
        """Load the weights into `denoiser`. DataError when the file is missing, damaged, or of another network."""
        tensors, metadata = tensorfile.read(self.weights_file)
        if "seqdiff_predictor" in metadata:
            raise ConfigError(
                f"{self.path} was fine-tuned to predict labels and is no model of sequences any more: use it with "
                "seqdiff predict, and give other commands the run that it started from"
            )
        if "seqdiff" not in metadata:
            raise DataError(f"{self.weights_file}: not written by seqdiff (its header says nothing of the run)")
        try:
            values = json.loads(metadata["seqdiff"])
            if values["schema"] > SCHEMA:
                raise DataError(
                    f"{self.weights_file}: schema {values['schema']} is newer than this seqdiff understands; upgrade it"
                )
            provenance = Provenance(**values)
            denoiser.load_state_dict(tensors)
        except (RuntimeError, TypeError, ValueError, KeyError) as error:
            raise DataError(
                f"{self.weights_file}: does not fit the run's recipe.yaml: {str(error).splitlines()[0]}"
            ) from error
        return provenance

    def has_model(self) -> bool:
        """Whether the model is there and whole; what is wrong with one that is damaged is said."""
        if not self.weights_file.is_file():
            return False
        try:
            tensorfile.read(self.weights_file)
        except tensorfile.Damaged as error:
            logger.warning("%s; it is made again of the last save", error)
            return False
        return True

    def data_checksum(self) -> str | None:
        """What the model was trained on, from its header alone; None without a model whose header says it."""
        try:
            with safe_open(self.weights_file, framework="pt") as file:
                return json.loads((file.metadata() or {})["seqdiff"])["data_checksum"]
        except (SafetensorError, OSError, KeyError, TypeError, ValueError):
            return None

    def write_tensors(self, tensors: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
        """Weights of something else than a model of sequences; its header says what."""
        tensorfile.write(self.weights_file, tensors, metadata)

    def read_tensors(self) -> tuple[dict[str, Tensor], dict[str, str]]:
        """The weights and their header, whatever they are of."""
        return tensorfile.read(self.weights_file)

    def write_state(self, tensors: Mapping[str, Tensor], position: Mapping[str, Any], keep: int = 1) -> None:
        """One whole save of a training: tensors and where it stands, in one file. `keep` saves stay, this one included;
        they move up at the moment when the new one is whole on the disk."""
        self.check_present()

        def move_up() -> None:
            for file in self._damaged:
                file.unlink(missing_ok=True)
            self._damaged.clear()
            if not self.state_file.is_file() and self.saves:
                os.replace(self.saves[0], self.state_file)  # which stays until the new one takes its place
            for number, file in reversed(list(enumerate(self.saves, start=1))):
                if number < keep:
                    os.replace(file, self._save(number))
                elif file != self.state_file:
                    file.unlink()

        header = {"seqdiff": json.dumps({"schema": SCHEMA, **position})}
        tensorfile.write(self.state_file, tensors, header, before_naming=move_up)

    def read_state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The last save that is whole; what is wrong with later ones is said. DataError where none is."""
        wrong: list[str] = []
        for file in self.saves or [self.state_file]:
            try:
                tensors, header = tensorfile.read(file)
            except tensorfile.Damaged as error:
                self._damaged.add(file)
                wrong.append(str(error))
                continue
            position = _position(file, header)
            if wrong:
                step = f"{position['step']:,}"
                logger.warning("%s; going on from an earlier save, of step %s", "; ".join(wrong), step)
            return tensors, position
        raise DataError(
            "\n".join(wrong) + f"\nno save of {self.path} is whole, so it cannot be resumed (a new run can start from "
            f"its model: --from {self.path})"
        )

    def position(self) -> dict[str, Any]:
        """Where the last save stands, from its header alone: step, where it was trained, memory. Empty without one."""
        try:
            with safe_open(self.state_file, framework="pt") as file:
                return json.loads((file.metadata() or {})["seqdiff"])
        except (SafetensorError, OSError, KeyError, TypeError, ValueError):
            return {}

    def _save(self, number: int) -> Path:
        """The file of the last save, which is 0, or of the one so many saves before it."""
        return self.state_file.with_name(f"state-{number}.safetensors") if number else self.state_file

    def read_metrics(self) -> list[dict[str, Any]]:
        """The logged lines; a last line cut short by a crash is left out."""
        rows = []
        if self.metrics_file.is_file():
            for line in self.metrics_file.read_bytes().splitlines():
                try:
                    row = json.loads(line)
                except ValueError:
                    continue
                if isinstance(row, dict) and isinstance(row.get("step"), int):
                    rows.append(row)
        return rows


def _position(file: Path, header: Mapping[str, str]) -> dict[str, Any]:
    """Where a training stands, by the header of a save. TrainingError where that is of no use to this seqdiff."""
    try:
        position = json.loads(header["seqdiff"])
        if position["schema"] == SCHEMA and {"step", "best", "data", "nats", "count", "strikes"} <= position.keys():
            return position
    except (KeyError, TypeError, ValueError):
        pass
    raise TrainingError(f"{file}: not a state that this seqdiff can resume; start a new run")
