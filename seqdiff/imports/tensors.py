"""Tensors of published files: read without running anything of theirs, and taken over under our names."""

import pickle
import re
import warnings
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from seqdiff.errors import DataError


class Takeover:
    """Takes tensors by their published names; what is wrong with them is collected, and said together by `finish`."""

    def __init__(self, tensors: dict[str, Tensor], file: Path):
        self.file = file
        self._left = dict(tensors)
        self._problems: dict[str, list[str]] = {}
        self._not_finite: list[str] = []

    def ignore(self, is_ignored: Callable[[str], bool]) -> None:
        """Leave tensors aside that are known and not part of the function."""
        self._left = {name: tensor for name, tensor in self._left.items() if not is_ignored(name)}

    def take(self, names: str | Sequence[str], shape: Sequence[int], rows: Sequence[int] | None = None) -> Tensor:
        """The tensor under a name, in float32; with `rows`, those rows of it, of which there may be more.

        A matrix that is shared may be there under one of its names or under several, and must then be the same. Where
        something is wrong, zeros come back, and `finish` raises.
        """
        names, shape = [names] if isinstance(names, str) else names, tuple(shape)
        held = [(name, self._left.pop(name)) for name in names if name in self._left]
        if not held:
            self._problem("missing", names[0])
            return torch.zeros(()).expand(shape)
        name, tensor = held[0]
        for other, twin in held[1:]:
            if not torch.equal(tensor, twin):
                self._problem("not the same, but one matrix here", f"{name} and {other}")
        was = tuple(tensor.shape)
        if rows is not None and tensor.ndim == len(shape) and was[0] > max(rows):
            tensor = tensor[list(rows)]
        if tensor.shape != shape or not tensor.is_floating_point():
            wanted = _times(shape) if rows is None else f"at least {_times((max(rows) + 1, *shape[1:]))}"
            self._problem("of another shape", f"{name} ({_times(was)}, {str(tensor.dtype)[6:]}; it should be {wanted})")
            return torch.zeros(()).expand(shape)
        tensor = tensor.float().contiguous()
        if not tensor.isfinite().all():
            self._not_finite.append(name)
        return tensor

    @property
    def fits(self) -> bool:
        """Whether nothing was wrong so far: zeros of a size that nothing holds may be too large to compute with."""
        return not self._problems

    def has(self, name: str) -> bool:
        """Whether it is there and was not taken yet."""
        return name in self._left

    def finish(self, asked_for_by: str) -> None:
        """Raises DataError with what is missing, unknown, of another shape or not shared, else with what is not finite.

        `asked_for_by` says what the tensors do not fit: `config.json`.
        """
        if self._left:
            self._problems["unknown"] = sorted(self._left)
        if self._problems:
            lines = "\n".join(f"  {kind}: {some(names)}" for kind, names in self._problems.items())
            raise DataError(f"{self.file}: its tensors are not those that {asked_for_by} asks for:\n{lines}")
        if self._not_finite:
            raise DataError(
                f"{self.file}: not every weight is a finite number in {some(self._not_finite)}: the file is damaged, "
                "or its training diverged; get it again, or take another checkpoint"
            )

    def _problem(self, kind: str, what: str) -> None:
        self._problems.setdefault(kind, []).append(what)


def read(path: Path) -> Any:
    """What a safetensors or a torch file holds, on the CPU: tensors by name, or what lies around them.

    No code of the file is run, whatever the format. Raises DataError: damaged, cut short, or holding what is no data.
    """
    return _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickle(path)


def by_name(found: Any, path: Path) -> dict[str, Tensor]:
    """The same, where it is tensors by name; else DataError."""
    if not isinstance(found, dict) or not all(isinstance(t, Tensor) and isinstance(n, str) for n, t in found.items()):
        raise DataError(f"{path}: holds no tensors by name, so this is no published model")
    for name, tensor in found.items():  # a view that repeats what is there could be of any size
        if tensor.layout != torch.strided or tensor.nbytes > tensor.untyped_storage().nbytes():
            raise DataError(f"{path}: {name} is larger than what is saved of it: the file is damaged")
    return found


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
    except (SafetensorError, OSError) as error:
        raise DataError(f"{path}: damaged or cut short: {error}{pointer(path)}") from error


def _read_pickle(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # about the pickle protocol: what matters is said below
            # Mapped: an optimizer's state, twice the size of the weights, is never read.
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL (\S+)", str(error))
        what = f"{named[1]}" if named else "something"
        raise DataError(
            f"{path}: holds {what} that is no tensor, or is damaged. Reading it could run code of its author, so it is "
            f"not read: ask for the model as model.safetensors{pointer(path)}"
        ) from error
    except Exception as error:  # what is no pickle at all fails in any way
        first = (str(error) or "it ends too early").splitlines()[0]
        raise DataError(f"{path}: damaged or cut short: {first}") from error


def pointer(path: Path) -> str:
    """The advice for a file that `git clone` left as a note of where the real one is; else nothing."""
    try:
        with open(path, "rb") as file:
            lfs = file.read(64).startswith(b"version https://git-lfs")
    except OSError:
        return ""
    return " (it is a Git LFS pointer, not the file itself: run `git lfs pull` in its folder)" if lfs else ""


def some(names: Sequence[str]) -> str:
    """The first few, and how many more.

    >>> some(["a", "b", "c", "d", "e", "f"])
    'a, b, c, d and 2 more'
    """
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def _times(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape)) or "a single number"
