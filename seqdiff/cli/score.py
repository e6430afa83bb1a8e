"""seqdiff score"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seqdiff import __version__
from seqdiff.cli import image as images
from seqdiff.cli import inputs, options, results
from seqdiff.cli import text as texts
from seqdiff.errors import UsageError

if TYPE_CHECKING:
    from seqdiff.diffusion.likelihood import ScorerConfig
    from seqdiff.inference.score import RecordScore
    from seqdiff.model import Model

METHODS = ("elbo", "chain", "pseudo")
GIVEN = {
    "left": "# nats are of each region given the letters before it, not those after it: the model reads left to right",
    "right": "# nats are of each region given the letters after it, not those before it: the model reads right to left",
    "earlier": "# nats are of each region given the letters that come earlier in the order of the model, and no others",
}
NO_LIKELIHOOD = "# pseudo_nats is a score, not a likelihood: each letter given all others, no bound on -log p"


def command(
    context: typer.Context,
    fasta: options.FastaOrText = None,
    text: texts.File = None,
    image: images.Files = None,
    model: options.ModelRun = None,
    output: options.Output = None,
    method: Annotated[
        str,
        typer.Option(
            "--method",
            help="elbo: an upper bound on -log p. chain: -log p letter after letter. pseudo: how well letters fit, "
            "no likelihood.",
        ),
    ] = "elbo",
    draws: Annotated[
        int | None, typer.Option("--draws", min=2, help="elbo: random masks a window, default 32; more, smaller error.")
    ] = None,
    order: Annotated[
        str | None, typer.Option("--order", help="chain: random (default), left-to-right or right-to-left.")
    ] = None,
    orders: Annotated[int | None, typer.Option("--orders", min=1, help="chain: random orders, default 4.")] = None,
    bed: Annotated[
        Path | None, typer.Option("--bed", help="Score these regions only, given the letters around them (BED).")
    ] = None,
    region: Annotated[
        list[str] | None, typer.Option("--region", help="Score this region only: NAME:START-END, 1-based. Repeatable.")
    ] = None,
    clip: Annotated[bool, typer.Option("--clip", help="Cut regions that run past the end of a record.")] = False,
    label: options.Label = None,
    duplicates: options.Duplicates = "error",
    seed: options.Seed = 0,
    device: options.Device = "auto",
    threads: options.Threads = None,
    processes: options.Processes = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Score sequences: -log p, or a bound on it, with its standard error, one line a record.

    Columns: name, length, scored (known letters), nats, se (standard error of nats), low95 and high95 (nats between
    which the exact value lies, 95 times in 100), bits per base, perplexity. The chain rule adds sd_orders (of nats
    over orders: 0 where the model agrees with itself) and multi_order_nats (of the mixture of the orders, a tighter
    bound). The pseudo-likelihood has its own columns. With regions, start and end (from 1, both included) stand in the
    place of length, and nats are those of the region given the letters around it; of a model that reads left to right
    those before it alone, as the header says. Such a model reads the strand that is given, and no other.
    A record without a known letter has `.` in place of numbers. With --text, a model of running text scores the file
    as one record, in pieces of its context; a model of documents scores each line. With --image each image is a record,
    and a dimension a value of one of its channels: bits per dimension.

    Example: seqdiff score --fasta sequences.fa -o scores.tsv
    """
    options.start(threads=threads, quiet=quiet, verbose=verbose)
    of_image = images.asked(context, image, fasta, text, "method", "draws", "order", "orders")
    of_text = not of_image and texts.asked(context, fasta, text, "method", "draws", "order", "orders")
    options.one_of("--method", method, METHODS)
    options.one_of("--duplicates", duplicates, ("error", "first", "rename"))
    for option, value, owner in (
        ("--draws", draws, "elbo"),
        ("--order", order, "chain"),
        ("--orders", orders, "chain"),
    ):
        if value is not None and method != owner:
            raise UsageError(f"{option}: it is for --method {owner}, not for {method}")
    if order is not None:
        options.one_of("--order", order, ("random", "left-to-right", "right-to-left"))
    if orders is not None and order not in (None, "random"):
        raise UsageError(f"--orders: there is one order {order}; it is for --order random")
    if clip and not (bed or region):
        raise UsageError("--clip: it cuts regions, so give --bed or --region as well")
    if str(bed) == "-" and fasta == "-":
        raise UsageError("--fasta - and --bed -: only one of them can be stdin")
    results.require_own("-o", None if str(output) == "-" else output, fasta, text, bed, *(image or ()))
    inputs.require(fasta, text, bed, *(image or ()))
    from seqdiff.data.fasta import Output, read_records
    from seqdiff.diffusion.denoise import is_hollow
    from seqdiff.diffusion.likelihood import Chain, Pseudo
    from seqdiff.model.choices import DRAWS, elbo

    loaded = options.load(model, device, None, None, label)
    match method:
        case "elbo":
            if draws is not None and loaded.recipe.process.exact:
                raise UsageError(f"--draws: {loaded.recipe.name} gives -log p itself, and nothing is drawn for it")
            scorer = elbo(DRAWS if draws is None else draws, is_hollow(loaded.denoiser))
        case "chain":
            scorer = Chain(order=order or "random", orders=orders)
        case "pseudo":
            scorer = Pseudo()
    if of_image:
        look = images.records(image, loaded)
    elif of_text:
        look = texts.records(text, loaded)
    else:
        look = inputs.checked(fasta, loaded.alphabet, duplicates, spool=bool(bed or region), named=bool(bed or region))
    with look as (found, lengths):
        spans = inputs.spans(lengths.named, bed, region or [], clip) if bed or region else None
        total = lengths.total if spans is None else sum(i.length for each in spans.values() for i in each)
        records = found if of_text or of_image else read_records(found, duplicates=duplicates)
        with (
            options.spread(loaded, processes, threads) as many,
            options.progress("score", loaded.alphabet.unit, quiet, total or None) as advance,
            Output(output) as out,
        ):
            scores = many.score_records(
                records, scorer, spans=spans, seed=seed, source=fasta or text or image[0], progress=advance
            )
            first = next(scores, None)  # whatever is wrong with the model is said before there is any output
            out.write(
                (
                    _header(scorer, loaded, seed, label, spans is not None)
                    + _columns(scorer, loaded, spans is not None)
                ).encode()
            )
            while first is not None:
                out.write(_line(first, scorer).encode("utf-8", "surrogateescape"))
                first = next(scores, None)


