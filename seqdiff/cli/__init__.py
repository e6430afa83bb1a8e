"""The command line: one file a command, each a thin skin over one library call.

Results go to stdout or `-o`, everything else to stderr. Exit codes: 0 done, 1 bad data or failure, 2 wrong
usage, 128 + n stopped by signal n. A SeqdiffError is caught here and nowhere else.
"""

import os
import signal
import sys
from typing import Annotated

import typer

from seqdiff import __version__
from seqdiff.cli import evaluate, genomes, infill, sample, score, train
from seqdiff.errors import SeqdiffError

app = typer.Typer(
    name="seqdiff",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("train")(train.command)
app.command("infill")(infill.command)
app.command("score")(score.command)
app.command("sample")(sample.command)
app.command("evaluate")(evaluate.command)
app.add_typer(genomes.app, name="genomes")


def _version(wanted: bool) -> None:
    if wanted:
        print(f"seqdiff {__version__}")
        raise typer.Exit


@app.callback()
def _program(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Masked diffusion models for DNA: train on FASTA, fill gaps, score with honest likelihoods.

    Every command runs right after installation with the small model that ships with seqdiff.

    Example: seqdiff infill --fasta genome.fa -o filled.fa
    """


def main() -> None:
    """Run the command line and exit; what a person can mend is one message, never a traceback."""
    # OpenMP threads that wait by spinning starve each other when anything else runs: with three busy threads on
    # two cores the demo trained at 0.6k tokens/s, with this at 16k; on an idle machine there is no difference.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    try:
        app()
    except SeqdiffError as error:
        _fail(str(error), error.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except KeyboardInterrupt:
        _fail("interrupted; nothing was left half-written", 128 + signal.SIGINT)
    except MemoryError:
        _fail("out of memory: use a smaller batch (--set training.micro_batch_size=N), or a larger machine", 1)
    except RuntimeError as error:
        if "out of memory" not in str(error) and "can't allocate memory" not in str(error):
            raise
        _fail(f"{str(error).splitlines()[0]}: lower training.micro_batch_size, or use a larger device", 1)


def _fail(message: str, code: int) -> None:
    print(f"seqdiff: error: {message}", file=sys.stderr)
    sys.exit(code)
