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


def test_sets_of_the_wrong_shape_are_refused():
    with pytest.raises(ValueError, match=r"allowed is \(1, 6, 4\), not \(1, 6, 3\)"):
        Evidence.of(tokens, allowed, 3)
