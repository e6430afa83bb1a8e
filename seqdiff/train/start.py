"""Where a network starts when not from fresh weights: the model of another run, which is fine-tuning.

`training.start` is a setting of the recipe and no flag of one call, so that a run's recipe.yaml says all of how the run
came to be. It is not --resume: a new run with a recipe, optimizer, data order and step count of its own takes the
*model* of another (model.safetensors, the averaged weights), once, at its step 0. From then on everything is in its own
saves: it resumes to the last bit also when the other run is gone. What the weights were is kept in the header of
its model, with what *they* started from, and so on.
"""

from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from seqdiff.checkpoint import RunFolder
from seqdiff.errors import ConfigError
from seqdiff.files import checksum
from seqdiff.recipe import Recipe


@dataclass(frozen=True)
class Start:
    """The weights of another run, and what they are: its folder, a checksum of its file and its provenance."""

    weights: dict[str, Tensor]
    origin: dict[str, Any]


def read(recipe: Recipe) -> Start | None:
    """The weights that `training.start` names, None where it names none.

    Raises ConfigError when that run is none, has no model yet, or is of another alphabet or network; DataError when its
    file is damaged.
    """
    if (path := recipe.training.start) is None:
        return None
    folder = RunFolder(path)
    try:
        theirs = folder.read_recipe()
    except ConfigError as error:
        raise ConfigError(f"training.start: {error}") from error
    if not folder.weights_file.is_file():
        raise ConfigError(f"training.start: {path} holds no model (no {folder.weights_file.name}); has it saved yet?")
    mine, other = recipe.data.alphabet, theirs.data.alphabet
    if mine != other:
        raise ConfigError(f"training.start: {path} reads {other.name}, this recipe {mine.name}")
    if differences := [line for line in theirs.differences(recipe) if _concerns_the_function(line)]:
        raise ConfigError(
            f"training.start: the network of {path} is another one than this recipe's (its -> this one's):\n  "
            + "\n  ".join(differences)
            + f"\ntake its network: with --from {path} and without --set denoiser..., or change these settings"
        )
    network = theirs.network()
    if network.columns is not None and theirs.data.context != recipe.data.context:
        raise ConfigError(
            f"training.start: the network of {path} has weights for {theirs.data.context:,} columns, and the data of "
            f"this recipe have {recipe.data.context:,}"
        )
    provenance = folder.read_weights(network)
    origin = {"run": str(path), "checksum": checksum(folder.weights_file), **asdict(provenance)}
    return Start(_fitted(network.state_dict(), theirs, recipe), origin)


def _fitted(weights: dict[str, Tensor], theirs: Recipe, recipe: Recipe) -> dict[str, Tensor]:
    """The weights for the recipe's network. What a network has besides, schedules that its process learns and vectors
    of classes, starts afresh where the other run has none; schedules also where its process is another.

    Raises ConfigError for weights that have no place, or others that are missing.
    """
    fresh = recipe.network().state_dict()
    if theirs.process.kind != recipe.process.kind:
        weights = {name: weight for name, weight in weights.items() if not name.startswith("learned.")}
    besides = {name: weight for name, weight in fresh.items() if name.startswith(("learned.", "label_embedding."))}
    fitted = besides | weights
    unfit = [name for name in fresh | fitted if name not in fresh or name not in fitted
             or fresh[name].shape != fitted[name].shape]  # fmt: skip
    if unfit:
        raise ConfigError(
            f"training.start: the network of {recipe.training.start} has other weights than this recipe's "
            f"({', '.join(sorted(unfit))}), since its process ({theirs.process.kind}) or its classes "
            f"({len(theirs.data.labels)}) are others than here ({recipe.process.kind}, {len(recipe.data.labels)})"
        )
    return fitted


def _concerns_the_function(difference: str) -> bool:
    """Whether a difference of two recipes is one of what the network computes; dropout is one of training alone."""
    return difference.startswith("denoiser.") and not difference.startswith("denoiser.dropout:")
