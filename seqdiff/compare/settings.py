"""What is compared, as one frozen value, read from one complete YAML file."""

import copy
import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
from pydantic import Field, model_validator

from seqdiff import recipe as recipes
from seqdiff import resources
from seqdiff.config import Config
from seqdiff.errors import ConfigError
from seqdiff.recipe import Recipe

KIND = "compare"

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]

OF_THE_BASE = ("data", "process", "denoiser", "training")
"""Parts of the base recipe that `--set` reaches by their own names."""

OF_THE_BUDGET = ("training.steps", "name", "seed", "schema")
"""What a system may not set: the comparison does."""


class System(Config):
    """One row of the table: the base recipe with some settings changed."""

    name: Name
    label: str | None = None
    """What stands in the table; default: the name."""
    set: dict[str, Any] = Field(default_factory=dict)
    """As `--set` has them: `denoiser.causal: true`, or a whole part at once: `process: {kind: masked}`."""

    @property
    def title(self) -> str:
        return self.label or self.name


class Budget(Config):
    """What each system may spend on training. With both, every system is trained twice and the table has two halves."""

    tokens: Annotated[int, Field(ge=1)] | None = None
    """Letters read, in steps of the recipe's batch."""
    minutes: Annotated[float, Field(gt=0)] | None = None
    """Time of computing (`seqdiff.compare.pace`), in as many steps as a short trial says."""

    @model_validator(mode="after")
    def _something(self) -> "Budget":
        if self.tokens is None and self.minutes is None:
            raise ValueError("give tokens, minutes, or both")
        return self

    @property
    def kinds(self) -> tuple[str, ...]:
        """The budgets there are, by name."""
        return tuple(name for name in ("tokens", "minutes") if getattr(self, name) is not None)


class Evaluation(Config):
    """How held-out letters are scored: by each system's own bound, on the same windows for all."""

    letters: Annotated[int, Field(ge=1)] = 100_000
    """Test letters, in whole windows drawn at random; the whole split where it has fewer."""
    strata: Annotated[int, Field(ge=1)] = 4
    replicates: Annotated[int, Field(ge=2)] = 2
    """Passes of a window are strata x replicates, as in `seqdiff evaluate`."""
    order: Annotated[int, Field(ge=0)] = 11
    """Highest order of the Markov chains beside them."""
    as_masked: bool = False
    """Also the bits of each network that fills masks when its guesses are taken for those of masked diffusion: what it
    knows, without what its own process adds for times, scales and copying."""
    seed: Annotated[int, Field(ge=0)] = 0


class Samples(Config):
    """What is drawn from each system, by the sampler of its process."""

    number: Annotated[int, Field(ge=2)] = 64
    length: Annotated[int, Field(ge=1)] | None = None
    """Letters of each; default: the context."""
    word: Annotated[int, Field(ge=1)] = 3
    """Letters of the words that are counted: k of the k-mers."""
    seed: Annotated[int, Field(ge=0)] = 0


