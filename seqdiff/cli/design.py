"""Options that ask something of designed DNA."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seqdiff.errors import UsageError

if TYPE_CHECKING:
    from seqdiff.diffusion.samplers import Sampler
    from seqdiff.inference.design import Design

GC = Annotated[
    str | None, typer.Option("--gc", help="Share of G and C among the letters that are filled: 0.4-0.6 or 40%-60%.")
]
Forbid = Annotated[
    list[str] | None,
    typer.Option("--forbid", help="No such word on either strand: IUPAC letters, or an enzyme (EcoRI). Repeatable."),
]
Translate = Annotated[
    Path | None,
    typer.Option(
        "--translate",
        help="FASTA of proteins that the records of the same names must code for, by synonymous codons; in a header, "
        "start=N is the leftmost base of the span (default 1), strand=- the other strand.",
    ),
]
GeneticCode = Annotated[
    int | None, typer.Option("--genetic-code", help="NCBI translation table of --translate; default 1, the standard.")
]


def asked(gc: str | None, forbid: list[str] | None, translate: Path | None, code: int | None) -> "Design | None":
    """What the options ask for; None: nothing."""
    if code is not None and translate is None:
        raise UsageError("--genetic-code: it says how proteins are read, so give --translate as well")
    if gc is None and not forbid and translate is None:
        return None
    from seqdiff.inference import design

    return design.Design(
        gc=None if gc is None else design.GC.parse(gc),
        motifs=tuple(design.Motif.parse(text) for text in forbid or ()),
        codings={} if translate is None else design.read_codings(translate, design.GeneticCode(code or 1)),
    )


def particles(
    number: int | None,
    sampler: str | None,
    settings: list[str] | None,
    steps: int | None,
    temperature: float,
    top_p: float,
) -> "Sampler":
    """The sampler of constraints. They leave nothing to any other one."""
    for option, given in (("--sampler", sampler), ("--set", settings), ("--steps", steps)):
        if given and given != "particles":
            raise UsageError(
                f"{option}: with --gc, --forbid or --translate letters are filled one by one by the sampler particles; "
                "say how many with --particles"
            )
    from seqdiff.cli import options
    from seqdiff.inference.design import PARTICLES

    return options.sampler("particles", [f"particles={number or PARTICLES}"], temperature=temperature, top_p=top_p)
