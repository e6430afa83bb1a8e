"""seqdiff import"""

from pathlib import Path
from typing import Annotated

import typer

from seqdiff.cli import options


def command(
    format: Annotated[str, typer.Argument(metavar="FORMAT", help="Whose folder it is: one of the above.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The published folder: config.json and the weights.")],
    out: Annotated[Path, typer.Option("--out", help="The run directory to make.")],
    context: Annotated[
        int | None,
        typer.Option("--context", min=8, help="Bases in a window; default: what it was trained on. Less is faster."),
    ] = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Make a run of weights that others published, to fill, score and go on training with.

    caduceus: a folder of the Caduceus collection (kuleshov-group on Hugging Face), PS or Ph. Its data, process and
    training are recorded as published; what its weights are is kept in the run.

    Example: seqdiff import caduceus downloads/ps_seqlen-131k --out runs/ps
    """
    options.start(threads=None, quiet=quiet, verbose=verbose)
    from seqdiff import imports
    from seqdiff.config import members
    from seqdiff.files import require_vacant

    formats = members(imports.FormatConfig)
    options.one_of("FORMAT", format, tuple(formats))
    require_vacant(out)  # before anything is read or asked for
    imported = formats[format](folder=folder, context=context).read()
    imported.write(out)
    network, data = imported.recipe.denoiser, imported.recipe.data
    imports.logger.info(
        "%s: %s parameters, windows of %s %ss; the model is in %s",
        network.kind, f"{sum(tensor.numel() for tensor in imported.weights.values()):,}", f"{data.context:,}",
        data.alphabet.unit, out,
    )  # fmt: skip
