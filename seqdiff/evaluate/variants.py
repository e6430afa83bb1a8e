"""Does the model tell harmful or rare variants from harmless or common ones?"""

import logging
from collections import Counter
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int
from pydantic import Field, model_validator

from seqdiff.config import Config
from seqdiff.data.genome import Genome
from seqdiff.data.source import Source
from seqdiff.data.variants import Change, Screen, Variant, change
from seqdiff.data.vcf import Vcf
from seqdiff.errors import DataError
from seqdiff.evaluate import heldout
from seqdiff.evaluate.alleles import KINDS, kinds, markov_llr
from seqdiff.evaluate.answer import Answer, Progress, Table, silent
from seqdiff.evaluate.labels import Expression, Labels, fields
from seqdiff.evaluate.markov import MarkovModel
from seqdiff.evaluate.metrics import auprc, auroc, interval, resampled
from seqdiff.inference.changes import ChangeScorer, VariantScorer
from seqdiff.inference.variants import alleles, effects
from seqdiff.modalities.dna import DnaData

log = logging.getLogger("seqdiff")

ALL, ELSEWHERE = "all", "not trained on"
FEWEST_BLOCKS = 5
"""With either kind, for an interval: fewer blocks do not show how blocks differ."""
AREAS = ("auroc", "auprc")


class Labelled(NamedTuple):
    """Alleles that are a positive or a negative and have a score."""

    changes: list[Change]
    positive: Bool[np.ndarray, "N"]
    llr: Float64[np.ndarray, "N"]


