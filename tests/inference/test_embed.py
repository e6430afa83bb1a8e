"""States and their means: right against the network itself, for every network, on both strands, at any length."""

import numpy as np
import pytest
import torch

from seqdiff.alphabet import DNA, PROTEIN
from seqdiff.data.fasta import Record
from seqdiff.denoisers import Caduceus, Convolution, HollowConvolution, Transformer
from seqdiff.errors import UsageError
from seqdiff.inference.embed import Embedded, States, embed, padded, spans, stretches, views

NETWORKS = [
    Convolution(width=12, hidden=6, depth=3, kernel=3, max_dilation=4),
    HollowConvolution(width=12, depth=3, radius=2, cycle=2),
    Transformer(width=16, depth=2, heads=2, hidden=12),
    Transformer(width=16, depth=2, heads=2, hidden=12, time_conditioning=True),
    Caduceus(width=8, depth=2, states=3),
    Caduceus(width=8, depth=2, states=3, swap_strands=True),
    Caduceus(width=8, depth=2, states=3, strands="ph"),
]


def states_of(settings, alphabet=DNA, **options) -> States:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        network = settings.build(alphabet.size).eval()
        with torch.no_grad():
            for parameter in network.parameters():
                parameter += 0.2 * torch.randn(parameter.shape)
    return States(network, alphabet, torch.device("cpu"), **options)


@pytest.fixture(params=NETWORKS, ids=lambda settings: settings.kind)
def states(request) -> States:
    return states_of(request.param)


@pytest.fixture(scope="module")
def plain() -> States:
    return states_of(NETWORKS[0])


def records(*texts: str | bytes) -> list[Record]:
    return [
        Record(f"r{i}", f"r{i} words", text if isinstance(text, bytes) else text.encode())
        for i, text in enumerate(texts)
    ]


def drawn(length: int, seed: int = 0, unknown: float = 0.0) -> bytes:
    rng = np.random.default_rng(seed)
    tokens = rng.integers(0, 4, length).astype(np.uint8)
    tokens[rng.random(length) < unknown] = DNA.mask
    return DNA.decode(tokens)


def other_strand(text: bytes) -> bytes:
    return DNA.decode(DNA.reverse_complement(DNA.encode(text)))


def residues(states: States, text: bytes, context: int = 64, **options) -> np.ndarray:
    return np.concatenate([s.states for s in stretches(records(text), states, context, **options)])


def means(states: States, *texts: str | bytes, context: int = 64, **options) -> list[Embedded]:
    return list(embed(records(*texts), states, context, **options))


def test_a_state_is_the_networks_own_on_one_strand():
    states = states_of(NETWORKS[0], strand="forward")
    text = drawn(40, unknown=0.1)
    expected = states.network.hidden(torch.from_numpy(DNA.encode(text).astype(np.int64))[None])[0]
    np.testing.assert_allclose(residues(states, text), expected.detach(), atol=1e-6)


def test_on_both_strands_it_is_the_mean_of_the_two(plain):
    text = drawn(40)
    one, other = (
        plain.network.hidden(torch.from_numpy(DNA.encode(each).astype(np.int64))[None])[0].detach()
        for each in (text, other_strand(text))
    )
    np.testing.assert_allclose(residues(plain, text), (one + other.flip(0)) / 2, atol=1e-6)


def test_a_protein_has_one_strand():
    states = states_of(NETWORKS[0], PROTEIN)
    (found,) = embed(records("MKV"), states, 64)
    expected = states.network.hidden(torch.from_numpy(PROTEIN.encode(b"MKV").astype(np.int64))[None])[0]
    np.testing.assert_allclose(found.vector, expected.detach().mean(0), atol=1e-6)
    with pytest.raises(UsageError, match="one strand: protein has no other one"):
        states_of(NETWORKS[0], PROTEIN, strand="forward")


@pytest.mark.parametrize("length", [1, 7, 64, 65, 66, 129, 200, 333])
def test_the_reverse_complement_has_the_same_states_in_reverse(states, length):
    text = drawn(length, unknown=0.05)
    one, other = residues(states, text), residues(states, other_strand(text))
    assert one.shape == (length, states.width)
    np.testing.assert_allclose(other[::-1], one, atol=2e-5)
    assert np.abs(one).max() > 0.1


@pytest.mark.parametrize("length", [20, 150])
def test_the_reverse_complement_has_the_same_mean(states, length):
    text = drawn(length, unknown=0.1)
    one, other, elsewhere = means(states, text, other_strand(text), drawn(length, seed=9))
    np.testing.assert_allclose(other.vector, one.vector, atol=2e-5)
    assert np.abs(elsewhere.vector - one.vector).max() > 1e-2


def test_halves_of_an_equivariant_network_are_folded():
    states = states_of(Caduceus(width=8, depth=2, states=3))
    assert states.width == 8
    assert states_of(Caduceus(width=8, depth=2, states=3), strand="forward").width == 16


