"""How a run goes on from its last save: whether it may, from where, and what is another computer's."""

import logging
import math
from typing import Any

import torch

from seqdiff import devices
from seqdiff.checkpoint import RunFolder
from seqdiff.errors import TrainingError
from seqdiff.recipe import Recipe
from seqdiff.train.distributed import Processes
from seqdiff.train.learner import Learner
from seqdiff.train.tally import Tally

logger = logging.getLogger("seqdiff")


def may_start(recipe: Recipe, folder: RunFolder, resume: bool) -> bool:
    """Whether to go on from a save; refuses to overwrite a run, or to resume another recipe."""
    if not folder.saves:
        if folder.weights_file.is_file():
            raise TrainingError(
                f"{folder.path} holds a model, but nothing to resume it from (no {folder.state_file.name}): "
                f"choose another --out, or remove the folder (a new run starts from it with --from {folder.path})"
            )
        return False  # nothing there, or a run that was killed before its first save: nothing to lose
    if not resume:
        raise TrainingError(
            f"{folder.path} holds a run already: go on with --resume, choose another --out, or remove the folder"
        )
    if differences := folder.read_recipe().differences(recipe):
        raise TrainingError(
            f"{folder.path} was trained with another recipe, so it cannot be resumed with this one:\n  "
            + "\n  ".join(differences)
            + f"\ngive the run's own: seqdiff train {folder.recipe_file} --resume --out {folder.path}"
        )
    return True


def changed(folder: RunFolder, recipe: Recipe) -> bool:
    """Whether the run goes on with settings, of those that it may, which its recipe.yaml does not say."""
    one, two = (kept.model_copy(update={"written_by": "", "name": ""}) for kept in (folder.read_recipe(), recipe))
    return one != two


def restore(
    folder: RunFolder, learner: Learner, tally: Tally, checksum: str, group: Processes, where: dict[str, str]
) -> tuple[int, float, dict[str, Any] | None]:
    """Where the run stands: its step, its best validation, and what it started from."""
    tensors, position = folder.read_state()
    if position["data"] != checksum:
        raise TrainingError(
            f"{folder.path}: the training data or their splits have changed since this run began; start a new run"
        )
    try:
        learner.restore(tensors)
    except (KeyError, ValueError, RuntimeError) as error:
        raise TrainingError(f"{folder.state_file}: does not fit the run's recipe.yaml: {error}") from error
    tally.restore(position, group)
    if group.writes:
        logger.info("resuming %s after step %s", folder.path, f"{position['step']:,}")
        if (before := position.get("where", where)) != where:
            logger.warning(
                "%s was trained on %s so far and goes on on %s: the same training, rounded otherwise from here on, and "
                "as fast as that is", folder.path, " in ".join(before.values()), " in ".join(where.values()),
            )  # fmt: skip
    best = math.inf if position["best"] is None else position["best"]
    return position["step"], best, position.get("start")


def where(device: torch.device, dtype: torch.dtype | None) -> dict[str, str]:
    """What a training computes on and in which precision: kept in its saves.

    >>> where(torch.device("cpu"), None)
    {'device': 'the CPU', 'precision': 'float32'}
    """
    return {"device": devices.name(device), "precision": str(dtype or torch.float32).removeprefix("torch.")}
