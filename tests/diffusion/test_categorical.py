import itertools
import math

import pytest
import torch

from seqdiff.diffusion import categorical
from seqdiff.errors import SeqdiffError

mu = torch.tensor([[0.5, 0.3, 0.15, 0.05]], dtype=torch.float64)


def law(logits, **settings):
    return categorical.log_probabilities(logits, **settings)[0].exp()


def test_plain_softmax_in_float64_from_any_precision():
    for dtype in (torch.bfloat16, torch.float16, torch.float32, torch.float64):
        log_mu, log_z = categorical.log_probabilities(torch.zeros(2, 4, dtype=dtype))
        assert log_mu.dtype == log_z.dtype == torch.float64
        assert log_mu.exp().flatten().tolist() == [0.25] * 8
        assert (log_z == 0).all()


@pytest.mark.parametrize(
    ("top_p", "expected"),
    [
        (1.0, [0.5, 0.3, 0.15, 0.05]),
        (0.94, [0.5 / 0.95, 0.3 / 0.95, 0.15 / 0.95, 0]),
        (0.6, [0.625, 0.375, 0, 0]),  # the symbol that crosses p belongs to the nucleus
        (0.4, [1, 0, 0, 0]),
        (1e-9, [1, 0, 0, 0]),
    ],
)
def test_nucleus_is_the_smallest_prefix_that_reaches_p(top_p, expected):
    for order in ([0, 1, 2, 3], [3, 1, 0, 2]):
        got = law(mu[:, order].log(), top_p=top_p)[0]
        torch.testing.assert_close(got, torch.tensor(expected, dtype=torch.float64)[order])


def test_top_p_of_one_is_the_identity_even_for_the_smallest_mass():
    tiny = torch.tensor([[0.0, -60.0, -700.0]])
    assert torch.equal(law(tiny, top_p=1.0), torch.log_softmax(tiny.double(), -1).exp())
    assert (law(tiny) > 0).all()


def test_temperature_raises_mu_to_a_power():
    hot = mu**0.5
    torch.testing.assert_close(law(mu.log(), temperature=2.0), hot / hot.sum())


def test_allowed_restricts_after_tempering_and_z_is_its_mass():
    allowed = torch.tensor([[False, True, False, True]])
    log_mu, log_z = categorical.log_probabilities(mu.log(), temperature=0.5, evidence=allowed)
    cold = mu**2 / (mu**2).sum()
    assert log_z.exp().item() == pytest.approx((cold[0, 1] + cold[0, 3]).item(), abs=1e-15)
    torch.testing.assert_close(
        log_mu.exp(), torch.tensor([[0, 0.09 / 0.0925, 0, 0.0025 / 0.0925]], dtype=torch.float64)
    )


def test_a_nucleus_that_misses_the_allowed_set_gives_way_to_the_whole_mu():
    allowed = torch.tensor([[False, False, True, True]])
    log_mu, log_z = categorical.log_probabilities(mu.log(), top_p=0.6, evidence=allowed)
    assert log_mu.exp()[0].tolist() == pytest.approx([0, 0, 0.75, 0.25])
    assert log_z.exp().item() == pytest.approx(0.2)


def test_a_set_below_the_smallest_float_is_still_drawn_from():
    logits = torch.tensor([[0.0, -2000.0, -2001.0]])
    log_mu, log_z = categorical.log_probabilities(logits, evidence=torch.tensor([[False, True, True]]))
    assert log_mu.exp()[0, 1].item() == pytest.approx(1 / (1 + math.exp(-1)))
    assert log_z.item() == pytest.approx(-2000 + math.log1p(math.exp(-1)))