def test_a_mean_leaves_unknown_letters_out(plain):
    text = b"ACGTNNRACA"
    states = residues(plain, text)
    (found,) = means(plain, text)
    known = [0, 1, 2, 3, 7, 8, 9]
    assert (found.known, found.length, found.start, found.end, found.name) == (7, 10, 0, 10, "r0")
    np.testing.assert_allclose(found.vector, states[known].mean(0), atol=1e-6)


def test_nothing_known_has_no_mean(plain):
    some = means(plain, "", "NNN", "ACG")
    assert [row.known for row in some] == [0, 0, 3]
    assert [bool(np.isnan(row.vector).all()) for row in some] == [True, True, False]
    assert [len(s.states) for s in stretches(records("", "NNN"), plain, 64)] == [0, 3]


def test_means_do_not_depend_on_batches_or_neighbours(states):
    texts = [drawn(n, seed=n) for n in (5, 90, 31, 64, 1, 250, 17)]
    together = means(states, *texts)
    alone = [means(states, text)[0] for text in texts]
    small = means(states, *texts, batch_tokens=1)
    for row, one, few in zip(together, alone, small, strict=True):
        np.testing.assert_allclose(one.vector, row.vector, atol=1e-5)
        np.testing.assert_allclose(few.vector, row.vector, atol=1e-5)
    assert [row.number for row in together] == list(range(7))


def test_records_that_are_read_a_few_at_a_time_stay_in_order(plain, monkeypatch):
    texts = [drawn(n, seed=n) for n in (30, 300, 8, 64, 2, 250, 17)]
    expected = means(plain, *texts)
    monkeypatch.setattr("seqdiff.inference.embed.TOKENS_AT_ONCE", 80)
    done = []
    found = means(plain, *texts, batch_tokens=80, progress=done.append)
    assert [(row.number, row.length) for row in found] == [(row.number, row.length) for row in expected]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.vector, other.vector, atol=1e-5)
    assert sum(done) == sum(map(len, texts))
    assert len(done) > 5


@pytest.mark.parametrize("context", [8, 9, 10])
@pytest.mark.parametrize("length", [*range(1, 60), 333])
def test_views_cover_every_letter_once_and_are_the_same_from_both_ends(length, context):
    found = list(views(length, context))
    counts = np.zeros(length)
    for view in found:
        assert 0 <= view.start <= view.first < view.last <= view.end <= length
        assert view.end - view.start == min(context, length)
        counts[view.first : view.last] += 1
        counts[view.first] -= view.shares_first / 2
        counts[view.last - 1] -= view.shares_last / 2
    assert (counts == 1).all()
    assert [(length - v.end, length - v.last, v.shares_last) for v in reversed(found)] == [
        (v.start, v.first, v.shares_first) for v in found
    ]
    assert [v.shares_last for v in found[:-1]] == [v.shares_first for v in found[1:]]


def test_no_letter_of_a_long_record_is_read_near_the_edge_of_a_window():
    context, length = 100, 1234
    for view in views(length, context):
        before, after = view.first - view.start, view.end - view.last
        assert before >= context // 4 - 1 or view.start == 0
        assert after >= context // 4 - 1 or view.end == length


def test_a_long_record_has_the_states_of_a_network_that_sees_it_whole():
    """The convolution reaches 14 letters to each side, and of a window of 64 the middle 32 are used."""
    states = states_of(NETWORKS[0])
    assert states.network.reach <= 15
    text = drawn(701)
    np.testing.assert_allclose(residues(states, text, 64), residues(states, text, 1024), atol=2e-5)


@pytest.mark.parametrize(("window", "stride"), [(10, None), (10, 4), (64, 1), (500, 500), (1, 1)])
def test_windows_are_means_of_their_letters(plain, window, stride):
    text = drawn(203, unknown=0.2)
    states = residues(plain, text)
    known = DNA.encode(text) < 4
    found = means(plain, text, window=window, stride=stride)
    assert [(row.start, row.end) for row in found] == list(spans(203, window, stride or window))
    assert found[-1].end == 203
    for row in found:
        letters = states[row.start : row.end][known[row.start : row.end]]
        assert row.known == len(letters)
        if len(letters):
            np.testing.assert_allclose(row.vector, letters.mean(0), atol=1e-5)
        else:
            assert np.isnan(row.vector).all()


def test_windows_of_an_empty_record_and_bad_strides(plain):
    (row,) = means(plain, "", window=5)
    assert (row.start, row.end, row.known) == (0, 0, 0)
    for window, stride in ((0, None), (5, 0), (5, 6), (-1, 1)):
        with pytest.raises(UsageError, match="windows of"):
            means(plain, "ACGT", window=window, stride=stride)


def test_rows_are_padded_on_the_right():
    assert padded([np.array([1, 2], np.uint8), np.array([3], np.uint8)], 5).tolist() == [[1, 2], [3, 5]]
