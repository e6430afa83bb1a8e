"""What is in a folder that Hugging Face's transformers wrote: config.json, and the weights in one of two formats."""

import json
import pickle
import re
import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from seqdiff.errors import DataError

WEIGHTS = ("model.safetensors", "pytorch_model.bin")
"""In the order in which they are looked for."""


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
        raise DataError(f"{path}: cannot be read as JSON: {error}{_pointer(path)}") from error
    if not isinstance(values, dict):
        kind = "a list" if isinstance(values, list) else "a single value"
        raise DataError(f"{path}: is {kind}, not a mapping of settings")
    return values


def weights_file(folder: Path) -> Path:
    """The file with the weights; DataError lists what is looked for."""
    for name in WEIGHTS:
        if (folder / name).is_file():
            return folder / name
    raise DataError(f"{folder}: holds no weights: neither {' nor '.join(WEIGHTS)}")


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a weights file by name, on the CPU. No code of the file is run, whatever the format.

    Raises DataError: damaged, cut short, or a pickle of something else than tensors.
    """
    return _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickle(path)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
    except (SafetensorError, OSError) as error:
        raise DataError(f"{path}: damaged or cut short: {error}{_pointer(path)}") from error


def _read_pickle(path: Path) -> dict[str, Tensor]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # about the pickle protocol: what matters is said below
            found = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL (\S+)", str(error))
        what = f"{named[1]}" if named else "something"
        raise DataError(
            f"{path}: holds {what} that is no tensor, or is damaged. Reading it could run code of its author, so it is "
            f"not read: ask for the model as model.safetensors{_pointer(path)}"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        first = (str(error) or "it ends too early").splitlines()[0]
        raise DataError(f"{path}: damaged or cut short: {first}") from error
    if not isinstance(found, dict) or not all(isinstance(t, Tensor) for t in found.values()):
        raise DataError(f"{path}: holds no tensors by name, so this is no published model")
    return found


def _pointer(path: Path) -> str:
    """The advice for a file that `git clone` left as a note of where the real one is; else nothing."""
    try:
        with open(path, "rb") as file:
            lfs = file.read(64).startswith(b"version https://git-lfs")
    except OSError:
        return ""
    return " (it is a Git LFS pointer, not the file itself: run `git lfs pull` in its folder)" if lfs else ""
