"""Sums over scored variants, beside what numpy says of all of them at once."""

import numpy as np
import pytest

from seqdiff.data.scored_variants import ScoredAlleles
from seqdiff.report.scored.along import CONTIGS, LINES, POINTS, Along
from seqdiff.report.scored.classes import CLASSES
from seqdiff.report.scored.extremes import Extremes
from seqdiff.report.scored.sites import CELLS, Sites
from seqdiff.report.scored.spread import Spread
from seqdiff.report.scored.variants_tally import VariantsTally


def alleles(rows):
    """From (contig, position, ref, alt, llr[, reason])."""
    contigs, positions, refs, alts, llr, *rest = map(list, zip(*rows, strict=True))
    number = len(contigs)
    reasons = rest[0] if rest else [""] * number
    return ScoredAlleles(
        contigs, np.array(positions), ["."] * number, refs, alts, np.array(llr, float), np.zeros(number),
        ["marginal"] * number, np.full(number, 512), reasons,
    )  # fmt: skip


def test_classes_and_reasons_are_counted():
    nan = float("nan")
    rows = [
        ("1", 5, "A", "G", -1.0, ""), ("1", 6, "A", "C", -3.0, ""), ("1", 7, "CAT", "CGG", 1.0, ""),
        ("1", 8, "C", "CTT", -2.5, ""), ("1", 9, "CTT", "C", 2.5, ""), ("1", 9, "CTT", "GA", 0.5, ""),
        ("1", 9, "C", "<DEL>", nan, "symbolic"), ("1", 9, "N", "A", nan, "unknown_reference"),
    ]  # fmt: skip
    tally = VariantsTally()
    tally.add(alleles(rows[:3]))
    tally.add(alleles(rows[3:]))
    seen = dict(zip(CLASSES, tally.seen.tolist(), strict=True))
    assert seen == {"transition": 1, "transversion": 2, "MNV": 1, "insertion": 1, "deletion": 1, "complex": 1,
                    "not letters": 1}  # fmt: skip
    assert tally.reasons == {"symbolic": 1, "unknown_reference": 1}
    assert tally.exchange.mean[0, 2] == -1.0
    assert tally.extremes["insertions"].lowest[0][:5] == ("1", 8, ".", "C", "CTT")
    assert [row[5] for row in tally.extremes["single substitutions"].lowest] == [-3.0, -1.0]
    assert (tally.substituted.scores, tally.others.scores) == (3, 3)


def test_means_deviations_and_quantiles():
    rng = np.random.default_rng(0)
    llr, classes = rng.normal(-2, 3, 5000), rng.integers(0, 2, 5000)
    spread = Spread(2)
    for part in np.array_split(np.arange(5000), 7):
        spread.add(classes[part], llr[part])
    of = llr[classes == 1]
    assert (spread.number(1), spread.below[1]) == (len(of), (of < 0).sum())
    assert (spread.mean(1), spread.deviation(1)) == pytest.approx((of.mean(), of.std(ddof=1)))
    assert spread.quantile(1, 0.5) == pytest.approx(np.median(of), abs=0.05)
    many = Spread(1)
    dense = np.linspace(-0.999, -0.951, 4801)
    many.add(np.zeros(4801, int), dense)  # one bin holds them all
    assert many.quantile(0, 0.05) == pytest.approx(np.quantile(dense, 0.05), abs=0.002)
    edges, counts, beyond = spread.histogram()
    assert counts.sum() + beyond == 5000
    assert counts.shape[1] == len(edges) - 1 <= 60


def test_quantiles_of_few_scores_lie_among_them():
    spread = Spread(2)
    spread.add(np.array([0, 1, 1]), np.array([0.0, -0.9111, 0.4791]))
    assert [spread.quantile(0, share) for share in (0.05, 0.5, 0.95)] == [0, 0, 0]
    assert [spread.quantile(1, share) for share in (0.05, 0.95)] == [-0.9111, pytest.approx(0.475)]


def test_outliers_do_not_make_the_bars_wide():
    spread = Spread(1)
    llr = np.append(np.random.default_rng(0).normal(0, 1, 2000), [-90.0, 150.0])
    spread.add(np.zeros(2002, np.int64), llr)
    edges, counts, beyond = spread.histogram()
    assert edges[-1] - edges[0] < 10
    assert beyond == 2002 - counts.sum() > 1


def test_extremes_are_exact_and_of_equal_ones_the_first():
    llr = np.random.default_rng(0).integers(-50, 50, 3000).astype(float)
    extremes = Extremes(25)
    for part in np.array_split(np.arange(3000), 11):
        extremes.add(llr[part], np.ones(len(part), bool), (part, llr[part]))
    assert [i for i, _ in extremes.lowest] == np.argsort(llr, kind="stable")[:25].tolist()
    assert [i for i, _ in extremes.highest] == np.argsort(-llr, kind="stable")[:25].tolist()
    assert not extremes.all


def test_bins_hold_what_lies_in_them_whatever_the_order():
    rng = np.random.default_rng(0)
    positions, llr = rng.integers(1, 3_000_000, 6000), rng.normal(size=6000)
    along, classes = Along(), np.zeros(6000, np.int64)
    for part in np.array_split(np.arange(6000), 5):
        along.add(["1"] * len(part), positions[part], llr[part], classes[part])
    contig = along.contigs["1"]
    assert along.points is None
    assert (contig.begin, contig.end) == (positions.min() - 1, positions.max())
    place = (positions - 1) // contig.width
    for one in (0, 17, int(place.max())):
        inside = llr[place == one]
        assert (contig.count[one], contig.low[one], contig.high[one]) == (len(inside), inside.min(), inside.max())
        assert contig.total[one] == pytest.approx(inside.sum())
    assert sum(len(middle) for middle, *_ in along.bins().values()) <= LINES


def test_few_scores_are_points_and_many_contigs_are_counted():
    along = Along()
    names = [f"c{i}" for i in range(CONTIGS + 5)]
    along.add(names, np.arange(1, len(names) + 1), np.zeros(len(names)), np.zeros(len(names), np.int64))
    assert len(along.points) == len(along.contigs) == CONTIGS
    assert along.elsewhere == 5
    along.add(["c0"] * POINTS, np.arange(1, POINTS + 1), np.zeros(POINTS), np.zeros(POINTS, np.int64))
    assert along.points is None


def test_stretches_of_saturated_sites():
    sites = Sites("ACGT")
    for position, ref in ((10, "A"), (11, "C"), (13, "G")):
        for alt in "ACGT".replace(ref, ""):
            sites.add("1", position, ref, alt, -1.0)
    assert sites.saturated()
    assert [(s.start, s.reference) for s in sites.stretches()] == [(10, "AC"), (13, "G")]
    (joined,) = sites.stretches(apart=5)
    assert joined.reference == "AC?G"
    assert np.isnan(joined.llr[2]).all()
    assert joined.llr[0].tolist() == [0.0, -1.0, -1.0, -1.0]


def test_scattered_variants_are_not_saturated_and_memory_is_bounded():
    sites = Sites("ACGT")
    for position in range(CELLS):
        sites.add("1", position, "A", "C", -1.0)
    assert not sites.saturated()
    assert sites.more
    assert sites.substitutions == CELLS
    assert sum(len(stretch.reference) for stretch in sites.stretches()) == CELLS // 4
