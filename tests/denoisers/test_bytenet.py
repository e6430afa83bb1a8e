"""What is of ByteNet alone: its narrow embedding, the mask that stays zero, and sizes."""

import pytest
import torch
import torch.nn.functional as F

from seqdiff.denoisers import ByteNet


def test_a_mask_is_zeros_and_stays_so():
    with torch.random.fork_rng():
        torch.manual_seed(1)
        network = ByteNet(width=12, hidden=6, depth=2).build(20)
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.1, weight_decay=0.1)
    tokens = torch.tensor([[0, 20, 5, 20, 7]])
    before = network.embedding.weight.detach().clone()
    for _ in range(3):
        optimizer.zero_grad()
        F.cross_entropy(network(tokens).flatten(0, 1), torch.arange(5)).backward()
        optimizer.step()
    assert (network.embedding.weight[20] == 0).all()
    assert (network.embedding.weight[5] != before[5]).all()


def test_letters_start_as_far_apart_as_published():
    with torch.random.fork_rng():
        torch.manual_seed(1)
        weight = ByteNet(width=8, hidden=8, depth=1, embedding_width=500).build(20).embedding.weight
    assert weight[:20].std().item() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(
    ("width", "hidden", "depth", "published"), [(1024, 512, 16, 37_890_327), (1280, 1280, 56, 642_951_959)]
)
def test_the_published_sizes(width, hidden, depth, published):
    """As counted in the public implementation of EvoDiff; without the tokens that no protein has."""
    with torch.device("meta"):
        network = ByteNet(width=width, hidden=hidden, depth=depth, max_dilation=128).build(20)
    assert sum(p.numel() for p in network.parameters()) == published - (31 - 22) * 8 - (31 - 20) * (width + 1)


def test_the_mask_has_a_logit_with_its_bias_where_it_is_asked_for():
    tokens = torch.tensor([[0, 20, 5]])
    network = ByteNet(width=12, hidden=6, depth=2).build(20).attach(mask_logit=True)
    assert network(tokens).shape == (1, 3, 21)
    assert ByteNet(width=12, hidden=6, depth=2).build(20).attach()(tokens).shape == (1, 3, 20)
