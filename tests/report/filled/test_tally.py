"""Sums over filled letters: the same however a table is cut, and those that one would count by hand."""

import itertools

import numpy as np
import pytest

from seqdiff.data.filled_table import FilledLetters
from seqdiff.errors import DataError
from seqdiff.report.filled.samples import KEPT
from seqdiff.report.filled.tally import Tally


def letters(rows):
    """A block of rows (record, position from 0, letter, probabilities)."""
    names, firsts = [], []
    for i, (name, *_) in enumerate(rows):
        if not names or name != names[-1]:
            names.append(name)
            firsts.append(i)
    _, positions, filled, probabilities = zip(*rows, strict=True)
    return FilledLetters(
        names, np.array(firsts), np.array(positions), np.frombuffer("".join(filled).encode(), np.uint8),
        np.array(probabilities, np.float64),
    )  # fmt: skip


def tally(rows, cuts=(), **options):
    found = Tally("ACGT", **options)
    edges = [0, *cuts, len(rows)]
    for first, last in itertools.pairwise(edges):
        if last > first:
            found.add(letters(rows[first:last]))
    return found.finish()


def drawn(rng, records):
    """Records with gaps of all kinds, some filled several times."""
    rows = []
    for record in range(records):
        positions = np.flatnonzero(rng.random(rng.integers(5, 700)) < rng.choice([0.05, 0.5, 0.98]))
        samples = int(rng.integers(1, 4))
        probabilities = rng.dirichlet([0.5] * 4, len(positions))
        for sample in range(samples):
            name = f"r{record}" + (f"_sample{sample + 1}" if samples > 1 else "")
            for position, p in zip(positions.tolist(), probabilities):
                rows.append((name, position, "ACGT"[rng.choice(4, p=p)], p))
    return rows


def everything(found):
    samples = {name: value for name, value in vars(found.samples).items() if not name.startswith("_")}
    shown = {
        why: [
            (
                g.name,
                g.start,
                g.length,
                g.before,
                g.after,
                bytes(g.letters),
                [(n, bytes(o)) for n, o in g.others.items()],
            )
            for g in gaps
        ]
        for why, gaps in found.chosen.groups().items()
    }
    sums = [
        found.confidence,
        found.bits,
        samples.pop("alone"),
        samples.pop("gaps_alone"),
        *(x for row in found.edges.rows() for x in row[2:]),
    ]
    counts = (
        found.records, found.fillings, found.letters, found.gaps, found.longest, found.lengths.tolist(),
        found.letters_of_length.tolist(), found.confidences.tolist(), [row[:2] for row in found.edges.rows()], samples,
        shown, [(*row[:3], row[5]) for row in found.rows],
    )  # fmt: skip
    return counts, sums


def test_sums_do_not_depend_on_how_the_table_is_cut():
    rng = np.random.default_rng(0)
    for _ in range(8):
        rows = drawn(rng, int(rng.integers(1, 9)))
        whole = everything(tally(rows))
        for cuts in (range(1, len(rows), 7), sorted(rng.integers(0, len(rows), 9).tolist())):
            counts, sums = everything(tally(rows, cuts))
            assert counts == whole[0]
            assert sums == pytest.approx(whole[1])


P = [0.5, 0.25, 0.25, 0.0]


def test_gaps_are_runs_of_positions():
    rows = [("a", i, "A", P) for i in (3, 4, 5, 9)] + [("b", i, "C", P) for i in (10, 11)]
    found = tally(rows, (2, 5))
    assert (found.records, found.letters, found.gaps, found.longest) == (2, 6, 3, 3)
    assert found.confidence == pytest.approx(4 * 0.5 + 2 * 0.25)
    assert found.bits == pytest.approx(6 * 1.5)
    assert [row[:3] for row in found.rows] == [("a", 4, 3), ("a", 10, 1), ("b", 11, 2)]
    (gaps,) = found.chosen.groups().values()
    assert [(gap.start, gap.before, gap.after) for gap in gaps] == [(3, 0, 9), (9, 6, -1), (10, 0, -1)]


