"""seqdiff import"""

from pathlib import Path
from typing import Annotated

import typer

from seqdiff.cli import options
from seqdiff.errors import UsageError


def command(
    format: Annotated[str, typer.Argument(metavar="FORMAT", help="Whose it is: one of the above.")],
    path: Annotated[Path, typer.Argument(metavar="PATH", help="The published folder, or of evodiff the file.")],
    out: Annotated[Path, typer.Option("--out", help="The run directory to make.")],
    context: Annotated[
        int | None,
        typer.Option("--context", min=8, help="Letters in a window; default: what it was trained on. Less is faster."),
    ] = None,
    activation: Annotated[
        str | None, typer.Option("--activation", help="evodiff: gelu (as published) or relu, which no tensor shows.")
    ] = None,
    max_dilation: Annotated[
        int | None, typer.Option("--max-dilation", min=1, help="evodiff: r, which no tensor shows; published: 128.")
    ] = None,
    fasta: Annotated[
        Path | None,
        typer.Option("--fasta", help="esm2, evodiff: proteins of your own that evaluate and train shall read."),
    ] = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Make a run of weights that others published, to fill, score and go on training with.

    caduceus: DNA. A folder of the Caduceus collection (kuleshov-group on Hugging Face), PS or Ph.

    esm2: proteins. A Hugging Face folder of an EsmForMaskedLM: ESM-2, ESM-1b, ESM-1v; or of DPLM.

    evodiff: proteins. A file of EvoDiff's order-agnostic diffusion (oaar-38M.tar, oaar-640M.tar) or of CARP.

    Data, process and training are recorded as published, as far as that is known; recipe.yaml says what is from where.
    No code of a file is run.

    Example: seqdiff import esm2 downloads/esm2_t12_35M_UR50D --out runs/esm2-35M
    """
    options.start(threads=None, quiet=quiet, verbose=verbose)
    from seqdiff import imports
    from seqdiff.config import members
    from seqdiff.files import require_vacant

    formats = members(imports.FormatConfig)
    options.one_of("FORMAT", format, tuple(formats))
    if activation is not None:
        options.one_of("--activation", activation, ("gelu", "relu"))
    given = {"context": context, "activation": activation, "max_dilation": max_dilation, "fasta": fasta}
    given = {name: value for name, value in given.items() if value is not None}
    for name in given:
        if name not in formats[format].model_fields:
            owners = [kind for kind, settings in formats.items() if name in settings.model_fields]
            raise UsageError(f"--{name.replace('_', '-')} is of {', '.join(owners)}, not of {format}")
    require_vacant(out)  # before anything is read or asked for
    imported = formats[format](path=path, **given).read()
    imported.write(out)
    network, data = imported.recipe.denoiser, imported.recipe.data
    imports.logger.info(
        "%s: %s parameters, windows of %s %ss; the model is in %s",
        network.kind, f"{sum(tensor.numel() for tensor in imported.weights.values()):,}", f"{data.context:,}",
        data.alphabet.unit, out,
    )  # fmt: skip
