"""What does a sampler give for its network calls: on gaps of held-out windows, all samplers on the same ones?"""

import math
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int
from pydantic import Field

from seqdiff.config import Config
from seqdiff.data.batches import Examples, Shuffled
from seqdiff.diffusion.likelihood import elbo
from seqdiff.diffusion.samplers import (
    PRESETS,
    Ancestral,
    Bounded,
    Confident,
    Correct,
    Exact,
    Remask,
    SamplerConfig,
)
from seqdiff.errors import DataError
from seqdiff.evaluate import heldout
from seqdiff.evaluate.answer import Answer, Progress, Table, silent
from seqdiff.evaluate.markov import contexts
from seqdiff.evaluate.statistics import Estimate, ratio
from seqdiff.streams import Streams, seed_of

DEFAULT: dict[str, SamplerConfig] = {
    **PRESETS,
    "exact": Exact(),
    "ancestral": Ancestral(),
    "confident": Confident(),
    "bounded": Bounded(),
    "remask": Remask(),
    "correct": Correct(),
}


MOST_COUNTS = 2**28
"""Words times windows whose counts are held at once: 2 GB."""


class Filled(NamedTuple):
    """What one sampler made of the gaps, one value a gap: each is in a window of its own, the unit of all errors."""

    tokens: Int[np.ndarray, "N L"]
    calls: Int[np.ndarray, "N"]
    right: Int[np.ndarray, "N"]
    """Letters that stood there."""
    bits: Float64[np.ndarray, "N"]
    """The model's own bound on -log2 p(letters of the gap | flanks), summed over the gap."""
    drawn: Float64[np.ndarray, "N"] | None = None
    """-log2 of the probability that they were drawn with; None where that is not known."""


