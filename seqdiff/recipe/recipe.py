"""What a run is: `data`, `process` and `denoiser` are the unions of their packages, told apart by `kind`."""

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, model_validator

from seqdiff.config import Config
from seqdiff.denoisers import Denoiser, DenoiserConfig
from seqdiff.diffusion.processes import ProcessConfig
from seqdiff.errors import ConfigError
from seqdiff.modalities import ModalityConfig
from seqdiff.recipe.fit import check

SCHEMA = 2
KEPT_AT_MOST = 10
"""Saves of a training."""

KEPT = {"keep", "tensorboard"}
"""Settings of a training that change what it leaves besides its model: a run may be resumed with others."""

MEMORY = {"micro_batch_size", "sharding", "activation_checkpointing"}
"""Settings of a training that change its memory and, but for rounding, no result: a run may be resumed with others."""


class Training(Config):
    """How the network is trained. Sizes are of the global batch, whatever the number of processes."""

    start: Path | None = None
    """A run whose model the network starts from, instead of fresh weights: fine-tuning (`seqdiff.train.start`)."""
    steps: Annotated[int, Field(ge=1)]
    batch_size: Annotated[int, Field(ge=1)]
    """Windows a step; of sequences that differ in length, as many as make so many times `data.context` letters."""
    micro_batch_size: Annotated[int, Field(ge=1)] | None = None
    """The same of a forward pass on one process; gradients are accumulated. None: the process's whole share."""
    optimizer: Literal["adamw", "muon"] = "adamw"
    """`muon` learns the matrices and kernels inside the network with Muon, the rest with AdamW."""
    learning_rate: Annotated[float, Field(gt=0)]
    """Of AdamW, at its highest."""
    matrix_learning_rate: Annotated[float, Field(gt=0)] | None = None
    """Of Muon, at its highest; it rises and falls with the other."""
    final_learning_rate: Annotated[float, Field(ge=0)] = 0.0
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Not applied to norms, biases, embeddings, A_log and D."""
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (0.9, 0.999)
    clip: Annotated[float, Field(gt=0)] | None = 1.0
    """Largest global norm of the gradient."""
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.999
    """Decay of the moving average of the weights, which is what is validated and shipped; 0 is none."""
    validate_every: Annotated[int, Field(ge=1)] = 1000
    validation_windows: Annotated[int, Field(ge=2)] = 256
    save_every: Annotated[int, Field(ge=1)] = 1000
    keep: Annotated[int, Field(ge=1, le=KEPT_AT_MOST)] = 2
    """Saves to resume from: the last, and those before it, which are for when the last one is damaged. Each takes four
    times the network on the disk (AdamW)."""
    log_every: Annotated[int, Field(ge=1)] = 10
    tensorboard: bool = False
    """Write what metrics.jsonl says for TensorBoard as well, into tensorboard/ of the run."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """`bfloat16` is autocast on GPUs, and on CPUs that have it; logits and loss stay float32."""
    compile: bool = False
    """Train with `torch.compile` of the network, forward and backward; validation, the loss and the optimizer stay as
    they are. On the CPU every network is one graph. On a GPU with mamba-ssm the graph breaks once in each Mamba layer,
    around its scan (`scan.cuda.mix`). The first step waits for the compiler, and on CPUs it brings little."""
    sharding: Literal["none", "full"] = "none"
    """`full` keeps of the network, its gradients, averages and moments on each process a part alone, and puts together
    layer by layer where it computes (FSDP2): for networks that do not fit on one GPU. One process shares nothing."""
    activation_checkpointing: bool = False
    """Keep of each layer its input alone, and compute the layer again in the backward pass: less memory for more time,
    the same result."""

    @model_validator(mode="after")
    def _consistent(self) -> "Training":
        if self.warmup_steps > self.steps:
            raise ValueError(
                f"warmup_steps ({self.warmup_steps}) is longer than the run ({self.steps} steps): "
                "set training.warmup_steps as well"
            )
        if self.final_learning_rate > self.learning_rate:
            raise ValueError("final_learning_rate is above learning_rate")
        if (self.optimizer == "muon") != (self.matrix_learning_rate is not None):
            raise ValueError("matrix_learning_rate belongs to optimizer muon, which needs it")
        return self


class Recipe(Config):
    """One run: what is learned from, what is learned, with which network, and how."""

    schema_version: Annotated[Literal[2], Field(alias="schema")] = SCHEMA  # type: ignore[assignment]
    written_by: str = ""
    """The version that wrote a run's recipe.yaml; not part of what a recipe is."""
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    seed: Annotated[int, Field(ge=0)] = 0
    data: ModalityConfig
    process: ProcessConfig
    denoiser: DenoiserConfig
    training: Training

    @model_validator(mode="after")
    def _parts_fit(self) -> "Recipe":
        check(self.data, self.process, self.denoiser)
        return self

    @property
    def sees_one_strand(self) -> bool:
        """Whether training shows one strand of a double one to a network that does not treat both alike."""
        if not self.data.alphabet.complementary:
            return False
        return not (self.denoiser.equivariant or self.data.reverse_complement)  # type: ignore[union-attr]

    def resolved(self) -> "Recipe":
        """The recipe with what only its data can say filled in. Raises ConfigError where the rest does not fit that."""
        data = self.data.resolved()
        denoiser = self.denoiser.resolved(data.context)  # type: ignore[arg-type]
        try:
            check(data, self.process, denoiser)
        except ValueError as error:
            raise ConfigError(str(error)) from error
        return self.model_copy(update={"data": data, "denoiser": denoiser})

    def network(self) -> Denoiser:
        """A freshly initialised network, drawn from torch's global generator."""
        size = self.data.alphabet.size
        network = self.denoiser.build(size, self.data.context)
        return network.attach(
            learned=self.process.learned(size),
            labels=len(self.data.labels),
            mask_logit=self.process.predicts_mask,
        )

    def to_yaml(self) -> str:
        """The complete recipe as YAML, defaults written out."""
        values = self.model_dump(mode="json", by_alias=True)
        return yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=100)

    def differences(self, other: "Recipe") -> list[str]:
        """Settings in which two recipes differ, as lines `training.steps: 100 -> 200`; but for those of how the same
        thing is computed in the memory there is, and of what is left besides it."""
        same: dict[str, Any] = {"written_by": True, "name": True, "training": MEMORY | KEPT}
        mine, theirs = (_flat(r.model_dump(mode="json", exclude=same)) for r in (self, other))
        return [
            f"{key}: {mine.get(key, 'absent')} -> {theirs.get(key, 'absent')}"
            for key in dict.fromkeys([*mine, *theirs])
            if mine.get(key, "absent") != theirs.get(key, "absent")
        ]


def _flat(values: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(values, dict):
        return {prefix[:-1]: values}
    return {k: v for key, value in values.items() for k, v in _flat(value, f"{prefix}{key}.").items()}
