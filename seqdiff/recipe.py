"""The whole run as one frozen value, read from one complete YAML file.

`data`, `process` and `denoiser` are the unions of their packages, told apart by `kind`. Every wrong setting
is reported with its place and, where one is near, the setting that was meant.
"""

import difflib
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
import yaml
from pydantic import Field, model_validator

from seqdiff import resources
from seqdiff.config import Config, classes, members
from seqdiff.denoisers import Denoiser, DenoiserConfig
from seqdiff.diffusion.processes import ProcessConfig
from seqdiff.errors import ConfigError
from seqdiff.modalities import ModalityConfig

SCHEMA = 1


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
    log_every: Annotated[int, Field(ge=1)] = 10
    precision: Literal["float32", "bfloat16"] = "float32"
    """`bfloat16` is autocast on GPUs, and on CPUs that have it; logits and loss stay float32."""
    compile: bool = False
    """Train with `torch.compile` of the network, forward and backward; validation, the loss and the optimizer stay as
    they are. On the CPU every network is one graph. On a GPU with mamba-ssm the graph breaks once in each Mamba layer,
    around its scan (`scan.cuda.mix`). The first step waits for the compiler, and on CPUs it brings little."""
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

    schema_version: Annotated[Literal[1], Field(alias="schema")] = SCHEMA
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
        kind, network = self.process.kind, self.denoiser.kind
        if self.process.time == "needed" and not self.denoiser.takes_time:
            setting = "time_conditioning"
            has = setting in type(self.denoiser).model_fields
            raise ValueError(
                f"process {kind!r} must tell the network the time, and this {network!r} takes none: "
                + (f"set denoiser.{setting}=true" if has else f"choose another ({_with_setting(setting)})")
            )
        if self.process.time == "none" and self.denoiser.takes_time:
            raise ValueError(f"process {kind!r} has no time to tell the network: set denoiser.time_conditioning=false")
        if self.denoiser.left_to_right and not self.process.needs_left_to_right:
            raise ValueError(
                f"denoiser.causal: process {kind!r} fills letters given both sides, and this network sees "
                "only those before: set denoiser.causal=false"
            )
        if self.process.needs_left_to_right and not self.denoiser.left_to_right:
            has = "causal" in type(self.denoiser).model_fields
            raise ValueError(
                f"process {kind!r} needs a network that sees the letters before a position alone: "
                + ("set denoiser.causal=true" if has else f"{network!r} cannot be one ({_with_setting('causal')} can)")
            )
        if (blocks := self.process.needs_blocks) != self.denoiser.blocks:
            has = "block_length" in type(self.denoiser).model_fields
            cure = f"set denoiser.block_length={blocks}" if has else "choose a transformer, which can be one"
            raise ValueError(
                f"process {kind!r} has blocks of {blocks} letters, and the network must see them as such: {cure}"
                if blocks
                else f"denoiser.block_length: process {kind!r} has no blocks, and this network sees none after a "
                "letter's own: leave it out"
            )
        if self.process.predicts_mask and not self.denoiser.gives_mask_logit:
            raise ValueError(
                f"process {kind!r} needs a network with a logit for the mask, which this {network!r} has not: it needs "
                "a head of its own (tie_embedding=false)"
            )
        grid = getattr(self.denoiser, "grid", None)
        if grid not in (None, self.data.grid):
            has = "no images" if self.data.grid is None else f"images of {' x '.join(map(str, self.data.grid))}"
            raise ValueError(
                f"denoiser.grid: the network is for images of {' x '.join(map(str, grid))} (rows, columns, channels), "
                f"and the data has {has}"
            )
        if self.data.labels and not self.denoiser.takes_labels:
            raise ValueError(f"data.labels: a {network!r} network takes no labels")
        if self.process.needs_hollow and not self.denoiser.hollow:
            raise ValueError(
                f"process.estimator {self.process.estimator!r} needs a network whose output at a position does not see "
                f"its own letter, which this {self.denoiser.kind!r} is not: set denoiser.kind: hollow-convolution, or "
                "process.estimator: exact-count"
            )
        if self.denoiser.equivariant and not self.data.alphabet.complementary:
            raise ValueError(
                f"denoiser {self.denoiser.kind!r} is equivariant to the reverse complement, "
                f"which {self.data.alphabet.name} has not"
            )
        return self

    @property
    def sees_one_strand(self) -> bool:
        """Whether training shows one strand of a double one to a network that does not treat both alike."""
        if not self.data.alphabet.complementary:
            return False
        return not (self.denoiser.equivariant or self.data.reverse_complement)

    def resolved(self) -> "Recipe":
        """The recipe with what only its data can say filled in."""
        data = self.data.resolved()
        return self.model_copy(update={"data": data, "denoiser": self.denoiser.resolved(data.context)})

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
        """Settings in which two recipes differ, as lines `training.steps: 100 -> 200`."""
        mine, theirs = (_flat(r.model_dump(mode="json", exclude={"written_by", "name"})) for r in (self, other))
        return [
            f"{key}: {mine.get(key, 'absent')} -> {theirs.get(key, 'absent')}"
            for key in dict.fromkeys([*mine, *theirs])
            if mine.get(key, "absent") != theirs.get(key, "absent")
        ]