def test_an_impossible_set_draws_evenly_and_its_weight_says_so():
    logits = torch.tensor([[0.0, -torch.inf, -torch.inf], [0.0, 0.0, 0.0]])
    allowed = torch.tensor([[False, True, True], [False, True, True]])
    log_mu, log_z = categorical.log_probabilities(logits, evidence=allowed)
    assert log_mu.exp().tolist() == [[0, 0.5, 0.5]] * 2
    assert log_z.tolist() == pytest.approx([-math.inf, math.log(2 / 3)])


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_logits_that_are_no_numbers_are_an_error(bad):
    with pytest.raises(SeqdiffError, match="not a number"):
        categorical.log_probabilities(torch.tensor([[0.0, bad]]))


def test_values_are_the_inverse_cdf():
    n = 2000
    uniforms = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    drawn = categorical.values(mu.log().expand(n, -1), uniforms)
    assert drawn.bincount(minlength=4).tolist() == [1000, 600, 300, 100]


def test_a_symbol_of_probability_zero_is_never_drawn():
    zeros = torch.tensor([[0.0, 0.5, 0.0, 0.5, 0.0]], dtype=torch.float64).log()
    edges = torch.tensor([0.0, 0.5 - 2**-54, 0.5, 1 - 2**-53], dtype=torch.float64)
    assert categorical.values(zeros.expand(4, -1), edges).tolist() == [1, 1, 3, 3]
    for seed in range(50):
        g = torch.Generator().manual_seed(seed)
        p = torch.rand(1, 7, generator=g, dtype=torch.float64)
        p[0, [2, 6]] = 0
        assert categorical.values(p.log(), torch.tensor([1 - 2**-53], dtype=torch.float64)).item() == 5


def test_rare_symbols_keep_their_frequency():
    """P1: raced in float32, q = 1e-8 would win 1.5 % as often as it should, and 2^-24 uniforms cannot see it at all."""
    q = 1e-8
    rare = torch.tensor([[1 - q, q]], dtype=torch.float64).log()
    span = torch.arange(-50, 50, dtype=torch.float64) / 100 * 4 * q + 1 - 2 * q
    drawn = categorical.values(rare.expand(100, -1), span)
    assert drawn.sum().item() == 25
    race = torch.rand(200_000, 2, generator=torch.Generator().manual_seed(0))
    coarse = (race * 2**12).ceil() / 2**12  # the 12-bit analogue of a float32 race
    analogue = 2**-16
    wins = (analogue / -coarse[:, 1].log()) > (1 - analogue) / -coarse[:, 0].log()
    fine = categorical.values(
        torch.tensor([[1 - analogue, analogue]], dtype=torch.float64).log().expand(2**18, -1),
        (torch.arange(2**18, dtype=torch.float64) + 0.5) / 2**18,
    )
    assert fine.sum().item() == 4
    assert abs(wins.double().mean().item() / analogue - 1) > 0.5


def test_a_long_flat_tail_keeps_its_mass():
    size = 2**16
    p = torch.full((1, size), 0.5 / (size - 1), dtype=torch.float64)
    p[0, 0] = 0.5
    n = 2**7
    uniforms = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    drawn = categorical.values(p.log().expand(n, -1), uniforms)
    assert (drawn > 0).double().mean().item() == 0.5
    assert drawn.unique().numel() == n // 2 + 1


def test_lowest_takes_exactly_that_many_and_only_from_those_among():
    generator = torch.Generator().manual_seed(0)
    among = torch.rand(200, 9, generator=generator) < 0.6
    keys = torch.randint(3, (200, 9), generator=generator).double()  # many ties
    count = torch.arange(200) % 11
    chosen = categorical.lowest(count, among, keys)
    assert (chosen <= among).all()
    assert torch.equal(chosen.sum(1), count.minimum(among.sum(1)))


def test_lowest_of_uniform_keys_takes_every_subset_equally_often():
    orders = torch.tensor(list(itertools.permutations(range(4)))).double()
    chosen = categorical.lowest(torch.full((24,), 2), torch.ones(24, 4, dtype=torch.bool), orders)
    _, counts = chosen.unique(dim=0, return_counts=True)
    assert counts.tolist() == [4] * 6
