"""torch.compile sees every network as one graph, with the scan as one node a direction."""

import pytest
import torch

from seqdiff.denoisers import Caduceus, Convolution, HollowConvolution, Hyena, Mamba, Transformer, kernels, paths

NETWORKS = [
    Caduceus(width=16, depth=2),
    Mamba(width=16, depth=1),
    Mamba(width=16, depth=1, causal=True),
    Transformer(width=16, depth=2, heads=2),
    Transformer(width=16, depth=2, heads=2, causal=True),
    Convolution(width=16, hidden=16, depth=2),
    Convolution(width=16, hidden=16, depth=2, causal=True),
    HollowConvolution(width=16, depth=2),
    Hyena(width=16, depth=2, length=40),
    Hyena(width=16, depth=2, length=40, causal=True),
]
PATHS = ["reference", *([] if kernels.unavailable() else ["cpu"])]


@pytest.fixture(autouse=True)
def fresh_compiler():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def network_and_tokens(settings):
    torch.manual_seed(0)
    return settings.build(4), torch.randint(0, 6, (2, 33))


def name(settings):
    return f"{settings.kind}-causal" if settings.left_to_right else settings.kind


def is_scan_network(settings):
    return isinstance(settings, Mamba | Caduceus)


def cases(networks):
    """Each network by each path that it has."""
    return [(one, path) for one in networks for path in (PATHS if is_scan_network(one) else PATHS[:1])]


@pytest.mark.parametrize(("settings", "path"), cases(NETWORKS), ids=lambda v: v if isinstance(v, str) else name(v))
def test_a_network_is_one_graph(settings, path):
    network, tokens = network_and_tokens(settings)
    with paths.use(path):
        explained = torch._dynamo.explain(network)(tokens)
    assert not explained.break_reasons
    assert explained.graph_count == 1
    ours = [str(node.target) for node in explained.graphs[0].graph.nodes if "seqdiff" in str(node.target)]
    if not is_scan_network(settings):
        assert not ours
    elif path == "reference":
        assert ours == ["seqdiff.recurrence"] * (1 if settings.left_to_right else 2) * settings.depth


LEARNERS = [
    Caduceus(width=16, depth=2),
    Mamba(width=16, depth=1, causal=True),
    Hyena(width=16, depth=1, length=40),
]


@pytest.mark.parametrize(("settings", "path"), cases(LEARNERS), ids=lambda v: v if isinstance(v, str) else name(v))
def test_a_compiled_network_learns_the_same(path, settings):
    network, tokens = network_and_tokens(settings)
    torch.nn.init.normal_(network.head.weight)
    compiled = torch.compile(network, backend="aot_eager", fullgraph=True)
    with paths.use(path):
        answers = []
        for function in (network, compiled):
            logits = function(tokens)
            logits.square().mean().backward()
            answers.append([logits.detach(), *(p.grad.clone() for p in network.parameters())])
            network.zero_grad()
    for one, other in zip(*answers, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
