import pytest
import torch

from seqdiff.denoisers import Caduceus, Convolution, HollowConvolution, Transformer
from seqdiff.denoisers.caduceus import both_strands
from seqdiff.denoisers.readout import Pooled, Reader, Readout

NETWORKS = [
    Convolution(width=12, hidden=6, depth=2, kernel=3),
    HollowConvolution(width=12, depth=2, radius=2, cycle=2),
    Transformer(width=16, depth=1, heads=2, hidden=12, time_conditioning=True),
    Caduceus(width=8, depth=2, states=3),
    Caduceus(width=8, depth=2, states=3, strands="ph"),
]


def reader_of(settings, readout: Readout, outputs: int = 3) -> Reader:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return Reader(settings.build(4), readout, outputs, strands=True).eval()


@pytest.mark.parametrize("pooling", ["mean", "max", "both"])
@pytest.mark.parametrize("hidden", [None, 7])
@pytest.mark.parametrize("settings", NETWORKS, ids=lambda s: s.kind)
def test_pads_and_unknown_letters_are_not_pooled(settings, hidden, pooling):
    reader = reader_of(settings, Readout(hidden=hidden, pooling=pooling))
    tokens = torch.randint(0, 5, (3, 20), generator=torch.Generator().manual_seed(1))
    longer = torch.cat([tokens, torch.full((3, 4), 5)], 1)
    with torch.no_grad():
        torch.testing.assert_close(reader(longer), reader(tokens), atol=1e-5, rtol=1e-4)
        states = reader.states(tokens)
        known = tokens < 4
        states[~known] = 1e6
        pooled = reader.head.gather(states, known)
        torch.testing.assert_close(reader.head(pooled), reader(tokens), atol=1e-5, rtol=1e-4)
        assert reader(tokens).shape == (3, 3)


def test_a_row_without_a_letter_has_a_finite_answer():
    reader = reader_of(NETWORKS[0], Readout())
    with torch.no_grad():
        assert reader(torch.full((1, 6), 4)).isfinite().all()


def test_an_equivariant_network_answers_both_strands_alike_and_others_are_read_twice():
    tokens = torch.randint(0, 4, (2, 17), generator=torch.Generator().manual_seed(1))
    for settings in NETWORKS:
        reader = reader_of(settings, Readout(hidden=4))
        assert reader.reads_twice != reader.folds
        with torch.no_grad():
            one, other = reader(both_strands(tokens, 4)).chunk(2)
        assert torch.allclose(one, other, atol=1e-5) == reader.folds


def test_windows_of_one_sequence_are_pooled_together():
    head = Readout(hidden=None, pooling="both", dropout=0).build(3, 2)
    states = torch.randn(1, 10, 3, generator=torch.Generator().manual_seed(2))
    everything = torch.ones(1, 10, dtype=torch.bool)
    parts = [head.gather(states[:, :4], everything[:, :4]), head.gather(states[:, 4:], everything[:, 4:])]
    together = Pooled(*(torch.cat(each) for each in zip(*parts, strict=True))).combined(torch.tensor([0, 0]), 1)
    torch.testing.assert_close(head(together), head(head.gather(states, everything)))
    apart = Pooled(*(torch.cat(each) for each in zip(*parts, strict=True))).combined(torch.tensor([1, 0]), 2)
    torch.testing.assert_close(head(apart)[1], head(parts[0])[0])