class Variants(Config):
    """AUROC and AUPRC of -LLR, by class of variant, beside the Markov chain's.

    An allele scores -(log p(alternate) - log p(reference)), nats: the less probable, the more it counts as a
    positive. The sign is fixed, and no threshold, order or weight is chosen on the labels. The Markov chain is
    fitted on the model's training data, its order chosen on the validation split; it knows both flanks. Intervals
    are of 95 %, by a bootstrap of blocks of neighbouring variants (`metrics.resampled`), the same blocks for
    both, so that their difference has one as well. Chance is 0.5 for AUROC, and for AUPRC the share of positives.
    Longer alleles are less probable whatever they do, so insertions and deletions are best read each by itself.
    """

    question: Literal["variants"] = "variants"
    vcf: Path
    fasta: Path
    """The genome of the VCF."""
    positive: str | None = None
    """Which alleles are positives: a condition on INFO, see `seqdiff.evaluate.labels`."""
    negative: str | None = None
    label: str | None = None
    """Instead of the two: an INFO field that is 1 for positives and 0 for negatives."""
    check_ref: Literal["error", "warn", "exclude"] = "error"
    """What to do where REF is not what the genome has; with `warn` and `exclude` such records are left out."""
    scorer: VariantScorer = VariantScorer()
    fewest: int = Field(20, ge=2)
    """Of either kind: a class with fewer is not judged."""
    block: int = Field(100_000, ge=1)
    """Bases: variants that lie in the same stretch of so many are drawn together."""
    resamples: int = Field(1000, ge=100)
    order: int = Field(11, ge=0)
    """Highest Markov order."""
    seed: int = 0

    @model_validator(mode="after")
    def _labelled_once(self) -> "Variants":
        if self.label is None and (self.positive is None or self.negative is None):
            raise ValueError("say what is positive and what negative: --positive 'AF<0.001' --negative 'AF>=0.05'")
        if self.label is not None and (self.positive or self.negative):
            raise ValueError("--label KEY stands for --positive 'KEY==1' --negative 'KEY==0': give it, or the two")
        return self

    def check(self) -> None:
        """Raises what can be known from the settings and the header of the VCF: files and fields that are not there."""
        with Source(self.fasta):
            pass
        if str(self.vcf) != "-":
            with Vcf(self.vcf) as vcf:
                self._labels(vcf)

    def ask(self, model: heldout.Asked, data: heldout.HeldOut, progress: Progress = silent) -> Answer:
        """Raises DataError: no such file or field, another assembly, no positives or no negatives; a model of other
        sequences than genomes."""
        if not isinstance(data, DnaData):
            raise DataError(f"the model was trained on {model.alphabet.name}: variants of a VCF are of DNA")
        genome = Genome.open(self.fasta, model.alphabet)
        found, positive, counts = self._read(genome)
        scorer = ChangeScorer(
            genome, model.denoise, data.config.context, self.scorer, seed=self.seed, batch_tokens=model.batch_tokens
        )
        labelled = _scored(found, positive, scorer, counts, progress)
        chain = heldout.markov(data, self.order)
        order = _best_order(chain, data)
        known = _trained_on(labelled.changes, genome, data)
        if known.any():
            log.warning(
                "%s of %s variants lie where the model was trained: their reference alleles are known to it",
                f"{known.sum():,}", f"{len(known):,}",
            )  # fmt: skip
        scores = np.stack([-labelled.llr, -markov_llr(labelled.changes, genome, chain, order)])
        summary = {
            "question": self.question,
            "settings": self.model_dump(mode="json"),
            "unit": model.alphabet.unit,
            "counts": dict(counts),
            "trained_on": int(known.sum()),
            "markov_order": order,
            "classes": self._classes(labelled, genome, scores, known),
        }
        return Answer(self.question, summary, _table(summary))

    def _read(self, genome: Genome) -> tuple[list[Variant], list[bool], Counter[str]]:
        """The alleles that are of one kind, and what became of all."""
        found: list[Variant] = []
        is_positive: list[bool] = []
        counts: Counter[str] = Counter(alleles=0, positive=0, negative=0, both=0, neither=0, other_reference=0)
        with Vcf(self.vcf) as vcf:
            labels = self._labels(vcf)
            screen = Screen(genome, vcf.name, "error" if self.check_ref == "error" else "exclude")
            for record in screen(vcf.records()):
                for variant, kind in zip(alleles(record), labels.of(record), strict=True):
                    counts["alleles"] += 1
                    counts[_KINDS[kind]] += 1
                    if kind[0] != kind[1]:
                        found.append(variant)
                        is_positive.append(kind[0])
            counts["other_reference"] = screen.mismatches
        if screen.mismatches:
            log.warning("left out %s records whose REF is not the genome's: %s", f"{screen.mismatches:,}", screen.first)
        for kind, expression in zip(("positive", "negative"), self._expressions, strict=True):
            if not counts[kind]:
                raise DataError(
                    f"{vcf.name}: none of {counts['alleles']:,} alleles is a {kind} ({expression}); "
                    f"{counts['positive']:,} are positives, {counts['negative']:,} negatives, {counts['both']:,} both, "
                    f"{counts['neither']:,} neither"
                )
        return found, is_positive, counts

    @property
    def _expressions(self) -> list[str]:
        if self.label is not None:
            return [f"{self.label}=={value}" for value in (1, 0)]
        return [self.positive or "", self.negative or ""]

    def _labels(self, vcf: Vcf) -> Labels:
        positive, negative = map(Expression.parse, self._expressions)
        return Labels(positive, negative, fields(vcf.meta), vcf.name)

    def _classes(
        self, labelled: Labelled, genome: Genome, scores: Float64[np.ndarray, "2 N"], known: Bool[np.ndarray, "N"]
    ) -> list[dict[str, Any]]:
        member = [kinds(each, genome) for each in labelled.changes]
        chosen = {ALL: np.ones(len(member), bool)}
        if 0 < known.sum() < len(known):
            chosen[ELSEWHERE] = ~known
        chosen |= {kind: np.array([kind in of for of in member]) for kind in KINDS}
        block = _blocks(labelled.changes, self.block)
        return [
            {"class": name} | self._class(scores[:, which], labelled.positive[which], block[which])
            for name, which in chosen.items()
        ]

    def _class(
        self, scores: Float64[np.ndarray, "2 N"], positive: Bool[np.ndarray, "N"], block: Int[np.ndarray, "N"]
    ) -> dict[str, Any]:
        """Both areas of both scores and their differences; `model` is missing where there is too little to judge by."""
        positives, negatives = int(positive.sum()), int((~positive).sum())
        result: dict[str, Any] = {"positives": positives, "negatives": negatives, "judged": False}
        if min(positives, negatives) < self.fewest:
            return result
        numbers, block = np.unique(block, return_inverse=True)
        blocks = min(len(np.unique(block[kind])) for kind in (positive, ~positive))
        result |= {"judged": True, "chance": positives / len(positive), "blocks": len(numbers)}
        drawn = resampled(scores, positive, block, self.resamples, self.seed) if blocks >= FEWEST_BLOCKS else None
        areas = np.array([[area(row, positive) for row in scores] for area in (auroc, auprc)])
        for who, weights in (("model", (1, 0)), ("markov", (0, 1)), ("difference", (1, -1))):
            result[who] = {}
            for number, area in enumerate(AREAS):
                ends = (None, None) if drawn is None else interval(np.dot(weights, drawn[number]), blocks)
                value = float(np.dot(weights, areas[number]))
                result[who][area] = {"value": value, "low": ends[0], "high": ends[1]}
        return result