def test_distances_are_those_to_the_nearest_known_letter():
    length = 1000
    rows = [("a", i, "A", P) for i in range(length)]
    counted = {name: count for name, count, *_ in tally(rows, range(0, length, 60)).edges.rows()}
    distance = np.minimum(np.arange(1, length + 1), np.arange(length, 0, -1))
    assert counted["1"] == 2
    assert counted["129 to 256"] == ((distance > 128) & (distance <= 256)).sum()
    assert counted["over 256"] == (distance > 256).sum()


def test_the_surest_gap_is_the_one_of_least_entropy_among_long_ones():
    sure, unsure = [1.0, 0, 0, 0], [0.25] * 4
    rows = [("a", 0, "A", sure)]
    rows += [(f"r{i}", j, "A", unsure if i == 3 else sure if i == 5 else P) for i in range(20) for j in range(6)]
    groups = tally(rows, gaps_shown=1).chosen.groups()
    assert {why: [gap.name for gap in gaps] for why, gaps in groups.items()} == {
        "surest": ["r5"], "least sure": ["r3"], "longest": ["r0"], "first": ["a"],
    }  # fmt: skip


def test_how_fillings_agree():
    one = {"a_sample1": "AAC", "a_sample2": "AAC", "a_sample3": "ACC"}
    rows = [(name, (2, 3, 7)[i], letter, P) for name, text in one.items() for i, letter in enumerate(text)]
    samples = tally(rows).samples
    assert (samples.records, samples.most, samples.unanimous, samples.letters) == (1, 3, 2, 3)
    assert samples.equal / samples.pairs == pytest.approx((1 + 1 / 3 + 1) / 3)
    assert samples.alone / samples.pairs == pytest.approx(0.375)
    assert (samples.gaps, samples.gaps_alike) == (2, 1)
    alike = 0.5**3 + 2 * 0.25**3
    assert samples.gaps_alone == pytest.approx(alike**2 + alike)


def test_fillings_of_other_positions_are_not_compared():
    rows = [("a_sample1", 2, "A", P), ("a_sample2", 2, "A", P), ("a_sample2", 3, "A", P)]
    assert (tally(rows).samples.records, tally(rows).samples.unlike, tally(rows).samples.pairs) == (1, 1, 0)


def test_a_name_that_only_looks_like_a_sample_is_a_record():
    rows = [("a_sample1", 2, "A", P), ("b_sample7", 2, "A", P), ("c_sample2", 3, "A", P)]
    found = tally(rows)
    assert (found.records, found.fillings, found.samples.records) == (3, 3, 0)


def test_of_long_records_the_first_letters_are_compared():
    many = KEPT + 10
    rows = [(f"a_sample{s}", i, "A", P) for s in (1, 2) for i in range(many)]
    samples = tally(rows, range(0, 2 * many, 50_000)).samples
    assert (samples.letters, samples.unanimous, samples.cut, samples.unlike) == (KEPT, KEPT, 1, 0)


def fasta(tmp_path, text):
    path = tmp_path / "in.fa"
    path.write_text(text)
    return path


def test_the_fasta_shows_hidden_letters_and_what_is_beside(tmp_path):
    path = fasta(tmp_path, ">x\nAAAA\n>a\nGGaCNNgg\n")
    rows = [("a_sample1", 2, "A", P), ("a_sample1", 3, "A", P), ("a_sample1", 4, "A", P), ("a_sample1", 5, "A", P)]
    found = tally(rows, fasta=path)
    assert (found.truth.hidden.sum(), found.truth.right.sum()) == (2, 1)
    assert found.truth.said.sum() == pytest.approx(1.0)
    assert {chr(i): int(n) for i, n in enumerate(found.truth.near) if n} == {"G": 4}
    (gap,) = found.chosen.groups()["all"]
    assert found.truth.around([gap], 14)[id(gap)] == ("GG", "GG", "ACNN")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (">b\nNNNN\n", "has no record 'a'"),
        (">a\nNN\n", "has 2 letters, but one was filled at 3"),
        (">a\n" + "A" * 40 + "\n", "is it the filled FASTA"),
    ],
)
def test_another_fasta_is_refused(tmp_path, text, says):
    with pytest.raises(DataError, match=says):
        tally([("a", i, "A", P) for i in range(2, 30)], fasta=fasta(tmp_path, text))
