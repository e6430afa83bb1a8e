"""How a network is fine-tuned to predict labels, as one frozen value, read from one complete YAML file."""

from collections.abc import Sequence
from typing import Annotated, Literal

import pydantic
import yaml
from pydantic import Field, model_validator

from seqdiff import recipe
from seqdiff.config import Config
from seqdiff.denoisers.readout import Readout
from seqdiff.errors import ConfigError

KIND = "finetune"


class Tuning(Config):
    """How long, how fast, and what is shown."""

    epochs: Annotated[int, Field(ge=1)]
    """How often each row is shown, unless patience ends it earlier."""
    batch_size: Annotated[int, Field(ge=1)]
    """Rows a step."""
    optimizer: Literal["adamw", "muon"] = "adamw"
    """`muon` learns the matrices and kernels inside the network with Muon, the rest with AdamW. A network that was
    trained with Muon has weights several times as large, which AdamW hardly moves."""
    learning_rate: Annotated[float, Field(gt=0)]
    """Of AdamW in the network, at its highest: after the warm-up, before half a cosine down to 0."""
    matrix_learning_rate: Annotated[float, Field(gt=0)] | None = None
    """Of Muon, at its highest; it rises and falls with the other."""
    head_learning_rate: Annotated[float, Field(gt=0)]
    """Of the head, which starts from nothing."""
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of the steps."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    """Not applied to norms, biases, embeddings, A_log and D."""
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (0.9, 0.99)
    clip: Annotated[float, Field(gt=0)] | None = 1.0
    """Largest global norm of the gradient."""
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.99
    """Decay of the moving average of the weights, which is what is validated and kept; 0 is none."""
    freeze: bool = False
    """Leave the network as it is and train the head alone."""
    balance: bool = False
    """Weigh rows so that all classes count alike."""
    reverse_complement: bool = True
    """Show DNA rows on either strand; for a network that gives both the same answer it changes nothing."""
    validation: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Share of the training rows that validates, where no others are given: chosen by sequence, so that copies and
    reverse complements stay together."""
    validations_per_epoch: Annotated[int, Field(ge=1)] = 1
    patience: Annotated[int, Field(ge=1)] | None = None
    """Validations without a smaller loss after which it ends."""

    @model_validator(mode="after")
    def _consistent(self) -> "Tuning":
        if (self.optimizer == "muon") != (self.matrix_learning_rate is not None):
            raise ValueError("matrix_learning_rate belongs to optimizer muon, which needs it")
        if self.optimizer == "muon" and self.freeze:
            raise ValueError("optimizer muon is for the network, which freeze leaves as it is: use adamw")
        return self


class Finetuning(Config):
    """One fine-tuning: what reads the states, and how it is trained."""

    kind: Literal["finetune"]
    schema_version: Annotated[Literal[1], Field(alias="schema")] = 1
    written_by: str = ""
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    seed: Annotated[int, Field(ge=0)] = 0
    readout: Readout
    training: Tuning

    def to_yaml(self) -> str:
        """The complete recipe as YAML, defaults written out."""
        return yaml.safe_dump(self.model_dump(mode="json", by_alias=True), sort_keys=False, allow_unicode=True)


def names() -> list[str]:
    """The recipes for fine-tuning that come with seqdiff."""
    return recipe.names(KIND)


def load(name: str, settings: Sequence[str] = ()) -> Finetuning:
    """A recipe for fine-tuning by name or path with `a.b=c` settings applied. Raises ConfigError."""
    path = recipe.find(name, KIND)
    values = recipe.read_values(path)
    if values.get("kind") != KIND:
        raise ConfigError(f"{path}: no recipe of seqdiff {KIND} (it does not say kind: {KIND})")
    for setting in settings:
        recipe.apply(values, setting)
    try:
        return Finetuning.model_validate(values)
    except pydantic.ValidationError as error:
        lines = [recipe.explain(wrong, Finetuning) for wrong in error.errors()]
        raise ConfigError("\n".join(f"{path}: {line}" for line in lines)) from error
