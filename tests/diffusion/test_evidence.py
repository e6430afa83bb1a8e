import pytest
import torch

from seqdiff.diffusion.evidence import Evidence

tokens = torch.tensor([[0, 4, 4, 4, 4, 5]])  # known, R, free, single, nothing, pad
allowed = torch.tensor(
    [[[0, 0, 0, 1], [1, 0, 1, 0], [1, 1, 1, 1], [0, 0, 0, 1], [0, 0, 0, 0], [0, 1, 0, 0]]], dtype=torch.bool
)


def test_singletons_are_settled_and_all_else_is_left():
    evidence = Evidence.of(tokens, allowed, 4)
    assert evidence.tokens.tolist() == [[0, 4, 4, 3, 4, 5]]
    assert evidence.unfilled.tolist() == [[False, True, True, False, False, False]]
    assert evidence.constrained.tolist() == [[False, True, False, False, False, False]]
    assert tokens.tolist() == [[0, 4, 4, 4, 4, 5]]


def test_without_sets_every_mask_is_free():
    evidence = Evidence.of(tokens, None, 4)
    assert evidence.unfilled.tolist() == [[False, True, True, True, True, False]]
    assert not evidence.constrained.any()


def test_the_more_is_known_the_earlier_a_letter_comes():
    likelihood = torch.tensor([[[1.0, 1, 1, 1], [0.97, 0.01, 0.01, 0.01], [1, 0, 1, 0], [0.4, 0.2, 0.2, 0.2]]])
    evidence = Evidence.of(torch.full((1, 4), 4), likelihood, 4)
    assert evidence.freedom[0].argsort().tolist() == [1, 2, 3, 0]
    assert evidence.constrained.tolist() == [[False, True, True, True]]
    assert evidence.unfilled.all()


@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf")])
def test_a_likelihood_is_a_number_of_at_least_0(value):
    with pytest.raises(ValueError, match="0 or more, and finite"):
        Evidence.of(torch.full((1, 1), 4), torch.tensor([[[1.0, value, 1, 1]]]), 4)


def test_sets_of_the_wrong_shape_are_refused():
    with pytest.raises(ValueError, match=r"evidence is \(1, 6, 4\), not \(1, 6, 3\)"):
        Evidence.of(tokens, allowed, 3)