def _with_setting(name: str) -> str:
    """The networks that have a setting of this name."""
    return ", ".join(kind for kind, cls in members(DenoiserConfig).items() if name in cls.model_fields)


def names(kind: str | None = None) -> list[str]:
    """The recipes that come with seqdiff: those of trainings, or of another kind, which their `kind` says."""
    return sorted(path.stem for path in resources.folder("configs").glob("*.yaml") if _kind_of(path) == kind)


def find(recipe: str, kind: str | None = None) -> Path:
    """The YAML file of a recipe given by name or by path; ConfigError lists what there is of that kind."""
    path = Path(recipe)
    if path.suffix in (".yaml", ".yml") or len(path.parts) > 1:
        if not path.is_file():
            raise ConfigError(f"{path}: no such recipe file")
        return path
    shipped = resources.folder("configs") / f"{recipe}.yaml"
    if not shipped.is_file():
        near = difflib.get_close_matches(recipe, names(kind), n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names(kind))}"
        raise ConfigError(f"{recipe}: no recipe of this name; {hint} (or give the path of a YAML file)")
    return shipped


def load(recipe: str, settings: Sequence[str] = ()) -> Recipe:
    """A recipe by name or path with `a.b=c` settings applied. Raises ConfigError for every wrong setting."""
    path = find(recipe)
    values = read_values(path)
    if (kind := values.get("kind")) is not None:
        raise ConfigError(f"{path}: a recipe of seqdiff {kind}, not of train")
    switched: dict[str, dict[str, Any]] = {}
    for setting in settings:
        part, _, rest = setting.partition("=")[0].strip().partition(".")
        if rest == "kind" and isinstance(values.get(part), dict):
            switched[part] = dict(values[part])
        apply(values, setting)
    loaded = parse(values, str(path), switched)
    # A run must find its data, and what it started from, from any folder.
    for part in ("data", "training"):
        settings = getattr(loaded, part)
        paths = {name: value for name, value in settings if isinstance(value, Path)}
        absolute = {name: path.expanduser().absolute() for name, path in paths.items()}
        loaded = loaded.model_copy(update={part: settings.model_copy(update=absolute)})
    return loaded