def _header(scorer: "ScorerConfig", loaded: "Model", seed: int, label: str | None, regions: bool) -> str:
    match scorer.kind:
        case "elbo" if loaded.recipe.process.exact:
            how = ""
        case "elbo":
            how = f"draws={scorer.strata * scorer.replicates} strata={scorer.strata} replicates={scorer.replicates} "
        case "chain":
            how = f"order={scorer.order} " + (f"orders={scorer.count} " if scorer.order == "random" else "")
        case "pseudo":
            how = ""
    model = f"model={loaded.recipe.name} context={loaded.context} process={loaded.recipe.process.kind}"
    model += f" label={label}" if label is not None else ""
    header = f"# seqdiff {__version__} method={scorer.kind} {how}seed={seed} {model}\n"
    given = GIVEN.get(loaded.recipe.process.given) if regions else None
    return header + "".join(f"{line}\n" for line in (given, scorer.kind == "pseudo" and NO_LIKELIHOOD) if line)


def _columns(scorer: "ScorerConfig", loaded: "Model", regions: bool) -> str:
    unit = loaded.alphabet.unit
    what = "name\tstart\tend" if regions else "name\tlength"
    if scorer.kind == "pseudo":
        return f"{what}\tscored\tpseudo_nats\tpseudo_nats_per_{unit}\n"
    more = "\tsd_orders\tmulti_order_nats" if scorer.kind == "chain" else ""
    return f"{what}\tscored\tnats\tse\tlow95\thigh95\tbits_per_{unit}\tperplexity{more}\n"


def _line(result: "RecordScore", scorer: "ScorerConfig") -> str:
    def number(value: float | None, digits: int) -> str:
        return "." if value is None else f"{value:.{digits}f}"

    span = result.span
    fields = [result.name, str(result.length)] if span is None else [result.name, str(span.start + 1), str(span.end)]
    fields += [str(result.scored), number(result.nats, 4)]
    if scorer.kind == "pseudo":
        fields.append(number(result.nats / result.scored if result.scored else None, 5))
    else:
        low, high = result.interval or (None, None)
        fields += [number(result.se, 4), number(low, 4), number(high, 4)]
        fields += [number(result.bits_per_symbol, 5), number(result.perplexity, 5)]
    if scorer.kind == "chain":
        fields += [number(result.sd_orders, 4), number(result.multi_order, 4)]
    return "\t".join(fields) + "\n"
