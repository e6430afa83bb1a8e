"""How much of a gap does the model recover, as the gap grows, beside a Markov chain that knows both flanks?"""

from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float64, Int
from pydantic import Field

from seqdiff.config import Config
from seqdiff.data.batches import Examples, Shuffled
from seqdiff.evaluate import heldout
from seqdiff.evaluate.answer import Answer, Progress, Table, silent
from seqdiff.evaluate.bridge import bridge
from seqdiff.evaluate.markov import MarkovModel
from seqdiff.evaluate.statistics import Estimate, ratio
from seqdiff.streams import seed_of

LARGEST_BRIDGE = 4**9
"""Most multiplications a gap that a Markov order may cost: gap x K^(states + 1)."""


class Gaps(NamedTuple):
    """Gaps of one length in held-out windows; `row` and `start` say where each gap lies."""

    tokens: Int[np.ndarray, "N L"]
    unit: Int[np.ndarray, "N"]
    """What each row shares with those that it resembles (`heldout.units`)."""
    row: Int[np.ndarray, "G"]
    start: Int[np.ndarray, "G"]
    length: int

    @property
    def places(self) -> Int[np.ndarray, "G gap"]:
        return self.start[:, None] + np.arange(self.length)

    def read(self, values: np.ndarray, shift: int = 0, width: int | None = None) -> np.ndarray:
        """What an array (N, L, ...) holds at the gaps, or in the `width` letters from `shift` after their starts."""
        places = self.places if width is None else self.start[:, None] + shift + np.arange(width)
        return values[self.row[:, None], places]