class Samplers(Config):
    """Gaps of one length, one in each of some held-out windows, cut to `flank` letters on both sides and filled.

    `calls` are network calls a gap. `recovered` is the share of the letters that stood there. `bits` is what the filled
    letters cost the model that drew them, given the flanks (its conditional bound, on the same masks for all): a
    sampler of the model's own law comes to what the law has of entropy, letters drawn together that do not fit cost
    more, a sampler that prefers modes less; beside it stand the bits of the true letters. `lost` is what drawing
    letters together has lost: the mean of log2 q - log2 p, where q is the probability that they were drawn with and p
    the bound. It estimates KL(q || p); at one letter a call it is 0, but for what the model's own conditionals disagree
    in. It is unknown of samplers that redraw letters. `distance` is the total variation between the words of `word`
    letters that touch the gaps and those of all held-out windows. The row of the true letters is its floor for so few
    words; `halves` is how far two halves of the held-out windows are apart.
    """

    question: Literal["samplers"] = "samplers"
    samplers: dict[str, SamplerConfig] = DEFAULT
    """By the name that stands in the table."""
    gap: int = Field(64, ge=1)
    flank: int = Field(96, ge=1)
    """Visible letters on each side; less in windows without room for them."""
    gaps: int = Field(32, ge=2)
    word: int = Field(3, ge=1, le=6)
    bases: int = Field(400_000, ge=1)
    """Held-out letters whose words are counted."""
    seed: int = 0

    def ask(self, model: heldout.Asked, data: heldout.HeldOut, progress: Progress = silent) -> Answer:
        """Raises DataError if the windows have no room for such a gap, or no known letters around one."""
        truth, hidden = self.place(data.test, model.alphabet.size)
        windows = heldout.tokens(data.test, heldout.draw(data.test, self.bases, self.seed))
        _check_words(model.alphabet.size, self.word, len(windows))
        everywhere = words(windows, np.ones(windows.shape, bool), model.alphabet.size, self.word)
        rows = [self._row(None, self.score(model, truth, truth, hidden), hidden, everywhere)]
        for number, (name, sampler) in enumerate(self.samplers.items(), 1):
            rows.append(self._row(name, self.fill(model, sampler, truth, hidden), hidden, everywhere))
            progress(number / len(self.samplers))
        halves = np.arange(len(windows)) % 2 == 0
        summary = {
            "question": self.question,
            "settings": self.model_dump(mode="json"),
            "unit": model.alphabet.unit,
            "gaps": len(truth),
            "piece_length": truth.shape[1],
            "true": rows[0],
            "samplers": rows[1:],
            "halves": variation(everywhere[halves].sum(0), everywhere[~halves].sum(0)) if len(windows) > 1 else None,
        }
        return Answer(self.question, summary, _table(summary))

    def place(self, examples: Examples, symbols: int) -> tuple[Int[np.ndarray, "N L"], Bool[np.ndarray, "N L"]]:
        """Tokens around gaps at random places of random windows, and where the gap is. All letters are known."""
        sizes = np.asarray(examples.sizes)
        longest = int(sizes.max())
        flank = min(self.flank, (longest - self.gap) // 2)
        if flank < 1:
            raise DataError(
                f"a gap of {self.gap} leaves no flanks in windows of {longest}: "
                f"give --set samplers.gap= at most {max(1, longest - 2)}"
            )
        length = self.gap + 2 * flank
        rng = np.random.Generator(np.random.Philox(seed_of(self.seed, "sampled gaps", self.gap)))
        roomy = np.flatnonzero(sizes >= length)
        shuffled = Shuffled(len(roomy), seed_of(self.seed, "sampled windows", self.gap))
        found: list[np.ndarray] = []
        for position in range(len(roomy)):
            tokens = heldout.tokens(examples, roomy[shuffled.items(np.array([position]))])[0]
            start = rng.integers(0, len(tokens) - length + 1)
            if (tokens[start : start + length] < symbols).all():
                found.append(tokens[start : start + length])
            if len(found) == self.gaps:
                break
        if not found:
            raise DataError(f"no held-out window has {length} known letters in a row: nothing to fill a gap in")
        hidden = np.zeros((len(found), length), bool)
        hidden[:, flank : flank + self.gap] = True
        return np.stack(found), hidden

    def fill(
        self,
        model: heldout.Asked,
        sampler: SamplerConfig,
        truth: Int[np.ndarray, "N L"],
        hidden: Bool[np.ndarray, "N L"],
    ) -> Filled:
        """The gaps as one sampler fills them."""
        streams = [(name, "filled") for name in heldout.names(truth, model.alphabet.pad)]
        rows = max(1, model.batch_tokens // truth.shape[1])
        tokens, calls, log_prob = truth.copy(), np.zeros(len(truth), np.int64), np.zeros(len(truth))
        for first in range(0, len(truth), rows):
            part = slice(first, first + rows)
            masked = torch.from_numpy(np.where(hidden[part], model.alphabet.mask, truth[part]))
            filled = sampler(model.denoise, masked, rng=Streams.of(self.seed, streams[part]))
            tokens[part], calls[part] = filled.tokens.numpy(), filled.calls.numpy()
            log_prob[part] = filled.log_prob.numpy()
        scored = self.score(model, tokens, truth, hidden)
        return scored._replace(
            calls=calls, drawn=None if sampler.revisits or not sampler.draws else -log_prob / math.log(2)
        )

    def score(
        self,
        model: heldout.Asked,
        tokens: Int[np.ndarray, "N L"],
        truth: Int[np.ndarray, "N L"],
        hidden: Bool[np.ndarray, "N L"],
    ) -> Filled:
        """What given fillings are worth, on the same masks for all of them."""
        nats = elbo(
            model.denoise,
            torch.from_numpy(tokens),
            torch.from_numpy(hidden),
            Streams.of(self.seed, heldout.names(truth, model.alphabet.pad)),
            strata=4,
            replicates=2,
            batch_size=max(1, model.batch_tokens // truth.shape[1]),
        ).nats.numpy()
        right = ((tokens == truth) & hidden).sum(1)
        return Filled(tokens, np.zeros(len(truth), np.int64), right, nats / math.log(2))

    def _row(
        self, name: str | None, filled: Filled, hidden: Bool[np.ndarray, "N L"], everywhere: Int[np.ndarray, "M words"]
    ) -> dict[str, Any]:
        letters = hidden.sum(1)
        symbols = round(everywhere.shape[1] ** (1 / self.word))
        found = words(filled.tokens, hidden, symbols, self.word)
        apart = variation(found.sum(0), everywhere.sum(0))
        without = np.array([variation(found.sum(0) - one, everywhere.sum(0)) for one in found])
        spread = float(np.sqrt((len(found) - 1) / len(found) * np.square(without - without.mean()).sum()))
        return {
            "name": name,
            "sampler": None if name is None else self.samplers[name].model_dump(),
            "calls": float(filled.calls.mean()),
            "recovered": ratio(filled.right, letters).of("value"),
            "bits": ratio(filled.bits, letters).of("value"),
            "lost": None if filled.drawn is None else ratio(filled.bits - filled.drawn, letters).of("value"),
            "distance": Estimate(apart, spread if len(found) > 1 else None).of("value"),
        }


def _check_words(symbols: int, length: int, rows: int) -> None:
    """Raises DataError for so many different words that their counts do not fit in memory."""
    if symbols**length * rows > MOST_COUNTS:
        raise DataError(
            f"samplers.word: there are {symbols**length:,} words of {length} letters, too many to count in each of "
            f"{rows:,} windows; give --set samplers.word= less, or less of samplers.bases"
        )


def words(
    tokens: Int[np.ndarray, "N L"], where: Bool[np.ndarray, "N L"], symbols: int, length: int
) -> Int[np.ndarray, "N words"]:
    """How often each word of `length` known letters that touches a letter `where` stands in each row.

    >>> words(np.array([[0, 1, 1, 0, 2]]), np.array([[True, False, False, True, True]]), 2, 2).tolist()
    [[0, 1, 1, 0]]
    """
    index, known = contexts(tokens, symbols, length - 1)
    touches = where.copy()
    for back in range(1, length):
        touches[:, back:] |= where[:, :-back]
    counted = touches & (known == length - 1)
    row = np.nonzero(counted)[0]
    cell = row * symbols**length + index[counted]
    return np.bincount(cell, minlength=len(tokens) * symbols**length).reshape(len(tokens), -1)


def variation(one: Int[np.ndarray, "words"], other: Int[np.ndarray, "words"]) -> float:
    """Total variation between two spectra of counts, 0 to 1.

    >>> variation(np.array([1, 1]), np.array([4, 0]))
    0.5
    """
    return float(np.abs(one / max(1, one.sum()) - other / max(1, other.sum())).sum() / 2)


def _table(summary: dict[str, Any]) -> Table:
    def cells(of: dict[str, Any]) -> tuple[str, ...]:
        found = (of[what] for what in ("recovered", "bits", "lost", "distance"))
        return tuple("" if value is None else Estimate(value["value"], value["se"]).format(3) for value in found)

    unit, settings = summary["unit"], summary["settings"]
    of_words = f"{settings['word']}-mers"
    rows = [(row["name"], f"{row['calls']:.1f}", *cells(row)) for row in summary["samplers"]]
    rows.append((f"the true {unit}s", "", *cells(summary["true"])))
    halves = "" if summary["halves"] is None else f" (between two halves of these: {summary['halves']:.3f})"
    title = (
        f"Samplers on {summary['gaps']} gaps of {settings['gap']} {unit}s in pieces of {summary['piece_length']} of "
        f"test windows: network calls a gap, share of the {unit}s that stood there, bits of the filled {unit}s under "
        f"the model itself, bits lost by drawing them together, distance of {of_words} to held-out windows{halves}"
    )
    columns = ("", "calls", "recovered", f"bits per {unit}", "bits lost", f"distance of {of_words}")
    return Table(title, columns, tuple(rows))
