import pytest
import torch
from oracles import Blind, Hollow, MarkovChain, TinyJoint

from seqdiff import model as models
from seqdiff.diffusion.likelihood import Pseudo, site_marginals
from seqdiff.streams import Streams

chain = MarkovChain()


def run(network, x, scored=None, batch_size=32):
    scored = x < network.symbols if scored is None else scored
    return Pseudo()(network, x, scored, Streams.of(0, range(len(x))), batch_size=batch_size)


def test_each_letter_given_all_others_by_enumeration():
    """Not by the network's word: p(x) over the sum of p of all strings that differ at the letter alone."""
    tiny = TinyJoint()
    for x in tiny.strings[::7]:
        expected = 0.0
        for site in range(4):
            others = x.expand(3, -1).clone()
            others[:, site] = torch.arange(3)
            expected -= float(tiny.log_prob(x[None])[0] - tiny.log_prob(others).logsumexp(0))
        for network in (Blind(tiny), Hollow(tiny)):
            assert run(network, x[None]).nats.item() == pytest.approx(expected, abs=1e-12)


def test_a_pass_a_letter_and_one_for_all_where_the_network_is_hollow():
    x = chain.sample(3, 20)
    x[0, [2, 3]] = chain.mask
    x[1] = chain.mask
    plain, hollow = Blind(chain), Hollow(chain)
    letterwise, at_once = run(plain, x, batch_size=7), run(hollow, x)
    assert letterwise.calls.tolist() == [18, 0, 20]
    assert at_once.calls.tolist() == [1, 0, 1]
    assert (plain.rows, plain.largest, hollow.rows) == (38, 7, 2)
    assert (letterwise.nats - at_once.nats).abs().max() < 1e-9
    assert letterwise.se.tolist() == [0, 0, 0]
    assert letterwise.positions.tolist() == [18, 0, 20]


def test_it_is_no_likelihood():
    x = chain.sample(20, 128)
    assert run(Hollow(chain), x).nats.sum() < 0.75 * -chain.log_prob(x).sum()


def test_letters_of_a_region_see_each_other_and_the_context():
    x = chain.sample(1, 12)
    scored = torch.zeros_like(x, dtype=torch.bool)
    scored[:, 3:6] = True
    rows = x.expand(3, -1)
    marginals = site_marginals(chain, rows, torch.tensor([3, 4, 5]))
    expected = -marginals.gather(1, x[0, 3:6, None]).sum().item()
    assert run(Blind(chain), x, scored).nats.item() == pytest.approx(expected, abs=1e-9)


def test_the_shipped_network_leaves_each_letter_out_as_the_one_pass_takes_for_granted():
    """T23, at the place where it is used: the same from one pass as from a mask at each letter in turn."""
    denoise = models.load(device="cpu").denoise
    assert denoise.hollow
    x = chain.sample(2, 24)

    def plain(tokens, time=None):
        return denoise(tokens)

    plain.symbols = 4
    one, each = run(denoise, x), run(plain, x)
    assert one.calls.tolist() == [1, 1]
    assert each.calls.tolist() == [24, 24]
    assert (one.nats - each.nats).abs().max() < 1e-4
