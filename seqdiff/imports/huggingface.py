"""What is in a folder that Hugging Face's transformers wrote: config.json, and the weights in one of two formats."""

import json
from pathlib import Path
from typing import Any

from torch import Tensor

from seqdiff.errors import DataError
from seqdiff.imports import tensors
from seqdiff.imports.tensors import pointer

WEIGHTS = ("model.safetensors", "pytorch_model.bin")
"""In the order in which they are looked for; large models have several files, and an index beside them."""

FORMATS = {"caduceus": "caduceus", "esm": "esm2"}
"""The format that reads a model_type of config.json."""


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object. DataError when the file is missing, or holds something else."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(
            f"{path}: no such file; give the folder of a published model, with its config.json and "
            f"{' or '.join(WEIGHTS)}"
        ) from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(f"{path}: cannot be read as JSON: {error}{pointer(path)}") from error
    if not isinstance(values, dict):
        kind = "a list" if isinstance(values, list) else "a single value"
        raise DataError(f"{path}: is {kind}, not a mapping of settings")
    return values


def read_config(folder: Path) -> tuple[dict[str, Any], Path]:
    """The settings of config.json and where they are. DataError for a file in place of a folder, too."""
    if folder.is_file():
        raise DataError(f"{folder}: is a file; give the folder of the published model: {folder.parent}")
    file = folder / "config.json"
    return read_json(file), file


def weights_files(folder: Path) -> list[Path]:
    """The files with the weights; DataError lists what is looked for, or which one of several is missing."""
    for name in WEIGHTS:
        if (folder / name).is_file():
            return [folder / name]
        index = folder / f"{name}.index.json"
        if index.is_file():
            places = read_json(index).get("weight_map")
            if not isinstance(places, dict) or not places or not all(isinstance(v, str) for v in places.values()):
                raise DataError(f"{index}: does not say in which files the weights are (weight_map)")
            files = [folder / Path(part).name for part in sorted(set(places.values()))]
            if lost := [file.name for file in files if not file.is_file()]:
                raise DataError(f"{folder}: {index.name} names {tensors.some(lost)}, which is not there")
            return files
    raise DataError(f"{folder}: holds no weights: neither {' nor '.join(WEIGHTS)}")


def read_tensors(files: list[Path]) -> dict[str, Tensor]:
    """The tensors of weights files by name, on the CPU. No code of the files is run, whatever the format.

    Raises DataError: damaged, cut short, or a pickle of something else than tensors.
    """
    return {name: tensor for file in files for name, tensor in tensors.by_name(tensors.read(file), file).items()}


def require_kind(config: dict[str, Any], file: Path, kind: str, heads: tuple[str, ...], name: str) -> str:
    """Which of the `heads` the model has; DataError where it is of another `kind`, or has a head without logits."""
    if (found := config.get("model_type")) != kind:
        other = f": try `seqdiff import {FORMATS[found]}`" if found in FORMATS else ""
        raise DataError(f"{file}: model_type is {found!r}, so this is no {name} ({kind!r}){other}")
    named = config.get("architectures") or [heads[0]]
    named = [str(head) for head in (named if isinstance(named, list) else [named])]
    if not (known := [head for head in heads if head in named]):
        raise DataError(f"{file}: a {', '.join(named)}, which gives no logits of letters; import a {heads[0]}")
    return known[0]


def require(values: dict[str, Any], fixed: dict[str, Any], file: Path, place: str = "") -> None:
    """DataError for a setting that is there and has another value than the one that can be imported."""
    for name, needed in fixed.items():
        if (value := values.get(name)) is not None and value != needed:
            raise DataError(f"{file}: {place}{name} is {value!r}; only networks with {needed!r} can be imported")


def size(values: dict[str, Any], name: str, default: int | None, file: Path) -> int:
    """A number from 1 on; DataError for something else, or where it is missing and there is no default."""
    value = values.get(name, default)
    if name not in values and default is None:
        raise DataError(f"{file}: {name} is missing")
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise DataError(f"{file}: {name} is {value!r}; it should be a number from 1 on")
    return value


def flag(values: dict[str, Any], name: str, default: bool, file: Path) -> bool:
    """True or false; DataError for something else."""
    value = values.get(name, default)
    if not isinstance(value, bool):
        raise DataError(f"{file}: {name} is {value!r}; it should be true or false")
    return value
