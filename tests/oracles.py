"""Networks whose right answer is known: exact posteriors mu of small distributions, as `denoise` callables.

At visible positions they give the distribution given everything *else*, which nothing may read; `blind` makes that NaN.
"""

import itertools
import typing
from types import UnionType

import numpy as np
import torch

from seqdiff.streams import Streams


class TinyJoint:
    """O1: an arbitrary joint over K^L strings; exact mu for all (K+1)^L states by enumeration.

    Columns past L must be pads and are ignored.
    """

    def __init__(self, symbols=3, length=4, seed=0):
        rng = np.random.default_rng(seed)
        self.symbols, self.length, self.mask, self.pad = symbols, length, symbols, symbols + 1
        probabilities = rng.dirichlet(np.full(symbols**length, 0.35)) + 1e-3
        self.p = torch.from_numpy(probabilities / probabilities.sum())
        self.strings = torch.tensor(list(itertools.product(range(symbols), repeat=length)))
        self._powers = (symbols + 1) ** torch.arange(length - 1, -1, -1)
        states = torch.tensor(list(itertools.product(range(symbols + 1), repeat=length)))
        agrees = (states[:, None] == self.mask) | (states[:, None] == self.strings)
        table = torch.zeros(len(states), length, symbols, dtype=torch.float64)
        for i in range(length):
            others = agrees.clone()
            others[:, :, i] = True
            weight = others.all(-1) * self.p
            for v in range(symbols):
                table[:, i, v] = (weight * (self.strings[:, i] == v)).sum(-1)
        self.table = (table / table.sum(-1, keepdim=True)).log()

    def __call__(self, tokens, time=None):
        core = tokens[:, : self.length]
        assert (tokens[:, self.length :] == self.pad).all()
        logits = torch.zeros(*tokens.shape, self.symbols, dtype=torch.float64)
        logits[:, : self.length] = self.table[(core * self._powers).sum(-1)]
        return logits

    @property
    def entropy(self):
        return float(-(self.p * self.p.log()).sum())

    def log_prob(self, x):
        """log p of strings (B, L)."""
        return self.p[(x * self.symbols ** torch.arange(self.length - 1, -1, -1)).sum(-1)].log()

    def posterior(self, state, evidence=None):
        """p(string | visible letters of `state`, likelihoods (L, K) of its masks), over `strings`, and how probable
        letters and evidence are."""
        state = torch.as_tensor(state)
        weight = self.p * ((state == self.mask) | (state == self.strings)).all(-1)
        if evidence is not None:
            likelihood = evidence.double()[torch.arange(self.length), self.strings]
            weight = weight * torch.where(state == self.mask, likelihood, 1.0).prod(-1)
        return weight / weight.sum(), float(weight.sum())


class MarkovChain:
    """O2: a stationary Markov chain; exact mu by forward-backward, exact log p. Pads on the right are no letters.

    Every operation is per row and element by element, so results are bitwise the same in any batch.
    """

    def __init__(self, symbols=4, seed=0, concentration=0.5):
        rng = np.random.default_rng(seed)
        self.symbols, self.mask, self.pad = symbols, symbols, symbols + 1
        transition = rng.dirichlet(np.full(symbols, concentration), size=symbols) + 1e-3
        self.transition = torch.from_numpy(transition / transition.sum(1, keepdims=True))
        self.start = torch.linalg.matrix_power(self.transition, 4096)[0]

    def _evidence(self, tokens):
        unknown = torch.ones(self.symbols, dtype=torch.float64)
        table = torch.vstack([torch.eye(self.symbols, dtype=torch.float64), unknown, unknown])
        return table[tokens]

    def _forward(self, evidence, real):
        """Predictions p(x_i | evidence before i), and log p of the evidence."""
        message, total, predictions = self.start.expand(len(evidence), -1), 0.0, []
        for i in range(evidence.shape[1]):
            predictions.append(message)
            joint = message * evidence[:, i]
            mass = joint.sum(-1)
            total = total + torch.where(real[:, i], mass.log(), 0.0)
            step = ((joint / mass[:, None])[:, :, None] * self.transition).sum(1)
            message = torch.where(real[:, i, None], step, message)
        return torch.stack(predictions, 1), total

    def __call__(self, tokens, time=None):
        evidence, real = self._evidence(tokens), tokens != self.pad
        before, _ = self._forward(evidence, real)
        message, after = torch.ones(len(tokens), self.symbols, dtype=torch.float64), []
        for i in reversed(range(tokens.shape[1])):
            after.append(message)
            step = (self.transition * (evidence[:, i] * message)[:, None, :]).sum(-1)
            message = torch.where(real[:, i, None], step / step.sum(-1, keepdim=True), message)
        return (before * torch.stack(after[::-1], 1)).log()

    def log_prob(self, tokens):
        """log p of the visible letters, masks summed over, (B,)."""
        return self._forward(self._evidence(tokens), tokens != self.pad)[1]

    def sample(self, count, length, seed=0):
        """Strings (count, length)."""
        generator = torch.Generator().manual_seed(seed)
        x = [torch.multinomial(self.start.expand(count, -1), 1, generator=generator)[:, 0]]
        while len(x) < length:
            x.append(torch.multinomial(self.transition[x[-1]], 1, generator=generator)[:, 0])
        return torch.stack(x, 1)


