import pytest
import torch
from oracles import Constant, MarkovChain
from pydantic import ValidationError

from seqdiff.diffusion.samplers import Confident
from seqdiff.diffusion.samplers.confident import choose, doubt
from seqdiff.streams import Streams


@pytest.mark.parametrize(
    ("settings", "masks", "expected"),
    [
        ({}, 7, [1] * 7),
        ({"positions": 3}, 7, [3, 3, 1]),
        ({"steps": 3}, 7, [3, 2, 2]),
        ({"steps": 20}, 7, [1] * 7),
        ({"steps": 1}, 7, [7]),
    ],
)
def test_positions_a_pass(settings, masks, expected):
    left = []

    class Spy(Constant):
        def __call__(self, tokens, time=None):
            left.append(int((tokens == 4).sum()))
            return super().__call__(tokens)

    Confident(**settings)(Spy([0.25] * 4), torch.full((1, masks), 4), rng=Streams.of(0, [0]))
    assert (torch.tensor([*left, 0]).diff() * -1).tolist() == expected


def test_the_scores_rank_as_they_say():
    mu = torch.tensor(
        [[0.45, 0.45, 0.1], [0.44, 0.28, 0.28], [0.46, 0.27, 0.27]],  # least entropy, least margin, largest maximum
        dtype=torch.float64,
    )
    assert doubt(mu, "entropy").argmin() == 0
    assert doubt(mu, "margin").argmax() == 0
    assert doubt(mu, "probability").argmin() == 2
    entropy = torch.distributions.Categorical(mu).entropy()
    torch.testing.assert_close(doubt(mu, "entropy"), entropy)


def test_most_restricted_before_least_doubtful():
    left = torch.tensor([[True, True, True, False]])
    freedom = torch.tensor([[4, 4, 2, 2]])
    doubts = torch.tensor([1.0, 0.1, 1.3], dtype=torch.float64)
    assert choose(torch.tensor([1]), left, freedom, doubts).tolist() == [[False, False, True, False]]
    assert choose(torch.tensor([2]), left, freedom, doubts).tolist() == [[False, True, True, False]]


def test_next_to_a_known_letter_first():
    chain = MarkovChain(concentration=0.05)  # a letter nearly fixes its neighbour, far away nothing is known
    x = torch.full((1, 9), chain.mask)
    x[0, 4] = 1
    first = []

    class Spy(MarkovChain):
        def __call__(self, tokens, time=None):
            first.append((tokens[0] != 4).nonzero()[:, 0].tolist())
            return super().__call__(tokens)

    Confident()(Spy(concentration=0.05), x, rng=Streams.of(0, [0]))
    assert first[1] in ([3, 4], [4, 5])


def test_settings_that_contradict_each_other_are_refused():
    with pytest.raises(ValidationError, match="not both"):
        Confident(steps=3, positions=2)
    with pytest.raises(ValidationError, match="entropy does not look at the sampled value"):
        Confident(order="sample-then-choose")
