"""Options that several commands share, and what they set up."""

import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seqdiff import allocator
from seqdiff.errors import UsageError

if TYPE_CHECKING:
    from seqdiff.diffusion.samplers import Sampler
    from seqdiff.model import Model
    from seqdiff.model.spread import Spread

Fasta = Annotated[str, typer.Option("--fasta", help="FASTA or FASTQ, plain, gzip or bgzip; - is stdin.")]
FastaOrText = Annotated[
    str | None, typer.Option("--fasta", help="FASTA or FASTQ, plain, gzip or bgzip; - is stdin. Or give --text.")
]
ModelRun = Annotated[
    Path | None,
    typer.Option("--model", help="A run directory, or a model that ships: human-chr20 (the default), protein-demo."),
]
Output = Annotated[Path | None, typer.Option("-o", "--output", help="Where results go; default and -: stdout.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of every random draw.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")]
Threads = Annotated[int | None, typer.Option("-@", "--threads", min=1, help="CPU threads; default: all cores.")]
Processes = Annotated[
    int | None,
    typer.Option(
        "--processes",
        min=1,
        help="Worker processes that share the work, each with the model and its part of --threads; default 1.",
    ),
]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Only errors and warnings on stderr.")]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="More on stderr.")]
Duplicates = Annotated[
    str, typer.Option("--duplicates", help="Records of the same name: error, first (keep it) or rename.")
]

SamplerName = Annotated[
    str | None,
    typer.Option(
        "--sampler",
        help="fast (many letters a network call), exact (one), best (no draw: the most probable letter at each place); "
        "or by its kind: ancestral (the default), confident, bounded, remask, correct, particles. Models of other "
        "processes have their own: d3pm, powers, thinning, tweedie, bayes, forward, ordered, blocks.",
    ),
]
Steps = Annotated[
    int | None, typer.Option("--steps", min=1, help="Network calls a window may take (samplers that have steps).")
]
Temperature = Annotated[
    float, typer.Option("--temperature", help="Of the model, before evidence: below 1 sharper, above 1 flatter.")
]
TopP = Annotated[float, typer.Option("--top-p", help="Draw from the likeliest letters of this mass.")]
SamplerSettings = Annotated[
    list[str] | None,
    typer.Option("--set", help="Another setting of the sampler: --set grid=cosine, --set score=margin. Repeatable."),
]
Stride = Annotated[
    int | None,
    typer.Option("--stride", min=1, help="Letters a window fills of records longer than the context; default: half."),
]
Guidance = Annotated[
    float | None,
    typer.Option(
        "--guidance",
        help="Lean to --label, away from no label; or to --model, away from --unconditional: 0 to 1, or past 1.",
    ),
]
Label = Annotated[
    str | None, typer.Option("--label", help="The class of all sequences, for a model that was trained with classes.")
]
Unconditional = Annotated[Path | None, typer.Option("--unconditional", help="The other run, of the same alphabet.")]
Report = Annotated[
    Path | None,
    typer.Option(
        "--report",
        help="TSV, a line a filling: letters, network calls, log weight (nats), effective particles, constraints, "
        "inserts.",
    ),
]
ParticleNumber = Annotated[
    int | None,
    typer.Option(
        "--particles", min=1, help="Fillings grown side by side; default 32, or 8 with --gc, --forbid, --translate."
    ),
]


def start(*, threads: int | None, quiet: bool, verbose: bool) -> None:
    """Set the number of threads, what becomes of freed memory, and what is said on stderr."""
    allocator.keep_freed()
    if threads is not None:
        os.environ["OMP_NUM_THREADS"] = str(threads)
        import torch  # only now: `--help` does not wait for it

        torch.set_num_threads(threads)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("seqdiff: %(message)s"))
    logger = logging.getLogger("seqdiff")
    logger.handlers[:] = [handler]
    logger.propagate = False
    logger.setLevel(logging.WARNING if quiet else logging.DEBUG if verbose else logging.INFO)


@contextmanager
def spread(model: "Model", processes: int | None, threads: int | None) -> "Iterator[Model | Spread]":
    """What does the work of a model: itself, or processes that hold it and have their part of the threads."""
    if processes in (None, 1):
        yield model
        return
    from seqdiff.model.spread import Spread

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with Spread(model, processes, threads=max(1, (threads or cores) // processes)) as many:
        yield many


def one_of(option: str, value: str, choices: tuple[str, ...]) -> str:
    """The value if it is one of the choices; UsageError lists them otherwise."""
    if value not in choices:
        raise UsageError(f"{option} {value}: choose one of {', '.join(choices)}")
    return value


@contextmanager
def progress(label: str, unit: str, quiet: bool, total: int | None = None) -> Iterator[Callable[[float], None]]:
    """A bar on a terminal that is advanced by what is done; elsewhere a line every twenty seconds."""
    if quiet:
        yield lambda done: None
        return
    if not sys.stderr.isatty():
        yield _lines(label, unit, total)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = [
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f} " + _plural(unit)),
        TimeRemainingColumn() if total else TimeElapsedColumn(),
    ]
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=total)
        yield lambda done: bar.advance(task, done)


def _lines(label: str, unit: str, total: int | None, every: float = 20.0) -> Callable[[float], None]:
    begun = said = time.monotonic()
    so_far = 0.0

    def advance(done: float) -> None:
        nonlocal so_far, said
        so_far += done
        now = time.monotonic()
        if now - said >= every and so_far:
            said = now
            whole = f" of {total:,}" if total and unit != "%" else ""
            left = f"{whole}, {(now - begun) / so_far * (total - so_far):,.0f} s left" if total else ""
            print(f"seqdiff: {label}: {so_far:,.0f} {_plural(unit)}{left}", file=sys.stderr, flush=True)

    return advance


