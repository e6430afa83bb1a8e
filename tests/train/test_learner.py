"""What learns: a network's prior is shared among the letters of the data, as the loss is a mean over letters."""

import pytest
import torch
from family import toy_recipe, write_family

from seqdiff.train.learner import Learner


@pytest.fixture
def learner(tmp_path):
    recipe = toy_recipe(write_family(tmp_path / "toy.fa"), training={"optimizer": "adamw", "clip": None}).resolved()
    learner = Learner(recipe, torch.device("cpu"))
    with torch.no_grad():
        for parameter in learner.denoiser.parameters():
            parameter += torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0))
    return learner


def test_the_gradient_is_that_of_the_mean_and_of_the_shared_prior(learner):
    network, letters = learner.denoiser, 500.0
    tokens = torch.randint(0, 21, (4, 12), generator=torch.Generator().manual_seed(1))
    before = {name: p.detach().clone().requires_grad_() for name, p in network.named_parameters()}

    def mean(parameters):
        return torch.func.functional_call(network, parameters, (tokens,)).square().mean()

    names = ["bias", *(f"couplings.{n}" for n in range(11))]
    precisions = [precision for _, precision in network.precisions()]
    cost = sum(tau / 2 * before[name].square().sum() for name, tau in zip(names, precisions, strict=True))
    expected = torch.autograd.grad(mean(before) + cost / letters, list(before.values()))
    mean(dict(network.named_parameters())).backward()
    seen = {}
    learner.optimizers[0].register_step_pre_hook(
        lambda *_: seen.update({name: p.grad.clone() for name, p in network.named_parameters()})
    )
    learner.step(1, letters)
    for name, gradient in zip(before, expected, strict=True):
        torch.testing.assert_close(seen[name], gradient, rtol=1e-4, atol=1e-6)


def test_less_data_is_held_closer_to_zero(learner):
    """With no gradient from the data, more letters pull less."""
    pulls = []
    for letters in (10.0, 1000.0):
        for parameter in learner.denoiser.parameters():
            parameter.grad = torch.zeros_like(parameter)
        pulls.append(float(learner.step(1, letters)))
    assert pulls[0] == pytest.approx(100 * pulls[1], rel=0.2)