class Comparison(Config):
    """Systems on the data of one base recipe.

    The base recipe says how long its own training is; here its steps are what the budget pays for, and what goes by
    steps (warm-up, validation, saving, logging) keeps its share of them.
    """

    kind: Literal["compare"]
    schema_version: Annotated[Literal[1], Field(alias="schema")] = 1
    name: Name
    base: dict[str, Any] | str
    """A whole recipe; or the name of one that ships, or the path of one from the folder of this file."""
    systems: Annotated[list[System], Field(min_length=1)]
    reference: str | None = None
    """The system that differences are taken to; default: the first."""
    budget: Budget
    seeds: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)] = Field(default=[1])
    """Every system is trained from each of them, and its row is their mean."""
    evaluation: Evaluation = Evaluation()
    samples: Samples | None = Samples()
    """None: nothing is drawn."""

    @model_validator(mode="after")
    def _consistent(self) -> "Comparison":
        names = [system.name for system in self.systems]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"two systems are called {twice!r}: rename one")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("seeds: one of them comes twice")
        if self.reference is not None and self.reference not in names:
            raise ValueError(f"reference: there is no system {self.reference!r}; there are {', '.join(names)}")
        for system in self.systems:
            for key in system.set:
                if key in OF_THE_BUDGET:
                    raise ValueError(f"systems: {system.name} sets {key}, which is the comparison's to say")
        return self

    @property
    def to_whom(self) -> str:
        """The name of the system that differences are taken to."""
        return self.reference or self.systems[0].name

    def recipe(self, system: System, seed: int) -> Recipe:
        """The recipe of a system, with the steps of the base. Raises ConfigError for every wrong setting."""
        values, switched = copy.deepcopy(self.base), {}
        for key, value in system.set.items():
            part, _, rest = key.partition(".")
            if rest == "kind" and isinstance(values.get(part), dict):
                switched[part] = dict(values[part])
            _put(values, key, value, f"{self.name}: systems.{system.name}.set")
        values |= {"name": system.name, "seed": seed}
        parsed = recipes.parse(values, f"{self.name}: {system.name}", switched)
        return recipes.anywhere(parsed)

    def chosen(self, only: Sequence[str]) -> list[System]:
        """The systems that are asked for, all where none is. Raises ConfigError for one that there is not."""
        known = {system.name: system for system in self.systems}
        for name in only:
            if name not in known:
                raise ConfigError(f"--only {name}: {self.name} has no such system; it has {', '.join(known)}")
        return [system for name, system in known.items() if not only or name in only]


def names() -> list[str]:
    """The comparisons that come with seqdiff."""
    return sorted(path.stem for path in (resources.folder("configs") / KIND).glob("*.yaml"))


def find(comparison: str) -> Path:
    """The YAML file of a comparison given by name or by path; ConfigError lists what there is."""
    path = Path(comparison)
    if path.suffix in (".yaml", ".yml") or len(path.parts) > 1:
        if not path.is_file():
            raise ConfigError(f"{path}: no such file")
        return path
    shipped = resources.folder("configs") / KIND / f"{comparison}.yaml"
    if not shipped.is_file():
        near = difflib.get_close_matches(comparison, names(), n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names())}"
        raise ConfigError(f"{comparison}: no comparison of this name; {hint} (or give the path of a YAML file)")
    return shipped


def load(comparison: str, settings: Sequence[str] = ()) -> Comparison:
    """A comparison by name or path, with `a.b=c` settings applied: of its own (`budget.minutes=5`), or of its base
    recipe (`data.fasta=FILE`). Raises ConfigError for every wrong setting, of any of its systems as well."""
    path = find(comparison)
    values = recipes.read_values(path)
    if values.get("kind") != KIND:
        raise ConfigError(f"{path}: no comparison (it does not say kind: {KIND})")
    if isinstance(base := values.get("base"), str):
        beside = path.parent / base
        values["base"] = recipes.read_values(beside if beside.is_file() else recipes.find(base))
    for setting in settings:
        ours = setting.partition("=")[0].strip().partition(".")[0] not in OF_THE_BASE
        recipes.apply(values if ours or not isinstance(values.get("base"), dict) else values["base"], setting)
    try:
        loaded = Comparison.model_validate(values)
    except pydantic.ValidationError as error:
        lines = [recipes.explain(wrong, Comparison) for wrong in error.errors()]
        raise ConfigError("\n".join(f"{path}: {line}" for line in lines)) from error
    for system in loaded.systems:
        loaded.recipe(system, loaded.seeds[0])
    return loaded


def _put(values: dict[str, Any], key: str, value: Any, where: str) -> None:
    *path, last = key.split(".")
    place = values
    for part in path:
        place = place.setdefault(part, {})
        if not isinstance(place, dict):
            raise ConfigError(f"{where}: {key}: {part!r} is a single value and has no settings inside")
    place[last] = copy.deepcopy(value)
