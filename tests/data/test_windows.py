"""Windows in the literal style: small FASTA text in, tokens and weights out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqdiff.alphabet import DNA
from seqdiff.data.genome import Genome
from seqdiff.data.intervals import Interval
from seqdiff.data.windows import Windows

LETTERS = np.array(list("ACGTN."))


@pytest.fixture
def genome(tmp_path):
    """Opens FASTA text as a genome."""

    def open_text(text):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.fa"
        path.write_text(text)
        return Genome.open(path)

    return open_text


def whole(genome):
    return [Interval(contig, 0, length) for contig, length in genome.contigs.items()]


def texts(batch):
    """Rows as letters; `.` is a pad."""
    return ["".join(LETTERS[row]) for row in batch.tokens.numpy()]


def read(windows):
    return texts(windows.batch(np.arange(len(windows))))


def train(windows, rows=200, *, seed=0, reverse_complement=False):
    items = np.arange(rows) % len(windows)
    return windows.augmented(items, np.arange(rows), seed=seed, reverse_complement=reverse_complement)


def test_tiles_are_side_by_side_and_the_rest_is_left(genome):
    windows = Windows(g := genome(">a\nACGTACCAGG\nT\n>b\nTTTT\n"), whole(g), 4)
    assert read(windows) == ["ACGT", "ACCA", "TTTT"]
    assert windows.letters == 12


def test_intervals_are_tiled_from_their_start(genome):
    windows = Windows(genome(">a\nACGTACCAGGT\n"), [Interval("a", 1, 9), Interval("a", 9, 9)], 4)
    assert read(windows) == ["CGTA", "CCAG"]


def test_tokens_are_int64_and_weights_float32(genome):
    batch = Windows(g := genome(">a\nACGT\n"), whole(g), 4).batch(np.array([0]))
    assert str(batch.tokens.dtype) == "torch.int64"
    assert str(batch.weight.dtype) == "torch.float32"
    assert batch.tokens.tolist() == [[0, 1, 2, 3]]


def test_a_short_contig_is_one_window_padded_on_the_right(genome):
    windows = Windows(g := genome(">a\nACG\n>b\nACGTA\n"), whole(g), 4)
    assert read(windows) == ["ACG.", "ACGT"]
    assert windows.batch(np.array([0])).weight.tolist() == [[1, 1, 1, 0]]
    assert windows.letters == 7


def test_items_may_come_in_any_order_and_again(genome):
    windows = Windows(g := genome(">a\nACGTTTTT\n>b\nGG\n"), whole(g), 4)
    assert texts(windows.batch(np.array([2, 0, 2, 1]))) == ["GG..", "ACGT", "GG..", "TTTT"]


def test_windows_with_too_many_unknowns_are_left_out_and_others_keep_them_unscored(genome):
    g = genome(">a\nACGTNACGTANNACGTAGCT\n")
    windows = Windows(g, whole(g), 5, max_unknown=0.2)
    assert read(windows) == ["ACGTN", "ACGTA", "TAGCT"]
    assert windows.batch(np.array([0])).weight.tolist() == [[1, 1, 1, 1, 0]]
    assert windows.letters == 14
    assert len(Windows(g, whole(g), 5, max_unknown=0.19)) == 2
    assert len(Windows(g, whole(g), 5, max_unknown=1.0)) == 4


def test_a_window_of_nothing_but_unknowns_is_never_one(genome):
    windows = Windows(g := genome(">a\nNNNNACGT\n>b\nNN\n"), whole(g), 4, max_unknown=1.0)
    assert read(windows) == ["ACGT"]


def test_ambiguity_codes_count_as_unknown(genome):
    windows = Windows(g := genome(">a\nACRYACGT\n"), whole(g), 4)
    assert read(windows) == ["ACGT"]


def test_repeats_weigh_less_in_training_and_the_same_in_evaluation(genome):
    windows = Windows(g := genome(">a\nACgtnA\n"), whole(g), 6, max_unknown=0.5, repeat_weight=0.25)
    assert windows.batch(np.array([0])).weight.tolist() == [[1, 1, 1, 1, 0, 1]]
    assert train(windows, 1).weight.tolist() == [[1, 1, 0.25, 0.25, 0, 1]]
    assert texts(train(windows, 1)) == ["ACGTNA"]


def test_the_other_strand_turns_letters_and_weights_and_keeps_pads_on_the_right(genome):
    windows = Windows(g := genome(">a\nACgnC\n"), whole(g), 7, max_unknown=0.5, repeat_weight=0.5)
    batch = train(windows, 50, reverse_complement=True)
    seen = set(zip(texts(batch), map(tuple, batch.weight.tolist()), strict=True))
    assert seen == {
        ("ACGNC..", (1, 1, 0.5, 0, 1, 0, 0)),
        ("GNCGT..", (1, 0, 0.5, 1, 1, 0, 0)),
    }


def test_half_of_the_training_windows_are_turned_only_where_asked(genome):
    windows = Windows(g := genome(f">a\n{'AC' * 100}\n"), whole(g), 10)
    turned = sum("G" in row for row in texts(train(windows, 2000, reverse_complement=True)))
    assert abs(turned - 1000) < 5 * 2000**0.5 / 2
    assert not any("G" in row for row in texts(train(windows, 2000)))
    assert not any("G" in row for row in read(windows))


def test_jitter_reaches_every_place_within_half_a_window_and_no_other(genome):
    # Position i of the contig is spelt in base 4, so that a window tells where it is.
    spelt = "".join("".join("ACGT"[i // 4**p % 4] for p in (2, 1, 0)) for i in range(64))
    windows = Windows(genome(f">a\n{spelt}\n"), [Interval("a", 12, 180)], 24)
    batch = windows.augmented(np.full(3000, 3), np.arange(3000), seed=1, reverse_complement=False)
    starts = np.array([spelt.index(row) for row in texts(batch)])
    start = 12 + 3 * 24
    assert set(starts) == set(range(start - 12, start + 13))
    counts = np.bincount(starts - (start - 12))
    assert ((counts - 120) ** 2 / 120).sum() < 60  # chi-square, 24 degrees of freedom: p < 1e-4


def test_jitter_falls_back_to_the_tile_where_too_much_is_unknown(genome):
    windows = Windows(genome(">a\nNNNNNNNNACGTTGCANNNNNNNN\n"), [Interval("a", 0, 24)], 8)
    assert read(windows) == ["ACGTTGCA"]
    assert set(texts(train(windows, 100))) == {"ACGTTGCA"}


def test_what_is_drawn_depends_on_seed_and_position_alone(genome):
    rng = np.random.default_rng(0)
    letters = "".join(rng.choice(list("ACGT"), 3000))
    windows = Windows(g := genome(f">a\n{letters}\n>b\nACGTA\n"), whole(g), 16)
    items, positions = rng.integers(len(windows), size=64), rng.integers(10**9, size=64)
    together = texts(windows.augmented(items, positions, seed=3, reverse_complement=True))
    order = rng.permutation(64)
    shuffled = windows.augmented(items[order], positions[order], seed=3, reverse_complement=True)
    assert texts(shuffled) == [together[i] for i in order]
    alone = windows.augmented(items[5:6], positions[5:6], seed=3, reverse_complement=True)
    assert texts(alone) == together[5:6]
    assert texts(windows.augmented(items, positions, seed=4, reverse_complement=True)) != together
    assert texts(windows.augmented(items, positions + 1, seed=3, reverse_complement=True)) != together


def test_no_intervals_and_no_items(genome):
    g = genome(">a\nACGT\n")
    assert len(Windows(g, [], 4)) == 0
    assert Windows(g, whole(g), 4).batch(np.array([], np.int64)).tokens.shape == (0, 4)


def test_a_batch_is_a_copy(genome):
    windows = Windows(g := genome(">a\nACGT\n"), whole(g), 4)
    windows.batch(np.array([0])).tokens.zero_()
    assert read(windows) == ["ACGT"]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 30), min_size=1, max_size=8),
    st.integers(1, 12),
    st.integers(0, 2**31),
    st.booleans(),
)
def test_no_window_ever_leaves_its_interval(tmp_path_factory, lengths, length, seed, reverse_complement):
    """Alternate stretches are inside (C and G) and outside (A and T), on both strands alike."""
    text = "".join(("CG", "AT")[i % 2][i // 2 % 2] * n for i, n in enumerate(lengths))
    edges = np.cumsum([0, *lengths])
    inside = [Interval("a", int(edges[i]), int(edges[i + 1])) for i in range(0, len(lengths), 2)]
    if not text or not any(i.length for i in inside):
        return
    path = tmp_path_factory.mktemp("genome") / "g.fa"
    path.write_text(f">a\n{text}\n")
    windows = Windows(Genome.open(path, DNA), inside, length)
    batch = train(windows, 64, seed=seed, reverse_complement=reverse_complement)
    assert set("".join(texts(batch))) <= set("CG.")
    assert set("".join(read(windows))) <= set("CG.")
    assert windows.letters == sum(len(row.replace(".", "")) for row in read(windows))