def read_values(path: Path) -> dict[str, Any]:
    """The settings in a YAML file; ConfigError where it cannot be read or holds something else."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        place = getattr(error, "problem_mark", None)
        where = f" line {place.line + 1}" if place else ""
        raise ConfigError(f"{path}:{where} is no valid YAML: {getattr(error, 'problem', error)}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: a recipe is a mapping of settings, this is {type(values).__name__}")
    return values


def parse(values: dict[str, Any], source: str, switched: Mapping[str, Mapping[str, Any]] | None = None) -> Recipe:
    """A recipe from plain values; ConfigError names every wrong setting with its `source`.

    `switched` has the parts whose kind alone was changed, as they were before.
    """
    version = values.get("schema", SCHEMA)
    if isinstance(version, int) and version > SCHEMA:
        raise ConfigError(
            f"{source}: schema {version} is newer than this seqdiff understands ({SCHEMA}); upgrade seqdiff"
        )
    try:
        return Recipe.model_validate(values)
    except pydantic.ValidationError as error:
        lines, left = [], {}
        for wrong in error.errors():
            part, name, *deeper = (*_resolve(wrong["loc"])[0], "", "")
            was = (switched or {}).get(part, {})
            if wrong["type"] == "extra_forbidden" and name in was and not any(deeper):
                left.setdefault(part, []).append(name)
            else:
                lines.append(explain(wrong))
        lines += [_explain_left(part, names, values[part], switched[part]["kind"]) for part, names in left.items()]
        raise ConfigError("\n".join(f"{source}: {line}" for line in lines)) from error


def apply(values: dict[str, Any], setting: str) -> None:
    """Put `a.b=c` into settings. Raises ConfigError where it is written otherwise, or there is no such place."""
    key, equals, text = setting.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {setting}: write it as key.key=value, like training.steps=1000")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {setting}: the value is no valid YAML") from error
    *path, last = key.strip().split(".")
    place = values
    for part in path:
        if place.get(part) is None:
            place[part] = {}
        if not isinstance(place[part], dict):
            raise ConfigError(f"--set {setting}: {part!r} is a single value and has no settings inside")
        place = place[part]
    place[last] = value


def explain(error: Any, root: type[pydantic.BaseModel] = Recipe) -> str:
    """One pydantic error in our words: `denoiser.detph: no such setting; did you mean 'depth'?`"""
    location, owner = _resolve(error["loc"], root)
    place = ".".join(map(str, location)) or "recipe"
    match error["type"]:
        case "extra_forbidden":
            known = [f.alias or n for n, f in owner.model_fields.items()] if owner else []
            near = difflib.get_close_matches(str(location[-1]), known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
            return f"{place}: no such setting; {hint}"
        case "missing":
            return f"{place}: missing"
        case "union_tag_invalid":
            return f"{place}.kind: {error['ctx']['tag']!r} is none of {error['ctx']['expected_tags']}"
        case "union_tag_not_found":
            return f"{place}.kind: missing"
        case "value_error":
            return f"{place}: {error['ctx']['error']}"
        case _:
            return f"{place}: {error['msg'][0].lower()}{error['msg'][1:]}, not {error['input']!r}"


def _explain_left(part: str, names: list[str], now: dict[str, Any], old: str) -> str:
    """What another kind left behind, and the form that sets a whole part at once."""
    kept = {"kind": now["kind"]} | {name: value for name, value in now.items() if name not in names}
    form = yaml.safe_dump(kept, default_flow_style=True, sort_keys=False, width=math.inf).strip()
    return (
        f"{part}.kind: {now['kind']!r} has no {', '.join(names)}, which the recipe sets for {old!r}; "
        f"give all settings of another kind at once: --set '{part}={form}'"
    )


def _kind_of(path: Path) -> str | None:
    """The `kind` of a whole recipe, from the line that says it: no YAML is parsed to list names."""
    found = re.search(r"^kind:\s*(\S+)", path.read_text(encoding="utf-8"), re.M)
    return found[1] if found else None


def _resolve(
    location: tuple[int | str, ...], root: type[pydantic.BaseModel] = Recipe
) -> tuple[list[int | str], type[pydantic.BaseModel] | None]:
    """The location without pydantic's union tags, and the class that holds its last part."""
    owner: type[pydantic.BaseModel] | None = root
    cleaned: list[int | str] = []
    members: list[type[pydantic.BaseModel]] = []
    for part in location:
        tagged = [m for m in members if m.model_fields.get("kind") and m.model_fields["kind"].default == part]
        if len(members) > 1 and tagged:
            owner, members = tagged[0], []
            continue
        if members:
            owner = members[0] if len(members) == 1 else None
        cleaned.append(part)
        field = owner.model_fields.get(str(part)) if owner else None
        if owner and field is None:
            field = next((f for f in owner.model_fields.values() if f.alias == part), None)
        members = classes(field.annotation) if field else []
    return cleaned, owner


def _flat(values: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(values, dict):
        return {prefix[:-1]: values}
    return {k: v for key, value in values.items() for k, v in _flat(value, f"{prefix}{key}.").items()}
