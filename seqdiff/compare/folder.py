"""The folder of a comparison: what is kept, so that what is done is not done again. What is of a system is in files of
its own, so that several machines can share the folder and each train some.

    OUT/NAME/
      comparison.yaml            what was asked, with the version that asked it
      paces/masked.json          how fast a system trains, and so how many steps its minutes are
      baselines.json             what the rivals without training cost
      tokens/masked-1/           a run: system `masked` from seed 1, for the budget of tokens
      tokens/masked-1.yaml       its recipe, to be trained by hand
      tokens/masked-1.log        what its training said
      tokens/masked-1.json       how far it has come: trained, measured, or failed and why
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from seqdiff import __version__
from seqdiff.checkpoint import RunFolder
from seqdiff.compare.pace import Pace
from seqdiff.compare.settings import Comparison
from seqdiff.errors import ConfigError, DataError
from seqdiff.files import replacing
from seqdiff.recipe import Recipe
from seqdiff.streams import seed_of


class Folder:
    """OUT/NAME."""

    def __init__(self, out: Path, comparison: Comparison):
        self.path = out / comparison.name

    def run(self, kind: str, system: str, seed: int) -> RunFolder:
        """The run of a system, for a kind of budget."""
        return RunFolder(self.path / kind / f"{system}-{seed}")

    def write_comparison(self, comparison: Comparison) -> None:
        values = {"written_by": f"seqdiff {__version__}"} | comparison.model_dump(mode="json", by_alias=True)
        with replacing(self.path / "comparison.yaml") as file:
            file.write_text(yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=100), encoding="utf-8")

    def pace(self, recipe: Recipe, device: str, processes: int) -> Pace | None:
        """What was measured of such a training on such a device; None where nothing was."""
        kept = self._read(f"paces/{recipe.name}.json").get(_key(recipe, device, processes))
        return None if kept is None else Pace(**kept)

    def keep_pace(self, recipe: Recipe, device: str, processes: int, pace: Pace) -> None:
        name = f"paces/{recipe.name}.json"
        self._write(name, self._read(name) | {_key(recipe, device, processes): asdict(pace)})

    def baselines(self, asked: dict[str, Any]) -> dict[str, Any] | None:
        """What was kept of the baselines, if the same was asked."""
        kept = self._read("baselines.json")
        return kept.get("answer") if kept.get("asked") == asked else None

    def keep_baselines(self, asked: dict[str, Any], answer: dict[str, Any]) -> None:
        self._write("baselines.json", {"asked": asked, "answer": answer})

    def ending(self, run: RunFolder) -> dict[str, Any]:
        """How far a run has come: `trained`, `measured` part by part, `failed` and why."""
        return self._read(f"{run.path.parent.name}/{run.path.name}.json")

    def keep_ending(self, run: RunFolder, **what: Any) -> None:
        self._write(f"{run.path.parent.name}/{run.path.name}.json", what)

    def check(self, run: RunFolder, recipe: Recipe, data_checksum: str) -> None:
        """Raises ConfigError for a run of another recipe, or on other data."""
        if not run.recipe_file.is_file():
            return
        if differences := run.read_recipe().differences(recipe):
            raise ConfigError(
                f"{run.path} was trained with other settings (its -> these):\n  " + "\n  ".join(differences)
                + f"\nchoose another --out, or remove {run.path}"
            )  # fmt: skip
        if run.data_checksum() not in (None, data_checksum):
            raise ConfigError(
                f"{run.path} was trained on other data or splits: what is held out now may be known to it; choose "
                f"another --out, or remove {run.path}"
            )

    def _read(self, name: str) -> dict[str, Any]:
        path = self.path / name
        if not path.is_file():
            return {}
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DataError(f"{path}: cannot be read: {error}; remove it, and it is made again") from error

    def _write(self, name: str, values: dict[str, Any]) -> None:
        with replacing(self.path / name) as file:
            file.write_text(json.dumps(values) + "\n", encoding="utf-8")


def _key(recipe: Recipe, device: str, processes: int) -> str:
    """What decides how fast a system trains."""
    training = recipe.training
    decides = [
        recipe.data.model_dump_json(), recipe.process.model_dump_json(), recipe.denoiser.model_dump_json(),
        training.batch_size, training.micro_batch_size, training.optimizer, training.precision, training.compile,
        training.activation_checkpointing, device, processes,
    ]  # fmt: skip
    return f"{seed_of(*decides):016x}"