class Blind:
    """A denoiser whose output is NaN wherever nothing may read it: at letters and pads. Counts the rows it sees."""

    def __init__(self, oracle):
        self.oracle, self.symbols, self.rows, self.largest = oracle, oracle.symbols, 0, 0

    def __call__(self, tokens, time=None):
        self.rows += len(tokens)
        self.largest = max(self.largest, len(tokens))
        logits = self.oracle(tokens)
        return logits.masked_fill((tokens != self.symbols)[..., None], torch.nan)


class Hollow:
    """An oracle that says that it is hollow, which the oracles are: at letters they leave that letter out."""

    hollow = True

    def __init__(self, oracle):
        self.oracle, self.symbols, self.rows = oracle, oracle.symbols, 0

    def __call__(self, tokens, time=None):
        self.rows += len(tokens)
        return self.oracle(tokens)


class LeftToRight:
    """What an oracle says of each letter when it and all that follow are hidden, at once or as the letters are read."""

    hollow = left_to_right = True

    def __init__(self, oracle):
        self.oracle, self.symbols, self.rows, self.letters = oracle, oracle.symbols, 0, 0

    def __call__(self, tokens, time=None):
        self.rows += len(tokens)
        return torch.stack([self.at(tokens, i) for i in range(tokens.shape[1])], 1)

    def at(self, tokens, place):
        hidden = (torch.arange(tokens.shape[1]) >= place) & (tokens <= self.symbols)
        return self.oracle(tokens.masked_fill(hidden, self.symbols))[:, place]

    def reader(self, rows):
        return Reading(self, rows)


class Reading:
    """Reads letters for a `LeftToRight`, by asking it again about all that was read."""

    def __init__(self, network, rows):
        self.network, self.tokens = network, torch.empty(rows, 0, dtype=torch.int64)

    @property
    def logits(self):
        return self._at(self.tokens.shape[1])

    def read(self, letters):
        assert (letters <= self.network.symbols).all(), "pads are not read"
        self.network.letters += letters.numel()
        before = self.tokens.shape[1]
        self.tokens = torch.cat([self.tokens, letters], 1)
        return torch.stack([self._at(before + i + 1) for i in range(letters.shape[1])], 1)

    def take(self, rows):
        self.tokens = self.tokens[rows]

    def _at(self, place):
        left = max(1, getattr(self.network.oracle, "length", 0) - place)
        rest = torch.full((len(self.tokens), left), self.network.symbols)
        return self.network.at(torch.cat([self.tokens[:, :place], rest], 1), place)


class Inconsistent:
    """Conditionals that belong to no joint: even and odd numbers of masks are answered by two oracles."""

    def __init__(self, even, odd):
        self.even, self.odd, self.symbols = even, odd, even.symbols

    def __call__(self, tokens, time=None):
        even = (tokens == self.symbols).sum(1) % 2 == 0
        return torch.where(even[:, None, None], self.even(tokens), self.odd(tokens))


class Constant:
    """The same distribution at every position, whatever the context."""

    def __init__(self, probabilities):
        self.logits = torch.as_tensor(probabilities, dtype=torch.float64).log()
        self.symbols = len(self.logits)

    def __call__(self, tokens, time=None):
        return self.logits.expand(*tokens.shape, -1).clone()


class FixedStreams(Streams):
    """Streams whose draws are given, so that an average over draws can be an enumeration."""

    def __init__(self, strata, uniforms):
        super().__init__([torch.Generator() for _ in strata], torch.as_tensor(strata, dtype=torch.float64))
        self._uniforms = torch.as_tensor(uniforms, dtype=torch.float64)

    def rand(self, *shape):
        assert shape == self._uniforms.shape[1:]
        return self._uniforms


def members(union):
    """The classes of a discriminated union, or the one class that stands for it."""
    if typing.get_origin(union) is typing.Annotated:
        union = typing.get_args(union)[0]
    if typing.get_origin(union) in (typing.Union, UnionType):
        return list(typing.get_args(union))
    return [union]
