import math

import pytest
import torch
from oracles import members
from pydantic import TypeAdapter, ValidationError

from seqdiff.diffusion.schedule import Cosine, Geometric, Linear, Polynomial, Schedule

SETTINGS = {"polynomial": {"power": 2.0}}
SCHEDULES = [member(**SETTINGS.get(member.model_fields["kind"].default, {})) for member in members(Schedule)] + [
    Polynomial(power=0.5)
]
inside = torch.linspace(0.001, 0.999, 101, dtype=torch.float64)


@pytest.fixture(params=SCHEDULES, ids=lambda s: s.kind)
def schedule(request):
    return request.param


def test_rate_is_the_derivative_over_the_masked_share(schedule):
    t = inside.clone().requires_grad_()
    (slope,) = torch.autograd.grad(schedule.alpha(t).sum(), t)
    torch.testing.assert_close(schedule.rate(inside), -slope / schedule.masked(inside), rtol=1e-6, atol=0)


def test_inverse_undoes_masked(schedule):
    torch.testing.assert_close(schedule.inverse(schedule.masked(inside)), inside, rtol=0, atol=1e-7)


def test_alpha_falls_from_one_to_zero_up_to_the_end_terms(schedule):
    ends = schedule.alpha(torch.tensor([0.0, 1.0], dtype=torch.float64))
    missing = schedule.end_nats(4) / math.log(4)
    assert float(1 - ends[0] + ends[1]) == pytest.approx(missing, abs=1e-15)
    assert (missing == 0) == (schedule.kind != "geometric")
    assert (schedule.alpha(inside).diff() < 0).all()


def test_grid_ends_are_exact_and_it_rises(schedule):
    for steps in [*range(1, 70), 98, 103, 107, 196, 1000, 4096]:
        grid = schedule.grid(steps)
        assert grid.dtype == torch.float64
        assert grid.shape == (steps + 1,)
        assert grid[0] == 0
        assert grid[-1] == 1
        assert (grid.diff() > 0).all()


def test_the_curves_by_value():
    t = torch.tensor([0.25], dtype=torch.float64)
    assert Linear().alpha(t).item() == 0.75
    assert Cosine().masked(t).item() == pytest.approx(0.3826834323650898)
    assert Polynomial(power=2).masked(t).item() == 0.0625
    assert Geometric(sigma_min=1e-4, sigma_max=20).alpha(t).item() == pytest.approx(0.9978874)


def test_a_schedule_is_told_by_its_kind_and_refuses_what_it_does_not_have():
    read = TypeAdapter(Schedule).validate_python
    assert read({"kind": "polynomial", "power": 3}) == Polynomial(power=3)
    with pytest.raises(ValidationError, match="power"):
        read({"kind": "linear", "power": 3})
    with pytest.raises(ValidationError, match="sigma_max"):
        read({"kind": "geometric", "sigma_max": 1.0})  # would mask 63 % at t = 1 and lose 42 % of the entropy
