"""Samplers, scorers and constraints as Python programs ask for them, and messages in the words of Python.

>>> sampler("confident", steps=8).steps, sampler("fast").kind
(8, 'ancestral')
"""

import functools
import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import pydantic

from seqdiff.config import members
from seqdiff.diffusion.likelihood import Chain, Elbo, Pseudo, ScorerConfig
from seqdiff.diffusion.processes import SAMPLERS
from seqdiff.diffusion.samplers import PRESETS, Sampler, SamplerConfig
from seqdiff.errors import SeqdiffError, UsageError
from seqdiff.inference import design as designs
from seqdiff.inference.design import Design

P = ParamSpec("P")
R = TypeVar("R")
DRAWS = 32
"""Random masks of a bound on -log p, unless told otherwise."""
_OPTION = re.compile(r"(?<![\w/-])--([a-z]+(?:-[a-z]+)*)")


def kinds() -> dict[str, type[Sampler]]:
    """Every sampler by its kind, those of one process alone among them."""
    return {**members(SamplerConfig), **SAMPLERS}  # type: ignore[dict-item]


def presets() -> dict[str, dict[str, Any]]:
    """The settings that each name for a sampler stands for, kinds and presets."""
    return {name: preset.model_dump() for name, preset in PRESETS.items()} | {name: {"kind": name} for name in kinds()}


def sampler(name: str, **settings: Any) -> Sampler:
    """The sampler of a preset or kind with these settings; those that are None are left as they are.

    Raises UsageError for a name that there is not, or a setting that the sampler does not have or take.
    """
    starts = presets()
    if name not in starts:
        raise UsageError(f"sampler {name!r}: choose one of {', '.join(starts)}")
    chosen = kinds()[starts[name]["kind"]]
    asked = {setting: value for setting, value in settings.items() if value is not None}
    if unknown := next((setting for setting in asked if setting not in chosen.model_fields), None):
        has = ", ".join(field for field in chosen.model_fields if field != "kind")
        raise UsageError(f"{unknown}={asked[unknown]}: the sampler {name} has no such setting; it has {has}")
    return built(chosen, **starts[name] | asked)


def design(
    *,
    gc: str | tuple[float, float] | None = None,
    forbid: Sequence[str] = (),
    translate: str | Path | None = None,
    genetic_code: int = 1,
) -> Design:
    """What is asked of the DNA that `Model.infill` and `Model.sample` write.

    `gc`: the share of G and C among the letters that are filled, "40-60%" or (0.4, 0.6). `forbid`: words that may stand
    on neither strand, in IUPAC letters or as enzymes. `translate`: a FASTA file of the proteins that the records of the
    same names must code for, by the NCBI table `genetic_code`.

    >>> design(gc=(0.4, 0.6), forbid=["EcoRI"]).gc.text
    '0.4-0.6'
    """
    with worded():
        if isinstance(forbid, str):
            raise UsageError(f"forbid={forbid!r}: give a list of words or enzymes: [{forbid!r}]")
        if gc is None and not forbid and translate is None:
            raise UsageError("a design asks for something: give gc, forbid or translate")
        if translate is None and genetic_code != 1:
            raise UsageError(f"genetic_code={genetic_code}: it says how proteins are read, so give translate as well")
        share = gc if gc is None or isinstance(gc, str) else "-".join(f"{end:.10f}".rstrip("0") for end in gc)
        return Design(
            gc=None if share is None else designs.GC.parse(share),
            motifs=tuple(map(designs.Motif.parse, forbid)),
            codings={} if translate is None else designs.read_codings(translate, designs.GeneticCode(genetic_code)),
        )


def scorer(
    method: str | ScorerConfig, hollow: bool, *, draws: int | None, order: str | None, orders: int | None
) -> ScorerConfig:
    """What scores sequences by this method: `elbo` takes `draws`, `chain` an `order` or a number of random `orders`.

    Raises UsageError for a setting of another method.
    """
    given = {
        name: value for name, value in (("draws", draws), ("order", order), ("orders", orders)) if value is not None
    }
    if not isinstance(method, str):
        if given:
            raise UsageError(f"{next(iter(given))}: it belongs to a method by name; this one has its settings")
        return method
    takes = {"elbo": {"draws"}, "chain": {"order", "orders"}, "pseudo": set()}
    if method not in takes:
        raise UsageError(f"method {method!r}: choose one of {', '.join(takes)}")
    if wrong := next((name for name in given if name not in takes[method]), None):
        raise UsageError(f"{wrong}={given[wrong]!r}: it is not for the method {method}")
    if method == "pseudo":
        return Pseudo()
    if method == "chain":
        if orders is not None and order not in (None, "random"):
            raise UsageError(f"orders={orders}: there is one order {order}; it is for the order random")
        return built(Chain, order=order or "random", orders=orders)
    return elbo(DRAWS if draws is None else draws, hollow)


def settings(kind: Callable[..., R], method: "str | R", given: dict[str, Any]) -> R:
    """What scores changes by a method of this name with the settings given, or as it is. Raises UsageError."""
    if isinstance(method, str):
        return built(kind, method=method, **given)
    if given:
        raise UsageError(f"{next(iter(given))}: it belongs to a method by name; this one has its settings")
    return method


def elbo(draws: int, hollow: bool) -> Elbo:
    """The bound from so many random masks. Raises UsageError for a number that cannot be divided into repeats."""
    if draws < 2:
        raise UsageError(f"draws={draws}: two at least")
    bound = Elbo.of_draws(draws, hollow)
    if draws % bound.replicates:
        used = bound.strata * bound.replicates
        raise UsageError(f"--draws {draws}: use a multiple of {bound.replicates}, like {used}")
    return bound


@contextmanager
def spread(model: Any, processes: int | None) -> Iterator[Any]:
    """What does the work of a model: itself, or processes that hold it and share torch's threads."""
    if processes is not None and processes < 1:
        raise UsageError(f"processes={processes}: one at least")
    if processes in (None, 1):
        yield model
        return
    import torch

    from seqdiff.model.spread import Spread

    with Spread(model, processes, threads=max(1, torch.get_num_threads() // processes)) as many:
        yield many


def built(of: Callable[..., R], /, **settings: Any) -> R:
    """What pydantic makes of settings. Raises UsageError for one that is not taken, with its name and value."""
    try:
        return of(**settings)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else "settings"
        message = first["msg"].removeprefix("Value error, ")
        raise UsageError(f"{name}={first['input']!r}: {message}") from error


def from_python(verb: Callable[P, R]) -> Callable[P, R]:
    """A verb whose errors name its keyword arguments, where the command line names the options of the same words.

    >>> reworded("give --check-ref warn")
    'give check_ref warn'
    """

    @functools.wraps(verb)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        with worded():
            return verb(*args, **kwargs)

    assert not inspect.isgeneratorfunction(verb), "an iterator's errors come after the call"
    return call


@contextmanager
def worded() -> Iterator[None]:
    try:
        yield
    except SeqdiffError as error:
        error.args = tuple(reworded(each) if isinstance(each, str) else each for each in error.args)
        raise


def reworded(message: str) -> str:
    return _OPTION.sub(lambda option: option[1].replace("-", "_"), message)
