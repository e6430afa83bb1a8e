"""Shards: files that together are one, named `3-of-8.fa`, in a folder that holds all of them or does not exist."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from seqdiff.errors import DataError, UsageError
from seqdiff.files import appearing, explain

_NAME = re.compile(r"([1-9]\d*)-of-([1-9]\d*)\.(.+)")


class Shard(NamedTuple):
    """Which of how many, and how its name goes on.

    >>> Shard.of("out/3-of-8.fa"), Shard.of("a.fa"), Shard.of("9-of-8.fa")
    (Shard(number=3, count=8, ending='fa'), None, None)
    """

    number: int
    count: int
    ending: str

    @classmethod
    def of(cls, path: str | Path) -> "Shard | None":
        """What a name says; None where it is not that of a shard."""
        found = _NAME.fullmatch(Path(path).name)
        shard = cls(int(found[1]), int(found[2]), found[3]) if found else None
        return shard if shard and shard.number <= shard.count else None

    def __str__(self) -> str:
        return f"{self.number}-of-{self.count}.{self.ending}"


@contextmanager
def shard_folder(folder: str | Path) -> Iterator[Path]:
    """A temporary folder beside `folder` to fill with shards; on leaving it takes the name, in place of older shards.

    If the block fails, the temporary folder goes and what was there stays. Raises DataError where the folder holds
    anything else than shards, and as `files.appearing` does.
    """
    target = Path(os.path.realpath(folder))
    replaced = _older(target, folder)
    place = target.with_name(f".{target.name[:40]}.{os.getpid()}.new") if replaced else target
    temporary = None
    try:
        with appearing(place) as temporary:
            yield temporary
    except DataError as error:
        message = str(error).replace(str(place), str(folder))
        raise DataError(message.replace(str(temporary), str(folder)) if temporary else message) from error
    if not replaced:
        return
    try:
        older = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name[:40]}.", suffix=".partial"))
        os.replace(target, older)
        os.replace(place, target)
        shutil.rmtree(older, ignore_errors=True)
    except OSError as error:
        shutil.rmtree(place, ignore_errors=True)
        raise DataError(f"{folder}: cannot be written: {explain(error)}") from error


def _older(target: Path, folder: str | Path) -> bool:
    """Whether shards are there that may be replaced."""
    try:
        names = sorted(os.listdir(target)) if target.is_dir() else []
    except OSError as error:
        raise DataError(f"{folder}: cannot be read: {explain(error)}") from error
    for name in names:
        if Shard.of(name) is None or not (target / name).is_file():
            raise DataError(
                f"{folder} holds {name}, which is no shard: give a folder of its own, since shards that are in it are "
                "replaced together"
            )
    return bool(names)


def shards_in(folder: Path) -> list[Path]:
    """The shards in a folder, in order; other files, and indices of shards, are left alone.

    Raises DataError: none, of more than one division or kind, one that is missing.
    """
    try:
        paths = [path for path in folder.iterdir() if path.suffix not in (".tbi", ".csi", ".gzi", ".fai")]
    except OSError as error:
        raise DataError(f"{folder}: cannot be read: {explain(error)}") from error
    found = {shard: path for path in paths if (shard := Shard.of(path))}
    if not found:
        raise DataError(f"{folder} holds no shards: files with names like 3-of-8.fa")
    kinds = sorted({f"*-of-{shard.count}.{shard.ending}" for shard in found})
    if len(kinds) > 1:
        raise DataError(f"{folder} holds {' and '.join(kinds[:5])}: give the files, in order")
    shards = sorted(found)
    require_all(shards, str(folder))
    return [found[shard] for shard in shards]


def require_order(paths: Sequence[str]) -> None:
    """Looks at files that are all named as shards of one kind: they must be all of one division, in order.

    Raises UsageError for another order (a shell sorts 10 before 2) and for shards of several divisions, DataError for a
    shard that is missing.
    """
    shards = [shard for path in paths if (shard := Shard.of(path))]
    if len(shards) < len(paths) or len({shard.ending for shard in shards}) > 1:
        return
    if other := [shard for shard in shards if shard.count != shards[0].count]:
        raise UsageError(f"{shards[0]} and {other[0]} are of two divisions: give the shards of one, or their folder")
    for one, after in pairwise(shards):
        if after.number <= one.number:
            raise UsageError(
                f"{after} comes after {one}: give shards in order, or their folder alone, which puts them so"
            )
    require_all(shards, "what is given")


def require_all(shards: Sequence[Shard], where: str) -> None:
    """DataError where some of the division are not there."""
    count, ending = shards[0].count, shards[0].ending
    there = {shard.number for shard in shards}
    missing = [str(Shard(number, count, ending)) for number in range(1, count + 1) if number not in there]
    if missing:
        more = f" and {len(missing) - 5:,} more" if len(missing) > 5 else ""
        raise DataError(f"{where} lacks {', '.join(missing[:5])}{more}: did a job fail?")
