"""seqdiff score"""

from typing import TYPE_CHECKING, Annotated

import typer

from seqdiff import __version__
from seqdiff.cli import inputs, options
from seqdiff.errors import UsageError

if TYPE_CHECKING:
    from seqdiff.inference.score import RecordScore

STRATA = 16


def command(
    fasta: options.Fasta,
    model: options.ModelRun = None,
    output: options.Output = None,
    method: Annotated[str, typer.Option("--method", help="elbo: an upper bound on -log p.")] = "elbo",
    draws: Annotated[int, typer.Option("--draws", min=2, help="Random masks a window: more, smaller error.")] = 32,
    duplicates: options.Duplicates = "error",
    seed: options.Seed = 0,
    device: options.Device = "auto",
    threads: options.Threads = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Score sequences: a bound on -log p with its standard error, one line a record.

    Columns: name, length, scored (known letters), nats, se (standard error of nats), bits per base, perplexity.
    A record without a known letter has `.` in place of numbers.

    Example: seqdiff score --fasta sequences.fa -o scores.tsv
    """
    options.start(threads=threads, quiet=quiet, verbose=verbose)
    options.one_of("--method", method, ("elbo",))
    options.one_of("--duplicates", duplicates, ("error", "first", "rename"))
    from seqdiff import model as models
    from seqdiff.data.fasta import Output, read_records
    from seqdiff.diffusion.likelihood import Elbo

    replicates = max(2, draws // STRATA)
    if draws % replicates:
        raise UsageError(f"--draws {draws}: use a multiple of {replicates}, like {draws - draws % replicates}")
    scorer = Elbo(strata=draws // replicates, replicates=replicates)
    loaded = models.load(model, device)
    with (
        inputs.checked(fasta, loaded.alphabet, duplicates) as (path, lengths),
        options.progress("score", loaded.alphabet.unit, quiet, sum(lengths.values()) or None) as advance,
        Output(output) as out,
    ):
        out.write(
            f"# seqdiff {__version__} method={method} draws={draws} strata={scorer.strata} replicates={replicates} "
            f"seed={seed} model={loaded.recipe.name} context={loaded.context}\n"
            f"name\tlength\tscored\tnats\tse\tbits_per_{loaded.alphabet.unit}\tperplexity\n".encode()
        )
        records = read_records(path, duplicates=duplicates)
        for result in loaded.score_records(records, scorer, seed=seed, source=fasta, progress=advance):
            out.write(_line(result).encode("utf-8", "surrogateescape"))


def _line(result: "RecordScore") -> str:
    def number(value: float | None, digits: int) -> str:
        return "." if value is None else f"{value:.{digits}f}"

    fields = [
        result.name, str(result.length), str(result.scored), number(result.nats, 4), number(result.se, 4),
        number(result.bits_per_symbol, 5), number(result.perplexity, 5),
    ]  # fmt: skip
    return "\t".join(fields) + "\n"
