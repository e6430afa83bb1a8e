"""One comparison, top to bottom: paces, trainings, measurements, the summary of all."""

import gc
import logging
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from seqdiff import devices
from seqdiff.checkpoint import RunFolder
from seqdiff.compare import measure, pace
from seqdiff.compare.folder import Folder
from seqdiff.compare.launch import Launch, Place, apart
from seqdiff.compare.pace import Pace
from seqdiff.compare.samples import Yardstick
from seqdiff.compare.settings import Comparison, System
from seqdiff.compare.summary import asked_of, summarised
from seqdiff.compare.table import minutes
from seqdiff.errors import ConfigError, SeqdiffError
from seqdiff.evaluate import heldout
from seqdiff.evaluate.answer import Progress, silent
from seqdiff.files import checksum
from seqdiff.modalities import Opened
from seqdiff.recipe import Recipe

logger = logging.getLogger("seqdiff")

Bar = Callable[[str], AbstractContextManager[Progress]]
"""A progress bar by what it is of."""


@contextmanager
def no_bar(label: str) -> Iterator[Progress]:
    """The bar of nobody."""
    yield silent


@dataclass
class Course:
    """How far a comparison has come."""

    comparison: Comparison
    folder: Folder
    data: Opened
    recipes: dict[tuple[str, int], Recipe]
    """By system and seed, with the steps of the base."""
    paces: dict[str, Pace] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    """Why systems could not even begin."""

    def recipe(self, kind: str, system: System, seed: int) -> Recipe:
        """The recipe with the steps that a budget pays for."""
        whole = self.recipes[system.name, seed]
        return pace.scaled(whole, self.paces[system.name].steps(whole, self.comparison.budget, kind))


def compare(
    comparison: Comparison,
    out: str | Path,
    *,
    only: Sequence[str] = (),
    place: Place | None = None,
    train: bool = True,
    launch: Launch = apart,
    bar: Bar = no_bar,
) -> dict[str, Any]:
    """Train and measure what is not yet, into OUT/NAME; returns the summary of all that is (`compare.summary`).

    Where it was stopped it goes on: what was trained and measured is kept, a training goes on from its last save, and
    steps stay what they were. What fails is said in the summary, takes nothing else along, and is tried again the next
    time. Without `train` it only plans: paces are measured, steps counted, and runs that are there are shown.

    Raises ConfigError for systems on different data, and for runs in OUT/NAME of other recipes.
    """
    place = place or Place()
    device = devices.find(place.device)
    chosen = comparison.chosen(only)
    folder = Folder(Path(out), comparison)
    data, recipes = opened(comparison)
    items = heldout.draw(data.test, comparison.evaluation.letters, comparison.evaluation.seed)
    yardstick = Yardstick(comparison.samples, data) if comparison.samples else None
    course = Course(comparison, folder, data, recipes)
    for system in comparison.systems:
        _find_pace(course, system, device.type, place, begin=system in chosen)
    if train:
        for kind, system, seed in _turns(comparison, chosen, course):
            folder.check(folder.run(kind, system.name, seed), course.recipe(kind, system, seed), data.checksum)
        folder.write_comparison(comparison)
        for number, (kind, system, seed) in enumerate(turns := list(_turns(comparison, chosen, course)), 1):
            _run(course, kind, system, seed, place, launch, f"{number} of {len(turns)}")
            _measure(course, kind, system, seed, items, yardstick, str(device), bar)
    asked = asked_of(course) | {"order": comparison.evaluation.order}
    if (rivals := folder.baselines(asked)) is None:
        with bar("baselines"):
            rivals = measure.baselines(comparison, data, items, yardstick)
        folder.keep_baselines(asked, rivals)
    return summarised(course, rivals, heldout.units(data.test, items), heldout.described(data.test, items))


def opened(comparison: Comparison) -> tuple[Opened, dict[tuple[str, int], Recipe]]:
    """The data, and the recipe of each system and seed. Raises ConfigError for a system on other data than the first's:
    other sequences, splits or context."""
    recipes = {
        (system.name, seed): comparison.recipe(system, seed).resolved()
        for system in comparison.systems
        for seed in comparison.seeds
    }
    first = next(iter(recipes.values())).data
    data = first.open()
    for (name, _), recipe in recipes.items():
        other = recipe.data
        if other == first:
            continue
        if (other.alphabet, other.context, other.open().checksum) != (first.alphabet, first.context, data.checksum):
            raise ConfigError(
                f"{comparison.name}: {name} is not on the data of {comparison.systems[0].name} (other sequences, "
                "splits, symbols or context), so their bits cannot be compared"
            )
    return data, recipes