_KINDS = {
    (True, False): "positive", (False, True): "negative", (True, True): "both", (False, False): "neither",
}  # fmt: skip


def _scored(
    found: list[Variant], positive: list[bool], scorer: ChangeScorer, counts: Counter[str], progress: Progress
) -> Labelled:
    """The scores of the labelled alleles, in order; why others have none goes to `counts`."""
    done = 0

    def more(new: int) -> None:
        nonlocal done
        done += new
        progress(done / len(found))

    changes, kinds_of, llr = [], [], []
    for effect, kind in zip(effects(found, scorer, progress=more), positive, strict=True):
        if effect.llr is None:
            counts[f"unscored: {effect.reason}"] += 1
            continue
        changes.append(change(effect.variant, scorer.genome, scorer.longest))
        kinds_of.append(kind)
        llr.append(effect.llr)
    if not changes:
        why = ", ".join(f"{number:,} {what}" for what, number in counts.items() if what.startswith("unscored"))
        raise DataError(f"none of the {len(found):,} labelled alleles has a score: {why}")
    return Labelled(changes, np.array(kinds_of, bool), np.array(llr))


def _blocks(changes: list[Change], length: int) -> Int[np.ndarray, "N"]:
    """Numbers of the stretches of so many bases in which changes begin."""
    names = {name: number for number, name in enumerate(sorted({each.contig for each in changes}))}
    places = np.array([(names[each.contig], each.start // length) for each in changes]).reshape(-1, 2)
    return np.unique(places, axis=0, return_inverse=True)[1].reshape(-1)


def _trained_on(changes: list[Change], genome: Genome, data: heldout.HeldOut) -> Bool[np.ndarray, "N"]:
    """Which changes lie in a training interval, where the contig is that of the model's own genome, by its length."""
    known = np.zeros(len(changes), bool)
    for contig in {each.contig for each in changes}:
        if data.genome.contigs.get(contig) != genome.contigs[contig]:
            continue
        here = np.array([i for i, each in enumerate(changes) if each.contig == contig])
        start = np.array([changes[i].start for i in here])
        for trained in data.intervals["train"]:
            if trained.contig == contig:
                known[here] |= (start >= trained.start) & (start < trained.end)
    return known


def _best_order(chain: MarkovModel, data: heldout.HeldOut, letters: int = 200_000) -> int:
    """The order that gives (the first letters of) the validation split the highest probability."""
    nats = np.zeros(chain.order + 1)
    for piece in heldout.pieces(data, "valid", letters):
        nats += chain.log_prob(piece[None]).sum((1, 2))
    return int(nats.argmax())


def _table(summary: dict[str, Any]) -> Table:
    def cell(of: dict[str, Any], sign: str = "") -> str:
        ends = "" if of["low"] is None else f" [{of['low']:{sign}.3f}, {of['high']:{sign}.3f}]"
        return f"{of['value']:{sign}.3f}{ends}"

    rows = []
    for row in summary["classes"]:
        cells = [row["class"], f"{row['positives']:,}", f"{row['negatives']:,}"]
        if row["judged"]:
            for area, chance in zip(AREAS, (0.5, row["chance"]), strict=True):
                cells += [cell(row[who][area], sign) for who, sign in (("model", ""), ("difference", "+"))]
                cells += [f"{chance:.3f}"] if area == "auprc" else []
        else:
            cells += ["too few to judge", *[""] * 4]
        rows.append(tuple(cells))
    order, counts = summary["markov_order"], summary["counts"]
    columns = ("class", "positives", "negatives", "AUROC", "minus Markov", "AUPRC", "minus Markov", "chance")
    title = (
        f"Variants told apart by -LLR [95 % interval], and by how much better than a Markov chain of order {order}: "
        f"{counts['positive']:,} positives and {counts['negative']:,} negatives of {counts['alleles']:,} alleles "
        f"({counts['both']:,} both, {counts['neither']:,} neither, "
        f"{sum(n for what, n in counts.items() if what.startswith('unscored')):,} without a score)"
    )
    if any(row["judged"] and row["model"]["auroc"]["low"] is None for row in summary["classes"]):
        title += f"; no interval from fewer than {FEWEST_BLOCKS} blocks of {summary['settings']['block']:,} bases"
    return Table(title, columns, tuple(rows))
