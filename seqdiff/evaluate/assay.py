"""Do the scores of mutants rank them as an assay measured them?"""

import logging
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float64, Int
from pydantic import Field

from seqdiff.config import Config
from seqdiff.data.mutant_tables import MutantTable, read_mutants, read_protein
from seqdiff.data.mutations import Mutant, Protein
from seqdiff.data.source import Source
from seqdiff.data.table import Table as Rows
from seqdiff.errors import DataError
from seqdiff.evaluate.agreement import bootstrap, bounds, cell
from seqdiff.evaluate.answer import Answer, Progress, Table, silent
from seqdiff.evaluate.proteingym import MEASURES, measures
from seqdiff.evaluate.substitutions import rivals
from seqdiff.inference.mutations import MutantScorer, MutationScorer

log = logging.getLogger("seqdiff")

MODEL = "model"
BIN = "DMS_score_bin"
POINTS = 4000
"""Mutants that are kept for a picture, evenly spread over the table."""
DEEP = 5
"""Mutants of so many mutations or more are judged together, as in ProteinGym."""


@runtime_checkable
class Scoring(Protocol):
    """What the question needs of a model."""

    facts: Any

    def mutant_scorer(
        self, protein: Protein, settings: MutationScorer | None = None, *, seed: int = 0
    ) -> MutantScorer: ...


class Measured(NamedTuple):
    """Mutants with a score and a measurement."""

    mutants: list[Mutant]
    fitness: Float64[np.ndarray, "N"]
    fit: Bool[np.ndarray, "N"]
    llr: Float64[np.ndarray, "N"]


