"""Labels reach the rows that they are of, whatever a process makes of the batch."""

import torch
from oracles import Streams

from seqdiff.data.batches import Batch
from seqdiff.denoisers import Caduceus, Convolution, Transformer
from seqdiff.denoisers.reader import Reader
from seqdiff.diffusion.denoise import symbols
from seqdiff.diffusion.guidance import Guided
from seqdiff.diffusion.labels import Labelled, by_label, labelled
from seqdiff.diffusion.likelihood import elbo
from seqdiff.diffusion.processes import GenMasked, Masked

LOGITS = torch.tensor([[3.0, 0, 0, 0], [0, 3.0, 0, 0], [0, 0, 0, 0]])


class Told:
    """A network that says its label, and nothing when not told."""

    symbols = 4
    takes_time = False

    def __call__(self, tokens, time=None, labels=None):
        labels = torch.full((len(tokens),), 2) if labels is None else labels
        assert len(labels) == len(tokens)
        return LOGITS[labels][:, None].expand(*tokens.shape, 4)


def test_a_loss_is_that_of_each_row_given_its_own_label():
    tokens, labels = torch.tensor([[0] * 6, [1] * 6, [1] * 6, [0] * 6]), torch.tensor([0, 1, 2, 1])
    batch = Batch(tokens, torch.ones(4, 6), labels)
    right, untold, wrong = 3 - LOGITS[0].logsumexp(0), -LOGITS[2].logsumexp(0), -LOGITS[1].logsumexp(0)
    loss = Masked().loss(labelled(Told(), batch.labels), batch, Streams.of_step(0, 1, range(4), 4))
    assert torch.isclose(loss.nats.double(), -6 * (2 * right + untold + wrong).double())


def test_a_process_that_sees_its_rows_twice_tells_the_labels_twice():
    class Timed(Told):
        takes_time = True
        learned = staticmethod(lambda: torch.ones(4))

        def __call__(self, tokens, time, labels=None):
            assert labels.tolist() == [0, 1, 0, 1]
            return super().__call__(tokens, time, labels)

    batch = Batch(torch.zeros(2, 5, dtype=torch.int64), torch.ones(2, 5), torch.tensor([0, 1]))
    GenMasked().loss(labelled(Timed(), batch.labels), batch, Streams.of_step(0, 1, range(2), 2))


def test_rows_are_scored_given_their_labels_in_their_order():
    tokens, labels = torch.tensor([[0] * 5, [1] * 5, [0] * 5, [1, 1, 1, 5, 5]]), torch.tensor([1, 1, 0, 0])
    rng = Streams.of(0, ["a", "b", "c", "d"])

    def ask(network, tokens, scored, streams):
        score = elbo(network, tokens, scored, streams, strata=2, replicates=2)
        return score.nats, score.positions.double()

    nats, positions = by_label(ask, Told(), tokens, tokens < 4, labels, rng)
    assert positions.tolist() == [5, 5, 5, 3]
    right, wrong = LOGITS[0].logsumexp(0).double() - 3, LOGITS[0].logsumexp(0).double()
    expected = torch.stack([5 * wrong, 5 * right, 5 * right, 3 * wrong])
    torch.testing.assert_close(nats, expected, rtol=1e-6, atol=1e-6)
    none = by_label(ask, Told(), tokens, tokens < 4, None, rng)[0]
    torch.testing.assert_close(none[0], 5 * torch.tensor(4.0).log().double(), rtol=1e-6, atol=1e-6)


def test_guidance_between_a_label_and_none_has_its_two_ends():
    """T18: at weight 0 the model that is not told, at 1 the one that is, past it further away."""
    x = torch.full((2, 3), 4)
    conditional, plain = Labelled(Told(), 1), Told()
    assert torch.equal(Guided(conditional, plain, 0.0)(x), plain(x))
    assert torch.equal(Guided(conditional, plain, 1.0)(x), conditional(x))
    sharper = Guided(conditional, plain, 2.0)(x).softmax(-1)
    assert torch.allclose(sharper, (2 * LOGITS[1]).softmax(0).expand(2, 3, 4))
    assert symbols(Guided(conditional, plain, 2.0), x) == 4


def test_fresh_labels_change_nothing_and_trained_ones_their_own_rows():
    for settings in (Convolution(width=8, hidden=4, depth=2), Transformer(width=8, depth=1, heads=2, hidden=8)):
        torch.manual_seed(0)
        network = settings.build(4).attach(labels=3).double().eval()
        x = torch.randint(0, 5, (3, 12))
        torch.nn.init.normal_(network.head.weight)
        untold, told = network(x), network(x, None, torch.tensor([0, 1, 3]))
        assert torch.equal(untold, told)
        torch.nn.init.normal_(network.label_embedding.weight)
        told = network(x, None, torch.tensor([0, 1, 3]))
        assert torch.equal(told[2], network(x)[2])
        assert not torch.allclose(told[0], network(x)[0])
        assert torch.allclose(told[1], network(x[1:2], None, torch.tensor([1]))[0])


def test_a_labelled_caduceus_is_still_equivariant():
    torch.manual_seed(0)
    network = Caduceus(width=8, depth=2).build(4).attach(labels=2).double().eval()
    for parameter in (network.label_embedding.weight, *network.head.parameters()):
        torch.nn.init.normal_(parameter)
    x, labels = torch.randint(0, 4, (2, 10)), torch.tensor([0, 1])
    turned = network((3 - x).flip(1), None, labels).flip(1, 2)
    assert torch.allclose(network(x, None, labels), turned, atol=1e-12)
    assert not torch.allclose(network(x, None, labels), network(x))


def test_a_reader_is_told_the_label():
    torch.manual_seed(0)
    network = Transformer(width=8, depth=1, heads=2, hidden=8, causal=True).build(4).attach(labels=2).double().eval()
    for parameter in (network.label_embedding.weight, network.head.weight):
        torch.nn.init.normal_(parameter)
    x, labels = torch.randint(0, 4, (3, 6)), torch.tensor([1, 0, 2])
    with torch.no_grad():
        reader = Reader(network, 3, labels=labels)
        assert torch.allclose(reader.logits, network(x, None, labels)[:, 0], atol=1e-12)
