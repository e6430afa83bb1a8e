"""Text in and text out: what infill, score and sample do with a model of text."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seqdiff.cli import inputs, options
from seqdiff.errors import UsageError

if TYPE_CHECKING:
    from seqdiff.data.characters import Characters
    from seqdiff.data.fasta import Record
    from seqdiff.diffusion.samplers import Sampler
    from seqdiff.inference.filled import Infilled
    from seqdiff.model import Model

MARKS = ("both", "braces", "underscores")

File = Annotated[str | None, typer.Option("--text", help="A text file for a model of text; - is stdin.")]
BlankMarks = Annotated[
    str | None,
    typer.Option(
        "--blanks",
        help="--text: what is to be filled: both (the default), braces ({{?12}}, twelve characters) or underscores "
        "(as many as there are, two or more).",
    ),
]
COMMON = {"text", "model", "output", "seed", "device", "threads", "quiet", "verbose", "label"}
SAMPLING = {"sampler", "steps", "temperature", "top_p", "settings", "particles", "stride", "guidance", "unconditional"}


def asked(context: typer.Context, fasta: str | None, text: str | None, *others: str) -> bool:
    """Whether the command is given text. UsageError where it is given neither or both, and for options that text has
    not: all but the common ones and `others`."""
    if (fasta is None) == (text is None):
        raise UsageError("give --fasta FILE; or --text or --image, and a --model of these")
    if text is None:
        if "blanks" in given(context):
            raise UsageError("--blanks: it says what is to be filled in --text")
        return False
    wrong = given(context) - COMMON - {*others}
    for option in context.command.params:
        if option.name in wrong:
            raise UsageError(f"{option.opts[0]}: it is for sequences, not for --text")
    if context.params.get("model") is None:
        raise UsageError("--text: the model that ships reads DNA; give a run that was trained on text: --model RUN")
    return True


def given(context: typer.Context) -> set[str]:
    """The parameters that stand on the command line."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return {name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"}


def is_text(loaded: "Model") -> bool:
    """Whether a model was trained on text."""
    from seqdiff.data.characters import Characters

    return isinstance(loaded.alphabet, Characters)


def alphabet_of(loaded: "Model") -> "Characters":
    """The alphabet of a model of text. UsageError for any other."""
    if not is_text(loaded):
        option = "--image" if loaded.recipe.data.grid else "--fasta"
        raise UsageError(f"--text: {loaded.recipe.name} was trained on {loaded.alphabet.name}; give it {option} FILE")
    return loaded.alphabet


def infill(
    loaded: "Model",
    path: str,
    output: Path | None,
    marks: str | None,
    chosen: "Sampler",
    *,
    samples: int,
    stride: int | None,
    report: Path | None,
    seed: int,
    quiet: bool,
) -> None:
    """Fills the blanks of a text and changes nothing else."""
    from seqdiff.data.source import name_of
    from seqdiff.inference.text import marked, read
    from seqdiff.model import logger

    alphabet, name = alphabet_of(loaded), name_of(path)
    parts = marked(read(path, alphabet), name, alphabet, loaded.recipe.data.mode, marks or "both")
    spans = {part.record.name: part.spans for part in parts if part.spans}
    total = sum(span.length for each in spans.values() for span in each)
    _say_foreign(name, [part.record for part in parts], total, alphabet)
    if not spans:
        logger.warning("%s has no blank, {{?12}} or ____: it comes out as it is", name)
    options.check_stride(stride, loaded, max((len(alphabet.encode(p.record.sequence)) for p in parts), default=0))
    found: dict[tuple[str, int], Infilled] = {}
    with options.progress("infill", alphabet.unit, quiet, samples * total) as advance:
        for result in loaded.infill_records(
            (part.record for part in parts if part.spans), chosen, seed=seed, samples=samples, spans=spans,
            stride=stride, source=name, progress=advance,
        ):  # fmt: skip
            found[result.record.name, result.replicate] = result
    with Texts(output, report, headed=samples > 1) as out:
        for replicate in range(samples):
            whole = b"".join(part.filled(found.get((part.record.name, replicate))) for part in parts)
            out.write(f"sample{replicate + 1}", whole)
        for result in found.values():
            out.report(result)
    blanks = sum(len(each) for each in spans.values())
    logger.info("filled %s %ss in %s blanks", f"{samples * total:,}", alphabet.unit, f"{blanks:,}")


def sample(
    loaded: "Model",
    lengths: list[int],
    output: Path | None,
    chosen: "Sampler",
    *,
    stride: int | None,
    report: Path | None,
    seed: int,
    quiet: bool,
) -> None:
    """Draws new texts."""
    alphabet = alphabet_of(loaded)
    with (
        options.progress("sample", alphabet.unit, quiet, sum(lengths)) as advance,
        Texts(output, report, headed=len(lengths) > 1 and "\n" in alphabet.symbols) as out,
    ):
        for result in loaded.sample_records(lengths, chosen, seed=seed, stride=stride, progress=advance):
            text = result.record.sequence
            out.write(result.record.name, text + (b"" if text.endswith(b"\n") else b"\n"))
            out.report(result)


@contextlib.contextmanager
def records(path: str, loaded: "Model") -> Iterator[tuple[Iterator["Record"], inputs.Lengths]]:
    """The records of a text, as its model takes them, and how many characters each has."""
    from seqdiff.data.source import name_of
    from seqdiff.inference.text import read, records

    alphabet, name = alphabet_of(loaded), name_of(path)
    found = list(records(read(path, alphabet), name, alphabet, loaded.recipe.data.mode))
    _say_foreign(name, found, 0, alphabet)
    yield iter(found), inputs.Lengths.of({record.name: len(alphabet.encode(record.sequence)) for record in found})


class Texts:
    """Texts on their way out, as they are, or each under a headline."""

    def __init__(self, output: Path | None, report: Path | None, *, headed: bool):
        self._headed = headed
        self._paths = output, report
        self._shown = output is None or str(output) == "-"

    def __enter__(self) -> "Texts":
        from seqdiff.data.output import Output
        from seqdiff.inference.filled import REPORT_HEADER

        output, report = self._paths
        with contextlib.ExitStack() as stack:
            self._report = None if report is None else stack.enter_context(Output(report))
            self._out = stack.enter_context(Output(output))
            if self._report:
                self._report.write(REPORT_HEADER)
            self._files = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._files.__exit__(*error)

    def write(self, title: str, text: bytes) -> None:
        """One text; on a terminal, what is not UTF-8 is shown as U+FFFD."""
        if self._shown and sys.stdout.isatty():
            text = text.decode("utf-8", "replace").encode()
        if self._headed:
            text = f"==> {title} <==\n".encode() + text + (b"" if text.endswith(b"\n") else b"\n")
        self._out.write(text)

    def report(self, result: "Infilled") -> None:
        """A line of the report."""
        from seqdiff.inference.filled import report_line

        if self._report:
            self._report.write(report_line(result))


def _say_foreign(name: str, found: "list[Record]", blanks: int, alphabet: "Characters") -> None:
    """A warning of characters that the model does not know."""
    from seqdiff.model import logger

    unknown = sum(int((alphabet.encode(record.sequence) == alphabet.mask).sum()) for record in found) - blanks
    if unknown:
        logger.warning(
            "%s: characters that the model does not know (it knows %d): %s; they are unknown to it and stay so",
            name, alphabet.size, f"{unknown:,}",
        )  # fmt: skip
