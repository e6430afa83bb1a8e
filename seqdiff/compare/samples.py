"""What systems draw, beside what was held out: the distance of their words."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int, Int64, Integer

from seqdiff.compare.settings import Samples
from seqdiff.data.batches import Examples, Shuffled
from seqdiff.diffusion.samplers import Sampler
from seqdiff.errors import DataError
from seqdiff.evaluate import heldout
from seqdiff.evaluate.answer import Progress, silent
from seqdiff.evaluate.markov import MarkovModel
from seqdiff.evaluate.samplers import variation, words
from seqdiff.evaluate.statistics import Estimate
from seqdiff.model import Model
from seqdiff.streams import Streams, seed_of

MOST_COUNTS = 2**27
"""Words times sequences whose counts are held at once: 1 GB."""
HELD_AGAINST = 2**22
"""Most held-out letters that samples are held against."""


class Yardstick:
    """Held-out sequences that samples are held against, and as many pieces of others as there are samples.

    The distance is the total variation between the shares of all words of `word` letters, both strands counted where
    the training data have both. It is above 0 for any finite number of samples: the pieces are what samples of the very
    distribution come to, and are in none of the sequences they are held against.
    """

    def __init__(self, settings: Samples, data: heldout.HeldOut):
        self.settings, self._strands = settings, data.both_strands
        self.symbols = data.config.alphabet.size
        self.length = settings.length or data.config.context
        if self.symbols**settings.word * settings.number > MOST_COUNTS:
            raise DataError(
                f"samples.word: there are {self.symbols**settings.word:,} words of {settings.word} letters, too many "
                f"to count in each of {settings.number:,} samples; give --set samples.word= less"
            )
        order = Shuffled(len(data.test), seed_of(settings.seed, "pieces")).items(np.arange(len(data.test)))
        long_enough = order[data.test.sizes[order] >= self.length]
        if not len(long_enough):
            raise DataError(
                f"samples.length: no held-out sequence has {self.length:,} letters (the longest has "
                f"{int(data.test.sizes.max()):,}): give --set samples.length= less"
            )
        mine = long_enough[: min(settings.number, max(1, len(data.test) // 2))]
        others = order[~np.isin(order, mine)]
        if not len(others):
            raise DataError("there is a single held-out sequence: nothing to hold samples against")
        others = others[: max(1, int((np.cumsum(data.test.sizes[others]) <= HELD_AGAINST).sum()))]
        self.pieces = heldout.tokens(data.test, mine)[:, : self.length]
        self._expected = sum(self._counts(tokens).sum(0) for tokens in self._in_parts(data.test, others))

    def distance(self, tokens: Int[np.ndarray, "N L"]) -> Estimate:
        """How far the words of some sequences are from those held out, 0 to 1; the error is a jackknife's over the
        sequences."""
        counts = self._counts(tokens)
        total, n = counts.sum(0), len(counts)
        without = np.array([variation(total - one, self._expected) for one in counts])
        spread = float(np.sqrt((n - 1) / n * np.square(without - without.mean()).sum()))
        return Estimate(variation(total, self._expected), spread if n > 1 else None)

    def _in_parts(self, examples: Examples, items: Integer[np.ndarray, "N"]) -> Iterable[Int[np.ndarray, "n L"]]:
        rows = max(1, min(2**20 // int(examples.sizes.max()), MOST_COUNTS // self.symbols**self.settings.word))
        for first in range(0, len(items), rows):
            yield heldout.tokens(examples, items[first : first + rows])

    def _counts(self, tokens: Int[np.ndarray, "N L"]) -> Int64[np.ndarray, "N words"]:
        found = words(tokens, np.ones(tokens.shape, bool), self.symbols, self.settings.word)
        if not self._strands:
            return found
        cube = found.reshape(len(found), *[self.symbols] * self.settings.word)
        axes = tuple(range(1, cube.ndim))
        return found + np.flip(cube, axes).transpose(0, *reversed(axes)).reshape(found.shape)


class Drawn(NamedTuple):
    """Samples of a model, and what they took."""

    tokens: Int[np.ndarray, "N L"]
    calls: Int64[np.ndarray, "N"]
    """Network passes of each."""


def drawn(model: Model, sampler: Sampler, length: int, settings: Samples, progress: Progress = silent) -> Drawn:
    """New sequences of `length` letters."""
    rows = max(1, model.batch_tokens // length)
    tokens = np.empty((settings.number, length), np.int64)
    calls = np.zeros(settings.number, np.int64)
    network = model.asked_by(sampler)
    for first in range(0, settings.number, rows):
        part = range(first, min(first + rows, settings.number))
        blank = torch.full((len(part), length), model.alphabet.mask)
        filled = sampler(network, blank, rng=Streams.of(settings.seed, [("compared sample", row) for row in part]))
        tokens[part.start : part.stop] = filled.tokens.numpy()
        calls[part.start : part.stop] = filled.calls.numpy()
        progress(part.stop / settings.number)
    return Drawn(tokens, calls)


def of_chain(chain: MarkovModel, order: int, number: int, length: int, seed: int) -> Int64[np.ndarray, "N L"]:
    """Sequences drawn from a Markov chain of an order up to the chain's own, from their first letter on."""
    uniforms = np.random.Generator(np.random.Philox(seed_of(seed, "Markov samples"))).random((length, number))
    tokens = np.zeros((number, length), np.int64)
    for place in range(length):
        known = min(place, order)
        index = np.zeros(number, np.int64)
        for letter in tokens[:, place - known : place].T:
            index = index * chain.symbols + letter
        below = chain.tables[known][index].cumsum(1)
        tokens[:, place] = (uniforms[place, :, None] * below[:, -1:] >= below).sum(1)
    return tokens