class Assay(Config):
    """Spearman, AUC, MCC, NDCG and top recall of the scores of mutants, as ProteinGym defines them (`proteingym.py`).

    Beside them are those of BLOSUM62, of substitutions alone, and for a family model those of the alignment's
    site-independent profile, if the alignment is at hand. The higher the measurement, the fitter the mutant must be.
    Nothing is chosen on the measurements. Intervals are of 95 %, by a bootstrap of the mutated sites: all mutants of
    the same sites are drawn together, the same for all rivals, so that differences have intervals as well.
    """

    question: Literal["assay"] = "assay"
    mutations: Path
    """A table as ProteinGym has it."""
    fasta: Path
    """The wild type."""
    record: str | None = None
    first_residue: int = 1
    column: str | None = None
    score_column: str = "DMS_score"
    bin_column: str | None = None
    """1 for fit mutants, 0 for others; None: DMS_score_bin if there is one, else fit are those above the median."""
    check_ref: Literal["error", "warn", "exclude"] = "error"
    per_residue: bool | None = None
    """Whether mutants are ranked by llr_per_residue; None: where some are longer or shorter than the wild type."""
    scorer: MutationScorer = MutationScorer()
    fewest: int = Field(20, ge=3)
    """Mutants: of fewer no class is judged."""
    resamples: int = Field(1000, ge=100)
    seed: int = 0

    def check(self) -> None:
        """Raises DataError for a file that is not there."""
        for path in (self.mutations, self.fasta):
            if str(path) != "-":
                with Source(path):
                    pass

    def ask(self, model: Scoring, data: Any = None, progress: Progress = silent) -> Answer:
        """Raises DataError: no such column, a measurement that is no number, mutants of another wild type, too few.

        `data` of a family model gives its profile; without it, it is looked for where the model was trained on it.
        """
        protein = read_protein(self.fasta, record=self.record, first=self.first_residue)
        scorer = model.mutant_scorer(protein, self.scorer, seed=self.seed)
        first = model.facts.get("query", {}).get("first")
        read = read_mutants(self.mutations, protein, column=self.column, check_ref=self.check_ref, likely_first=first)
        if read.doubt:
            log.warning("left out what does not fit: %s", read.doubt)
        fitness, fit, how = self._measurements(read.table)
        counts: Counter[str] = Counter(mutants=len(read.mutants))
        methods: Counter[str] = Counter()
        longer = any(isinstance(mutant, Mutant) and not mutant.same_length for mutant in read.mutants)
        per_residue = longer if self.per_residue is None else self.per_residue
        measured = _scored(read, fitness, fit, scorer, per_residue, counts, methods, progress)
        if len(measured.mutants) < self.fewest:
            why = ", ".join(f"{number:,} {what}" for what, number in counts.items())
            raise DataError(
                f"{read.table.name}: only {len(measured.mutants):,} mutants have a score and a measurement ({why}); at "
                f"least {self.fewest:,} are needed to judge"
            )
        scores = {MODEL: measured.llr} | rivals(measured.mutants, protein, model, data)
        shown = np.linspace(0, len(measured.llr) - 1, min(POINTS, len(measured.llr))).astype(int)
        summary = {
            "question": self.question,
            "settings": self.model_dump(mode="json"),
            "protein": protein.name,
            "residues": len(protein.sequence),
            "counts": dict(counts),
            "score": "llr_per_residue" if per_residue else "llr",
            "methods": dict(methods),
            "passes": scorer.landscape.passes,
            "fit": how,
            "classes": self._classes(measured, scores),
            "points": np.stack([measured.llr, measured.fitness], 1)[shown].round(6).tolist(),
        }
        progress(1.0)
        return Answer(self.question, summary, _table(summary))

    def _measurements(self, table: Rows) -> tuple[Float64[np.ndarray, "N"], Bool[np.ndarray, "N"] | None, str]:
        """The column of scores, NaN where it is empty; which mutants are fit, or None; and how that was told."""
        if self.score_column not in table:
            columns = ", ".join(map(repr, table.columns))
            raise DataError(
                f"{table.name} has no column {self.score_column!r}; it has {columns}: say with --score-column which "
                "one holds the measurements"
            )
        fitness = _numbers(table, self.score_column)
        column = self.bin_column or (BIN if BIN in table else None)
        if column is None:
            return fitness, None, "at or above the median measurement"
        words = {"1": True, "1.0": True, "true": True, "0": False, "0.0": False, "false": False}
        kinds = []
        for text, line in zip(table[column], table.lines, strict=True):
            if text.strip().lower() not in words and text.strip():
                raise DataError(f"{table.name}, line {line:,}: {column} is {text!r}, not 1 (fit) or 0")
            kinds.append(words.get(text.strip().lower()))
        missing = np.array([kind is None for kind in kinds])
        return np.where(missing, np.nan, fitness), np.array([bool(kind) for kind in kinds]), column

    def _classes(self, measured: Measured, scores: dict[str, Float64[np.ndarray, "N"]]) -> list[dict[str, Any]]:
        """All mutants, and those of one number of mutations each where there are several."""
        depth = np.array([_depth(mutant) for mutant in measured.mutants])
        chosen = {"all": np.ones(len(depth), bool)}
        if len(set(depth)) > 1:
            names = {-1: "other lengths", 1: "1 mutation", DEEP: f"{DEEP} or more"}
            there = sorted(set(depth.tolist()) - {0})
            chosen |= {names.get(number, f"{number} mutations"): depth == number for number in there}
        site = _blocks(measured.mutants)
        return [
            {"class": name}
            | self._class(
                measured.fitness[which], measured.fit[which], site[which], {who: s[which] for who, s in scores.items()}
            )
            for name, which in chosen.items()
        ]

    def _class(
        self,
        fitness: Float64[np.ndarray, "N"],
        fit: Bool[np.ndarray, "N"],
        site: Int[np.ndarray, "N"],
        scores: dict[str, Float64[np.ndarray, "N"]],
    ) -> dict[str, Any]:
        """The numbers of each rival that has a score of every mutant, and the model's lead over it."""
        result: dict[str, Any] = {"mutants": len(fitness), "judged": len(fitness) >= self.fewest}
        if not result["judged"]:
            return result
        _, site = np.unique(site, return_inverse=True)
        sites = int(site.max()) + 1
        once, truth = np.ones((1, len(fitness)), np.int64), np.arange(len(fitness))
        exact, drawn = {}, {}
        measure = partial(_of_rows, fitness=fitness, fit=fit)
        for who, values in scores.items():
            if not np.isnan(values).any():
                exact[who] = measure(once, truth, values)[:, 0]
                drawn[who] = bootstrap(measure, truth, values, site, self.resamples, self.seed)
        for who in [who for who in exact if who != MODEL]:
            exact[f"minus {who}"], drawn[f"minus {who}"] = exact[MODEL] - exact[who], drawn[MODEL] - drawn[who]
        result |= {"fit": int(fit.sum()), "sites": sites}
        result["results"] = {
            who: {name: bounds(exact[who][i], drawn[who][i], sites) for i, name in enumerate(MEASURES)} for who in exact
        }
        return result


