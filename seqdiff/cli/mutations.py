"""seqdiff variants of proteins: a table of mutations, or every substitution of a stretch."""

import logging
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from seqdiff.cli import options
from seqdiff.errors import UsageError

if TYPE_CHECKING:
    from seqdiff.data.mutations import Mutant, Protein, Reason
    from seqdiff.data.variants import Change
    from seqdiff.inference.mutations import MutantScorer, MutationEffect, MutationScorer
    from seqdiff.model import Model

METHODS = ("auto", "wt-marginal", "masked-marginal", "masked-marginal-single", "chain", "elbo")
ADDED = ("llr", "se", "method", "llr_per_residue", "reason")
"""Columns that are added to those of the table."""
SHIPPED = "protein-demo"
KINDS = {"tsv": "\t", "csv": ","}


@dataclass(frozen=True)
class Request:
    """What is asked for, as the command line says it."""

    fasta: str
    mutations: str | None
    saturate: str | None
    clip: bool
    output: Path | None
    figure: Path | None
    method: str
    orders: int | None
    draws: int | None
    check_ref: str | None
    record: str | None
    first_residue: int | None
    column: str | None
    prefix: str | None
    seed: int
    quiet: bool

    def check(self) -> None:
        """Raises UsageError for what makes no sense, before anything is read."""
        options.one_of("--method", self.method, METHODS)
        self.separator()
        auto = self.method == "auto"
        for option, number, used in (
            ("--orders", self.orders, self.saturate is None and (auto or self.method == "chain")),
            ("--draws", self.draws, self.method == "elbo" or (auto and self.saturate is None)),
        ):
            if number is not None and not used:
                single = self.saturate is not None and self.method != "elbo"
                why = "single substitutions are" if single else f"mutants are, by --method {self.method},"
                raise UsageError(f"{option}: {why} scored without it, so it would change nothing")
        if self.mutations == self.fasta == "-":
            raise UsageError("--mutations - --fasta -: only one of them can be stdin")

    def separator(self) -> str:
        """By the name of the output; stdout gets tabs."""
        output = self.output
        if output is None or str(output) == "-" or str(output).startswith("/dev/"):
            return "\t"
        suffixes = [suffix.lower() for suffix in output.suffixes if suffix.lower() not in (".gz", ".bgz")]
        kind = suffixes[-1][1:] if suffixes else ""
        if kind not in KINDS:
            raise UsageError(f"-o {output}: name it .tsv, .csv, .tsv.gz or .csv.gz: scores of proteins are a table")
        return KINDS[kind]

    def settings(self) -> "MutationScorer":
        import pydantic

        from seqdiff.inference.mutations import MutationScorer

        given = {name: value for name, value in (("orders", self.orders), ("draws", self.draws)) if value is not None}
        try:
            return MutationScorer(method=self.method, **given)
        except pydantic.ValidationError as error:
            first = error.errors()[0]
            message = first["msg"].removeprefix("Value error, ")
            raise UsageError(f"--{first['loc'][0]} {first['input']}: {message}") from error

    @property
    def added(self) -> list[str]:
        return [(self.prefix or "") + name for name in ADDED]


def load(run: Path | None, device: str) -> "Model":
    """The model of a run; without one, the small model of proteins that ships."""
    from seqdiff import model as models

    if run is None:
        _logger().info(
            "using %s, a small model of proteins that ships with seqdiff; it is for trying things out, not for "
            "science: give your own with --model RUN",
            SHIPPED,
        )
    return models.load(run or SHIPPED, device)


def score_table(model: "Model", request: Request) -> None:
    """The rows of a table as they came, each with the score of its mutant."""
    from seqdiff.data.mutant_tables import read_mutants, read_protein

    first = 1 if request.first_residue is None else request.first_residue
    protein = read_protein(request.fasta, record=request.record, first=first)
    scorer = model.mutant_scorer(protein, request.settings(), seed=request.seed)
    query = model.facts.get("query")
    read = read_mutants(
        request.mutations, protein, column=request.column, check_ref=request.check_ref or "error",
        likely_first=None if query is None else query["first"],
    )  # fmt: skip
    if taken := [name for name in request.added if name in read.table]:
        raise UsageError(
            f"--mutations {request.mutations}: it has a column {taken[0]!r} already; give --prefix NAME_, which is put "
            "before the names of the new columns"
        )
    if read.doubt:
        done = "left out" if request.check_ref == "exclude" else "gave no score to"
        _logger().warning("%s what does not fit: %s", done, read.doubt)
    write(scorer, protein, read.table.columns, read.table.rows, read.mutants, request, model.recipe.name)


def saturate(model: "Model", request: Request) -> None:
    """A table of every substitution of a stretch of a protein."""
    from seqdiff.alphabet import PROTEIN
    from seqdiff.data.mutations import parsed

    protein, spans = _spans(request)
    scorer = model.mutant_scorer(protein, request.settings(), seed=request.seed)
    cells = [
        f"{protein.sequence[i]}{i + protein.first}{letter}"
        for start, end in spans
        for i in range(start, end)
        for letter in PROTEIN.symbols
        if letter != protein.sequence[i]
    ]
    mutants = [parsed(cell, protein)[0] for cell in cells]
    write(scorer, protein, ["mutant"], [[cell] for cell in cells], mutants, request, model.recipe.name)