def _plural(unit: str) -> str:
    return unit if unit == "%" else unit + "s"


def difference(advance: Callable[[float], None], scale: float = 1) -> Callable[[float], None]:
    """For what reports how far it has come in all, a bar that is advanced by what is new."""
    reached = 0.0

    def report(done: float) -> None:
        nonlocal reached
        advance(scale * (done - reached))
        reached = done

    return report


def sampler(
    kind: str | None,
    settings: list[str],
    *,
    steps: int | None = None,
    temperature: float = 1.0,
    top_p: float = 1.0,
    before_model: bool = False,
) -> "Sampler":
    """The sampler a command line asks for, by preset or kind; a setting that it does not have is a UsageError, never
    ignored.

    `before_model`: where no kind is given, settings that samplers of one process alone have wait for `of_process`.
    """
    import pydantic

    from seqdiff.diffusion.processes import SAMPLERS
    from seqdiff.model import choices

    kinds, starts = choices.kinds(), choices.presets()
    named, kind = kind is not None, kind or "ancestral"
    one_of("--sampler", kind, tuple(starts))
    asked: dict[str, object] = {"temperature": temperature, "top_p": top_p} | (
        {} if steps is None else {"steps": steps}
    )
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals:
            raise UsageError(f"--set {setting}: write it as NAME=VALUE")
        asked[name.strip()] = value.strip()
    chosen = kinds[starts[kind]["kind"]]
    if before_model and not named:
        own = {name for one in SAMPLERS.values() for name in one.model_fields} - set(chosen.model_fields)
        asked = {name: value for name, value in asked.items() if name not in own}
    try:
        return chosen(**starts[kind] | asked)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else ""
        flag = f"--{name.replace('_', '-')}" if name in ("temperature", "top_p", "steps") else f"--set {name}"
        has = ", ".join(field for field in chosen.model_fields if field != "kind")
        unknown = first["type"] == "extra_forbidden"
        reason = f"the sampler {kind} has no such setting; it has {has}" if unknown else first["msg"]
        raise UsageError(f"{flag if name else '--sampler ' + kind}: {reason}") from error


def of_process(
    chosen: "Sampler", kind: str | None, model: "Model", settings: list[str], **standard: float | None
) -> "Sampler":
    """The chosen sampler; where none was, that of the process the model was trained by, with the same settings."""
    if kind is not None:
        require_filling(model, {f"--sampler {kind}": chosen.of is None})
        return chosen
    own = model.sampler()
    return sampler(chosen.kind if own.of is None else own.kind, settings, **standard)


def plain(chosen: "Sampler", particles: int | None) -> "Sampler":
    """The chosen sampler, with as many particles as were asked for."""
    if particles is None:
        return chosen
    if "particles" not in type(chosen).model_fields:
        raise UsageError(
            "--particles: it is for --exact-evidence, --gc, --forbid and --translate, and for --sampler forward, "
            "ordered and blocks, of models that go in an order of their own"
        )
    return chosen.model_copy(update={"particles": particles})


def require_filling(model: "Model", given: dict[str, object]) -> None:
    """UsageError for the first option that is given, where all need a model that fills masks and it does not."""
    option = next((option for option, value in given.items() if value), None)
    if option and not model.fills_masks:
        raise UsageError(
            f"{option}: {model.recipe.name} was trained by process {model.recipe.process.kind}, which does not "
            f"learn to fill masks from both sides, as this needs: leave it out, and its own sampler "
            f"{model.sampler().kind} is used"
        )


def exact(chosen: "Sampler", particles: int | None) -> "Sampler":
    """Particles for letters of which something is known, and the chosen sampler for the rest."""
    from seqdiff.diffusion.samplers import Particles

    if isinstance(chosen, Particles):
        raise UsageError("--exact-evidence: it is the sampler particles; --sampler says which one fills the rest")
    if not chosen.draws:
        raise UsageError(
            f"--exact-evidence: --sampler {chosen.kind} draws nothing that could be weighed; leave one out"
        )
    plain = chosen.model_copy(update={"temperature": 1.0, "top_p": 1.0})
    number = {} if particles is None else {"particles": particles}
    return Particles(finish=plain, temperature=chosen.temperature, top_p=chosen.top_p, **number)


def require_draws(chosen: "Sampler", option: str, number: int) -> None:
    """UsageError where the same would come out more than once."""
    if number > 1 and not chosen.draws:
        raise UsageError(f"{option} {number}: --sampler {chosen.kind} draws nothing, so all of them would be the same")


def load(
    run: Path | None, device: str, guidance: float | None, unconditional: Path | None, label: str | None = None
) -> "Model":
    """The model of a command: told a class or not, guided by itself without it, by a second one, or not."""
    if unconditional is not None and guidance is None:
        raise UsageError("--unconditional: it is what --guidance leans away from, so give --guidance as well")
    if guidance is not None and unconditional is None and label is None:
        raise UsageError("--guidance: give --label, or the other run with --unconditional")
    from seqdiff import model as models

    loaded = models.load(run, device)
    told = loaded if label is None else loaded.labelled(label)
    if guidance is None:
        return told
    return told.guided(loaded if unconditional is None else models.load(unconditional, device), guidance)


def check_stride(stride: int | None, model: "Model", longest: int | None) -> None:
    """UsageError for a stride that leaves nothing to see; a warning where it changes nothing."""
    if stride is None:
        return
    if stride >= model.context:
        raise UsageError(
            f"--stride {stride}: the model sees {model.context:,} letters, so give 1 to {model.context - 1}"
        )
    if longest is not None and longest <= model.context:
        logging.getLogger("seqdiff").warning(
            "--stride changes nothing: no record is longer than the context of %s letters", f"{model.context:,}"
        )