def _of_rows(
    weights: Int[np.ndarray, "r N"],
    rows: Int[np.ndarray, "N"],
    scores: Float64[np.ndarray, "N"],
    *,
    fitness: Float64[np.ndarray, "N"],
    fit: Bool[np.ndarray, "N"],
) -> Float64[np.ndarray, "5 r"]:
    return measures(weights, fitness[rows], fit[rows], scores)


def _scored(
    read: MutantTable,
    fitness: Float64[np.ndarray, "N"],
    fit: Bool[np.ndarray, "N"] | None,
    scorer: MutantScorer,
    per_residue: bool,
    counts: Counter[str],
    methods: Counter[str],
    progress: Progress,
) -> Measured:
    """What has a score and a measurement; why others have none goes to `counts`."""
    done = 0

    def more(new: float) -> None:
        nonlocal done
        done += new
        progress(0.9 * done / len(read.mutants))

    kept, llr = [], []
    for i, effect in enumerate(scorer.effects(read.mutants, progress=more)):
        if effect.llr is None:
            counts[f"unscored: {effect.reason}"] += 1
        elif not np.isfinite(fitness[i]):
            counts["unmeasured"] += 1
        else:
            kept.append(i)
            methods[effect.method or "wild type"] += 1
            llr.append(effect.per_residue if per_residue else effect.llr)
    chosen = fitness[kept]
    is_fit = fit[kept] if fit is not None else chosen >= np.median(chosen) if kept else np.zeros(0, bool)
    return Measured([read.mutants[i] for i in kept], chosen, is_fit, np.array(llr, np.float64))


def _numbers(table: Rows, column: str) -> Float64[np.ndarray, "N"]:
    values = []
    for text, line in zip(table[column], table.lines, strict=True):
        try:
            values.append(float(text) if text.strip().lower() not in ("", "na", "none", ".") else np.nan)
        except ValueError:
            raise DataError(f"{table.name}, line {line:,}: {column} is {text!r}, not a number") from None
    found = np.array(values)
    if not np.isfinite(found).any():
        raise DataError(f"{table.name}: no cell of the column {column!r} is a number")
    return np.where(np.isfinite(found), found, np.nan)


def _depth(mutant: Mutant) -> int:
    """Number of substitutions, at most `DEEP`; 0 of the wild type, -1 where the length is another."""
    return min(DEEP, sum(len(change.ref) for change in mutant.changes)) if mutant.same_length else -1


def _blocks(mutants: list[Mutant]) -> Int[np.ndarray, "N"]:
    """A number for each set of mutated sites."""
    sites = [tuple((change.start, change.end) for change in mutant.changes) for mutant in mutants]
    number = {site: i for i, site in enumerate(dict.fromkeys(sites))}
    return np.array([number[site] for site in sites])


def _lead(of: dict[str, Any]) -> str:
    """A difference with its interval, signed once so that a row fits a line."""
    text = cell(of)
    return text if of["value"] is None or of["value"] < 0 else "+" + text


NAMES = {"spearman": "Spearman", "auc": "AUC", "mcc": "MCC", "ndcg": "NDCG@10%", "top_recall": "top recall"}


def _table(summary: dict[str, Any]) -> Table:
    rows = []
    for row in summary["classes"]:
        head = [row["class"], f"{row['mutants']:,}"]
        if not row["judged"]:
            rows.append((*head, "too few to judge", *[""] * len(MEASURES)))
            continue
        for who, results in row["results"].items():
            if row["class"] == "all" or who == MODEL:
                shown = _lead if who.startswith("minus ") else cell
                rows.append((*head, who, *(shown(results[measure]) for measure in MEASURES)))
                head = ["", ""]
    counts = summary["counts"]
    judged = summary["classes"][0]
    unscored = ", ".join(f"{number:,} {what}" for what, number in counts.items() if what != "mutants")
    title = (
        f"{summary['score']} of mutants of {summary['protein']} beside the assay [95 % interval by {judged['sites']:,} "
        "sets of sites]: "
        f"{judged['mutants']:,} of {counts['mutants']:,} mutants{f' ({unscored})' if unscored else ''}; fit are "
        f"{judged['fit']:,}: {summary['fit']}"
    )
    return Table(title, ("class", "mutants", "scores", *NAMES.values()), tuple(rows))
