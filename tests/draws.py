"""Every way in which a sampler that draws by `categorical.values` and `systematic` can go, and how probable it is."""

import itertools

import pytest
import torch

from seqdiff.diffusion import categorical
from seqdiff.diffusion.samplers import population
from seqdiff.diffusion.samplers.population import systematic


class Choices:
    """Takes the draws of one run by a script and says how probable they were; `following` is the next script."""

    def __init__(self, script):
        self.script, self.taken, self.probability = script, [], 1.0

    def pick(self, probabilities):
        ways = [i for i, p in enumerate(probabilities) if p > 0]
        way = self.script[len(self.taken)] if len(self.taken) < len(self.script) else 0
        self.taken.append((way, len(ways)))
        self.probability *= float(probabilities[ways[way]])
        return ways[way]

    def values(self, log_mu, uniforms):
        return torch.tensor([self.pick(row.exp().tolist()) for row in log_mu])

    def systematic(self, log_weight, uniforms):
        """The uniform lies between two of the places where what comes out changes."""
        count = log_weight.shape[1]
        ends = (torch.softmax(log_weight[0], 0).cumsum(0) * count) % 1
        ends = sorted({0.0, 1.0, *ends.tolist()})
        cell = self.pick([b - a for a, b in itertools.pairwise(ends)])
        middle = torch.tensor([(ends[cell] + ends[cell + 1]) / 2], dtype=torch.float64)
        return systematic(log_weight, middle)

    def following(self):
        while self.taken and self.taken[-1][0] + 1 == self.taken[-1][1]:
            self.taken.pop()
        return [way for way, _ in self.taken[:-1]] + [self.taken[-1][0] + 1] if self.taken else None


def every_run(monkeypatch, run):
    """(probability, result) of every way in which `run()` can go."""
    script, runs = [], []
    while script is not None:
        choices = Choices(script)
        monkeypatch.setattr(categorical, "values", choices.values)
        monkeypatch.setattr(population, "systematic", choices.systematic)
        result = run()
        runs.append((choices.probability, result))
        script = choices.following()
    monkeypatch.undo()
    assert sum(p for p, _ in runs) == pytest.approx(1, abs=1e-12)
    return runs
