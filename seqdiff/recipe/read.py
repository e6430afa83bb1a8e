"""Recipes from YAML files: found, changed by settings, checked.

Every wrong setting is reported with its place and, where one is near, the setting that was meant.
"""

import difflib
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pydantic
import yaml

from seqdiff import resources
from seqdiff.config import classes
from seqdiff.errors import ConfigError
from seqdiff.recipe.migrate import migrated
from seqdiff.recipe.recipe import Recipe


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
    values = migrated(values, str(path))  # before settings, which are today's
    switched: dict[str, dict[str, Any]] = {}
    for setting in settings:
        part, _, rest = setting.partition("=")[0].strip().partition(".")
        if rest == "kind" and isinstance(values.get(part), dict):
            switched[part] = dict(values[part])
        apply(values, setting)
    return anywhere(parse(values, str(path), switched))


def anywhere(recipe: Recipe) -> Recipe:
    """The recipe with absolute paths: a run must find its data, and what it started from, from any folder."""
    for part in ("data", "training"):
        settings = getattr(recipe, part)
        paths = {name: value for name, value in settings if isinstance(value, Path)}
        absolute = {name: path.expanduser().absolute() for name, path in paths.items()}
        recipe = recipe.model_copy(update={part: settings.model_copy(update=absolute)})
    return recipe


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
    values = migrated(values, source)
    try:
        return Recipe.model_validate(values)
    except pydantic.ValidationError as error:
        lines: list[str] = []
        left: dict[str, list[str]] = {}
        for wrong in error.errors():
            part, name, *deeper = (*map(str, _resolve(wrong["loc"])[0]), "", "")
            was = (switched or {}).get(part, {})
            if wrong["type"] == "extra_forbidden" and name in was and not any(deeper):
                left.setdefault(part, []).append(name)
            else:
                lines.append(explain(wrong))
        before = switched or {}
        lines += [_explain_left(part, names, values[part], before[part]["kind"]) for part, names in left.items()]
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