def write(
    scorer: "MutantScorer",
    protein: "Protein",
    columns: list[str],
    rows: list[list[str]],
    mutants: "list[Mutant | Reason]",
    request: Request,
    model: str,
) -> None:
    """The rows with their scores, the picture, and what is said of them in the end."""
    from seqdiff.data.output import Output
    from seqdiff.data.table import line_of

    picture = None if request.figure is None else _Picture(request.figure, protein, mutants)
    separator, reasons = request.separator(), Counter()
    with (
        options.progress("mutants", "mutant", request.quiet, len(mutants)) as advance,
        Output(request.output) as out,
    ):
        out.write(line_of([*columns, *request.added], separator))
        scored = scorer.effects(mutants, progress=advance)
        for row, mutant, effect in zip(rows, mutants, scored, strict=True):
            reasons[effect.reason] += 1
            out.write(line_of([*row, *cells_of(effect)], separator))
            if picture:
                picture.add(mutant, effect)
    if picture:
        picture.draw(f"log p(mutant) / p(wild type), nats; {model}")
    _report(scorer, reasons)


def cells_of(effect: "MutationEffect") -> list[str]:
    """The added cells; what is not known is empty, as other programs read it.

    >>> from seqdiff.inference.mutations import MutationEffect
    >>> cells_of(MutationEffect(-1.5, 0.0, "chain", -0.0057034))
    ['-1.5', '0', 'chain', '-0.0057034', '']
    >>> cells_of(MutationEffect(reason="stop"))
    ['', '', '', '', 'stop']
    """
    numbers = ["" if value is None else f"{value:.6g}" for value in (effect.llr, effect.se, effect.per_residue)]
    return [*numbers[:2], effect.method or "", numbers[2], effect.reason or ""]


class _Picture:
    """Single substitutions as a heat map, from the first mutated residue to the last."""

    def __init__(self, path: Path, protein: "Protein", mutants: "Iterable[Mutant | Reason]"):
        import numpy as np

        from seqdiff.alphabet import PROTEIN
        from seqdiff.report.heatmap import LONGEST

        self.path, self.protein, self.symbols = path, protein, PROTEIN.symbols
        sites = [change.start for mutant in mutants for change in _single(mutant)]
        if not sites:
            raise UsageError(f"--figure {path}: there is no single substitution to draw")
        self.start, end = min(sites), max(sites) + 1
        if end - self.start > LONGEST:
            raise UsageError(
                f"--figure {path}: a heat map is of at most {LONGEST:,} residues, not of {end - self.start:,}"
            )
        self.reference = protein.sequence[self.start : end]
        self.llr = np.full((end - self.start, len(self.symbols)), np.nan)
        for i, letter in enumerate(self.reference):
            if letter in self.symbols:
                self.llr[i, self.symbols.index(letter)] = 0.0

    def add(self, mutant: "Mutant | Reason", effect: "MutationEffect") -> None:
        for change in _single(mutant):
            if effect.llr is not None:
                self.llr[change.start - self.start, self.symbols.index(change.alt.decode())] = effect.llr

    def draw(self, title: str) -> None:
        from seqdiff.report.heatmap import heatmap_figure

        start = self.start + self.protein.first - 1
        heatmap_figure(self.path, self.protein.name, start, self.reference, self.llr, self.symbols, title)


def _single(mutant: "Mutant | Reason") -> "tuple[Change, ...]":
    """The change of a mutant that is one substitution."""
    changes = () if isinstance(mutant, str) else mutant.changes
    return changes if len(changes) == 1 and len(changes[0].ref) == len(changes[0].alt) == 1 else ()


def _spans(request: Request) -> "tuple[Protein, list[tuple[int, int]]]":
    """The wild type, and the stretches of it that are asked for: by residue number, or from a BED file."""
    from seqdiff.data.intervals import merge, parse_region, read_bed
    from seqdiff.data.mutant_tables import read_protein

    text, first = request.saturate, 1 if request.first_residue is None else request.first_residue
    protein = read_protein(request.fasta, record=request.record, first=first)
    length = len(protein.sequence)
    if os.path.isfile(text) or text == "-":
        spans = [(start, end) for _, start, end in merge(read_bed(text, {protein.name: length}, clip=request.clip))]
    else:
        last = protein.first + length - 1
        region = parse_region(text, {protein.name: last}, clip=request.clip)
        start = region.start - (protein.first - 1)
        whole = text == protein.name
        if start < 0 and not whole:
            raise UsageError(
                f"--saturate {text}: the residues of {protein.name} are numbered {protein.first} to {last}"
            )
        spans = [(0, length) if whole else (start, region.end - (protein.first - 1))]
    if not spans:
        raise UsageError(f"--saturate {text}: holds no span to score")
    return protein, spans


def _report(scorer: "MutantScorer", reasons: "Counter[str | None]") -> None:
    total, log = reasons.total(), _logger()
    why = ", ".join(f"{count:,} {reason}" for reason, count in sorted((reasons - Counter({None: total})).items()))
    log.info(
        "scored %s of %s mutants, network passes: %s%s",
        f"{reasons[None]:,}", f"{total:,}", f"{scorer.landscape.passes:,}", f"; without a score: {why}" if why else "",
    )  # fmt: skip
    if scorer.far_apart:
        log.info(
            "%s mutants have sites too far apart for one window of %s residues: what each window says was added",
            f"{scorer.far_apart:,}",
            f"{scorer.landscape.width:,}",
        )


def _logger() -> logging.Logger:
    return logging.getLogger("seqdiff")