def _turns(comparison: Comparison, chosen: Sequence[System], course: Course) -> Iterator[tuple[str, System, int]]:
    """What is trained, in order: kind of budget, system, seed; without systems that cannot begin."""
    for kind in comparison.budget.kinds:
        for system in chosen:
            if system.name in course.paces:
                for seed in comparison.seeds:
                    yield kind, system, seed


def _find_pace(course: Course, system: System, device: str, place: Place, *, begin: bool) -> None:
    """The pace of a system as it was kept, or measured now where `begin` says so."""
    recipe = course.recipes[system.name, course.comparison.seeds[0]]
    found = course.folder.pace(recipe, device, place.processes)
    if found is None and begin:
        try:
            found = pace.measured(recipe, course.data, devices.find(place.device), place.processes)
        except Exception as error:
            course.failures[system.name] = _reason(error)
            logger.warning("%s cannot train: %s", system.name, course.failures[system.name])
            return
        finally:
            _let_go()
        course.folder.keep_pace(recipe, device, place.processes, found)
        logger.info(
            "%s: %s parameters, %s letters/s", system.name, f"{found.parameters:,}",
            f"{found.letters_per_second:,.0f}",
        )  # fmt: skip
    if found:
        course.paces[system.name] = found


def _run(course: Course, kind: str, system: System, seed: int, place: Place, launch: Launch, number: str) -> None:
    """Train one run to its end, if it is not there yet; its failure is kept."""
    folder, recipe = course.folder, course.recipe(kind, system, seed)
    run = folder.run(kind, system.name, seed)
    if folder.ending(run).get("trained") and run.weights_file.is_file():
        return
    letters = recipe.training.steps * recipe.training.batch_size * recipe.data.context
    logger.info(
        "%s (%s, budget of %s): %s steps, %s letters, about %s minutes of computing",
        run.path.name, number, kind, f"{recipe.training.steps:,}", f"{letters:,}",
        minutes(letters / course.paces[system.name].letters_per_second / 60),
    )  # fmt: skip
    run.path.parent.mkdir(parents=True, exist_ok=True)
    try:
        launch(recipe, run.path, place)
    except Exception as error:
        _failed(folder, run, _reason(error))
    else:
        folder.keep_ending(run, trained=True)


def _measure(
    course: Course,
    kind: str,
    system: System,
    seed: int,
    items: np.ndarray,
    yardstick: Yardstick | None,
    device: str,
    bar: Bar,
) -> None:
    """Measure what is asked of one run and not known yet, if it is trained; its failure is kept."""
    folder = course.folder
    run = folder.run(kind, system.name, seed)
    if not (ending := folder.ending(run)).get("trained"):
        return
    weights = checksum(run.weights_file)
    asked = {part: what | {"weights": weights} for part, what in asked_of(course).items()}
    known = ending.get("measured", {})
    missing = [part for part, what in asked.items() if known.get(part, {}).get("asked") != what]
    if not missing:
        return
    try:
        with bar(f"measuring {run.path.name}") as progress:
            found = measure.measured(run, missing, course.comparison, course.data, items, yardstick, device, progress)
    except Exception as error:
        _failed(folder, run, _reason(error), trained=True, measured=known)
    else:
        new = {part: {"asked": asked[part], "answer": answer} for part, answer in found.items()}
        folder.keep_ending(run, trained=True, measured=known | new)
    finally:
        _let_go()


def _let_go() -> None:
    """Gives memory of GPUs back, which the processes that train will want."""
    if torch.cuda.is_available():
        gc.collect()
        torch.cuda.empty_cache()


def _failed(folder: Folder, run: RunFolder, why: str, **rest: Any) -> None:
    logger.warning("%s failed: %s", run.path.name, why)
    folder.keep_ending(run, failed=why, **rest)


def _reason(error: Exception) -> str:
    """In one line; an error that nobody foresaw with its kind, and its whole story for -v."""
    if isinstance(error, SeqdiffError):
        return " ".join(str(error).split())
    logger.debug("what went wrong", exc_info=error)
    return textwrap.shorten(f"{type(error).__name__}: {error}", 400)
