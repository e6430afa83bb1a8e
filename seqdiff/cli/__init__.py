"""The command line: one file a command, each a thin skin over one library call.

Results go to stdout or `-o`, everything else to stderr. Exit codes: 0 done, 1 bad data or failure, 2 wrong
usage, 128 + n stopped by signal n. A SeqdiffError is caught here and nowhere else.
"""

import functools
import os
import signal
import sys
from collections.abc import Callable
from typing import Annotated, Any, NoReturn

import typer

from seqdiff import __version__
from seqdiff.cli import (
    compare,
    doctor,
    embed,
    evaluate,
    finetune,
    gather,
    genomes,
    import_,
    infill,
    predict,
    report,
    sample,
    scatter,
    score,
    train,
    variants,
)
from seqdiff.errors import SeqdiffError
from seqdiff.files import explain

app = typer.Typer(
    name="seqdiff",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def guarded(command: Callable[..., None]) -> Callable[..., None]:
    """The command with every error that a person can mend as one message and an exit code, never a traceback."""

    @functools.wraps(command)
    def run(*args: Any, **settings: Any) -> None:
        signal.signal(signal.SIGTERM, _terminated)
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # which nohup has asked for
            signal.signal(signal.SIGHUP, _terminated)
        try:
            command(*args, **settings)
            sys.stdout.flush()
        except SeqdiffError as error:
            _fail(str(error), error.exit_code)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(128 + signal.SIGPIPE)
        except OSError as error:  # files that hold data say so themselves: mostly this is a full standard output
            _fail(f"{error.filename or 'standard output'}: {explain(error)}", 1)
        except KeyboardInterrupt:
            _fail("interrupted; nothing was left half-written", 128 + signal.SIGINT)
        except _Terminated as stopped:
            _fail("terminated; nothing was left half-written", 128 + stopped.args[0])
        except (MemoryError, RuntimeError) as error:
            first = (str(error) or "out of memory").splitlines()[0]
            if "out of memory" not in first and "can't allocate memory" not in first:
                raise
            less = "lower training.micro_batch_size, or " if command is train.command else ""
            _fail(f"{first}: {less}use a machine with more memory", 1)

    return run


class _Terminated(BaseException):
    """SIGTERM or SIGHUP has come: clean up on the way out, as after Ctrl-C."""


def _terminated(number: int, frame: object) -> None:
    raise _Terminated(number)


app.command("train")(guarded(train.command))
app.command("infill")(guarded(infill.command))
app.command("score")(guarded(score.command))
app.command("variants")(guarded(variants.command))
app.command("sample")(guarded(sample.command))
app.command("embed")(guarded(embed.command))
app.command("finetune")(guarded(finetune.command))
app.command("predict")(guarded(predict.command))
app.command("evaluate")(guarded(evaluate.command))
app.command("report")(guarded(report.command))
app.command("compare")(guarded(compare.command))
app.command("import")(guarded(import_.command))
app.command("scatter")(guarded(scatter.command))
app.command("gather")(guarded(gather.command))
app.command("doctor")(guarded(doctor.command))
genomes_app = typer.Typer(help="Genomes that seqdiff knows by name.", no_args_is_help=True, rich_markup_mode=None)
genomes_app.command("list")(guarded(genomes.list_genomes))
genomes_app.command("fetch")(guarded(genomes.fetch_genome))
genomes_app.command("index")(guarded(genomes.index_genome))
app.add_typer(genomes_app, name="genomes")


@app.callback(invoke_without_command=True)
def _program(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit; more with -v.")] = False,
    verbose: Annotated[bool, typer.Option("-v", help="With --version: what it runs on as well.")] = False,
) -> None:
    """Masked diffusion models for DNA and proteins: train on FASTA, fill gaps, score with honest likelihoods, embed.

    Every command runs right after installation with the small model that ships with seqdiff.

    Example: seqdiff infill --fasta genome.fa -o filled.fa
    """
    if version:
        print(f"seqdiff {__version__}")
        if verbose:
            guarded(doctor.brief)()
        raise typer.Exit
    if verbose:
        context.fail("-v belongs behind the command, or to --version")
    if context.invoked_subcommand is None:
        context.fail("Missing command.")


def main() -> None:
    """Run the command line and exit."""
    # OpenMP threads that wait by spinning starve each other when anything else runs: with three busy threads on
    # two cores the demo trained at 0.6k tokens/s, with this at 16k; on an idle machine there is no difference.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    app()


def _fail(message: str, code: int) -> NoReturn:
    print(f"seqdiff: error: {message}", file=sys.stderr)
    sys.exit(code)