class Recovery(Config):
    """Share of masked letters that the first-pass marginal's argmax gets right, and the log2 probability it gives them.

    Everything but the gaps is visible. The Markov rival gets the same gaps and the exact posterior given both
    flanks (`bridge`), with the order that does best on validation gaps. `drawn` is the share that a draw from
    the marginals gets right on average. Windows are the sample of the standard errors.
    """

    question: Literal["recovery"] = "recovery"
    lengths: tuple[int, ...] = (1, 4, 16, 64, 256)
    gaps: int = Field(800, ge=2)
    """Gaps of each length."""
    bases: int = Field(125_000, ge=1)
    """Letters that the model may read for one length: long gaps get fewer than `gaps`."""
    apart: int | None = Field(None, ge=1)
    """Visible letters between the gaps of a window, at least; a short window holds one gap. Default: 128; of images, no
    more than what the Markov rival looks at."""
    order: int = Field(11, ge=0)
    """Highest Markov order."""
    seed: int = 0

    def ask(self, model: heldout.Asked, data: heldout.HeldOut, progress: Progress = silent) -> Answer:
        """Lengths that leave no flanks in a window are listed as `skipped`, not guessed."""
        chain = heldout.markov(data, self.order)
        found, skipped = [], []
        for number, length in enumerate(self.lengths):
            gaps = self.place(data.test, length, self.gaps, chain)
            if gaps is None:
                skipped.append(length)
            else:
                order = self._best_order(data.valid, length, chain)
                found.append(_compare(model, gaps, chain, order))
            progress((number + 1) / len(self.lengths))
        summary = {
            "question": self.question,
            "settings": self.model_dump(mode="json"),
            "unit": model.alphabet.unit,
            "window_length": int(data.test.sizes.max()),
            "examples": heldout.what(data.test),
            "gaps": found,
            "skipped": skipped,
        }
        ragged = data.test.sizes.min() < data.test.sizes.max()
        return Answer(self.question, summary, _table(summary, "at most " if ragged else ""))

    def place(self, examples: Examples, length: int, count: int, chain: MarkovModel) -> Gaps | None:
        """About `count` gaps at random places of random windows; None where no window has room for one.

        A window is cut into equal parts with a gap in each, never nearer to the part's ends than half of
        `apart` (or what there is). Gaps with an unknown letter, or one next to them, are left out.
        """
        sizes = np.asarray(examples.sizes)
        # An image is short, and its places differ: gaps keep no more distance than the rival looks, in parts with room.
        of_images = self.apart is None and heldout.what(examples) == "images"
        apart = 2 * max(1, chain.order) if of_images else 128 if self.apart is None else self.apart
        a_window = np.maximum(1, sizes // (length + apart * (1 + of_images)))
        part = sizes // a_window
        margin = np.minimum(apart // 2, (part - length) // 2)
        roomy = np.flatnonzero(margin >= max(1, chain.order))
        if not len(roomy):
            return None
        items = roomy[Shuffled(len(roomy), seed_of(self.seed, "gaps", length)).items(np.arange(count))]
        enough = int(np.searchsorted(np.cumsum(a_window[items]), count)) + 1
        readable = int(np.searchsorted(np.cumsum(sizes[items]), self.bases, "right"))
        items = items[: max(2, min(enough, readable))]
        items = items[np.argsort(sizes[items], kind="stable")]
        tokens = heldout.tokens(examples, items)
        rng = np.random.Generator(np.random.Philox(seed_of(self.seed, "places", length)))
        row = np.repeat(np.arange(len(items)), a_window[items])
        nth = np.arange(len(row)) - np.searchsorted(row, row)
        of = items[row]
        starts = rng.integers(margin[of], part[of] - length - margin[of] + 1) + part[of] * nth
        gaps = Gaps(tokens, heldout.units(examples, items), row, starts, length)
        flank = chain.order
        known = (gaps.read(tokens, -flank, length + 2 * flank) < chain.symbols).all(-1)
        return gaps._replace(row=gaps.row[known], start=gaps.start[known]) if known.any() else None

    def _best_order(self, windows: Examples, length: int, chain: MarkovModel) -> int:
        """The Markov order whose posterior gives validation gaps the highest probability."""
        gaps = self.place(windows, length, self.gaps // 4, chain)
        if gaps is None:
            return 0
        orders = [
            k for k in range(chain.order + 1)
            if k < 2 or length * chain.symbols ** (min(k, length) + 1) <= LARGEST_BRIDGE
        ]  # fmt: skip
        truth = gaps.read(gaps.tokens)[..., None]
        scores = [np.log(np.take_along_axis(_posterior(chain, k, gaps), truth, -1)).mean() for k in orders]
        return orders[int(np.argmax(scores))]


def _posterior(chain: MarkovModel, order: int, gaps: Gaps) -> Float64[np.ndarray, "G gap K"]:
    """The Markov posterior of the gaps, some at a time."""
    flank = max(1, order)
    left, right = gaps.read(gaps.tokens, -flank, flank), gaps.read(gaps.tokens, gaps.length, flank)
    some = max(1, 2**22 // (gaps.length * chain.symbols ** min(order, gaps.length)))
    return np.concatenate(
        [
            bridge(chain, order, left[first : first + some], right[first : first + some], gaps.length)
            for first in range(0, len(left), some)
        ]
    )


def _compare(model: heldout.Asked, gaps: Gaps, chain: MarkovModel, order: int) -> dict[str, Any]:
    """Model, Markov chain and the most frequent letter on the same gaps."""
    masked = gaps.tokens.copy()
    masked[gaps.row[:, None], gaps.places] = model.alphabet.mask
    own = np.empty((len(gaps.row), gaps.length, chain.symbols))
    for part, probabilities in heldout.marginals(model, masked):
        here = (gaps.row >= part.start) & (gaps.row < part.stop)
        own[here] = probabilities[(gaps.row[here] - part.start)[:, None], gaps.places[here]]
    truth = gaps.read(gaps.tokens)
    guesses = {
        "model": own,
        "markov": _posterior(chain, order, gaps),
        "most_frequent": np.broadcast_to(chain.tables[0][0], own.shape),
    }
    values = {name: _values(guess, truth) for name, guess in guesses.items()}
    unit = gaps.unit[gaps.row]
    sites = np.bincount(unit) * gaps.length

    def mean(value: Float64[np.ndarray, "G gap"]) -> dict[str, float | None]:
        return ratio(np.bincount(unit, value.sum(-1)), sites).of("value")

    result: dict[str, Any] = {
        "length": gaps.length,
        "gaps": len(gaps.row),
        "sites": int(sites.sum()),
        "windows": len(np.unique(gaps.row)),
    }
    for name, of_guess in values.items():
        result[name] = {what: mean(value) for what, value in of_guess.items()}
    result["markov"]["order"] = order
    result["difference"] = {what: mean(values["model"][what] - values["markov"][what]) for what in values["model"]}
    return result


def _values(guess: Float64[np.ndarray, "G gap K"], truth: Int[np.ndarray, "G gap"]) -> dict[str, np.ndarray]:
    given = np.take_along_axis(guess, truth[..., None], -1)[..., 0]
    right = (guess.argmax(-1) == truth).astype(np.float64)
    with np.errstate(divide="ignore"):
        return {"accuracy": right, "log2_probability": np.log2(given), "drawn": given}


def _table(summary: dict[str, Any], most: str) -> Table:
    def cell(of: dict[str, Any], what: str, digits: int, sign: bool = False) -> str:
        return Estimate(of[what]["value"], of[what]["se"]).format(digits, sign)

    rows = [
        (
            f"{gap['length']:,}",
            f"{gap['gaps']:,}",
            cell(gap["model"], "accuracy", 3),
            cell(gap["markov"], "accuracy", 3),
            str(gap["markov"]["order"]),
            cell(gap["difference"], "accuracy", 3, sign=True),
            f"{gap['most_frequent']['accuracy']['value']:.3f}",
            cell(gap["model"], "log2_probability", 3),
            cell(gap["markov"], "log2_probability", 3),
        )
        for gap in summary["gaps"]
    ]
    rows += [(f"{length:,}", "0", "no room for flanks", *[""] * 6) for length in summary["skipped"]]
    columns = (
        "gap",
        "gaps",
        "this model",
        "Markov",
        "its order",
        "difference",
        "most frequent",
        "log2 p, model",
        "log2 p, Markov",
    )
    title = (
        f"Recovery of gaps in test {summary['examples']} of {most}{summary['window_length']:,}: share of "
        f"{summary['unit']}s named right, Markov given both flanks; mean log2 probability of the true {summary['unit']}"
    )
    return Table(title, columns, tuple(rows))
