"""Do sequences that the model draws look like held-out ones: their words, letters, GC content and CpG?"""

from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int
from pydantic import Field

from seqdiff.alphabet import Alphabet
from seqdiff.config import Config
from seqdiff.data.batches import Shuffled
from seqdiff.diffusion.denoise import Denoise
from seqdiff.diffusion.samplers import PRESETS, Sampler, SamplerConfig
from seqdiff.errors import UsageError
from seqdiff.evaluate import heldout
from seqdiff.evaluate.answer import Answer, Progress, Table, silent
from seqdiff.evaluate.samplers import MOST_COUNTS, words
from seqdiff.evaluate.statistics import Estimate, ratio
from seqdiff.modalities.family import FamilyData
from seqdiff.modalities.image import ImageData
from seqdiff.streams import Streams, seed_of

MOST_WORDS = 10_000
"""Different words of one length; longer ones would be met too seldom."""
MOST_POINTS = 4**5
"""Different words of the length that is given word by word."""
BINS = 25
"""Of the GC content of a window, 0 to 1."""


@runtime_checkable
class Sampled(heldout.Asked, Protocol):
    """What draws sequences."""

    def sampler(self) -> Sampler: ...

    def asked_by(self, sampler: Sampler) -> Denoise: ...


class Spectra(Config):
    """Sequences drawn from nothing but unknown letters, beside held-out ones of the same lengths.

    `spectra` has for each length k of words the Jensen-Shannon divergence (bits, 0 to 1; Lin 1991, IEEE Trans. Inf.
    Theory 37:145) between the shares of the K^k words among the samples and among the held-out sequences; a word of
    DNA and its reverse complement are one. A finite sample is never at 0: `train` is what as many training sequences
    come to, and a model has no more to reach. `independent` is that of letters in no order, with the held-out
    composition exactly. Errors are jackknifed over the sequences drawn. Of DNA besides: the GC content of windows and
    CpG, the pairs CG over what C and G alone would give (Gardiner-Garden and Frommer 1987, J. Mol. Biol. 196:261).
    """

    question: Literal["spectra"] = "spectra"
    samples: int = Field(64, ge=2)
    """Sequences that are drawn, and training sequences beside them."""
    length: int = Field(512, ge=2)
    """Letters of a sequence, at most: windows are cut to so many. A family keeps its columns."""
    longest_word: int = Field(6, ge=1)
    """Largest k; less where there are more than 10,000 different words."""
    sampler: SamplerConfig | None = None
    """None: `fast`, or the sampler of the model's process where that does not fill masks."""
    bases: int = Field(200_000, ge=1)
    """Held-out letters that are read."""
    seed: int = 0

    def ask(self, model: Sampled, data: heldout.HeldOut, progress: Progress = silent) -> Answer:
        """Raises UsageError for images, which have no words."""
        if isinstance(data, ImageData):
            raise UsageError("spectra: images have no words; seqdiff sample draws them")
        alphabet = model.alphabet
        length = None if isinstance(data, FamilyData) else self.length
        test = heldout.tokens(data.test, heldout.draw(data.test, self.bases, self.seed))[:, :length]
        drawn_items = Shuffled(len(data.test), seed_of(self.seed, "lengths")).items(np.arange(self.samples))
        sizes = np.minimum(np.sort(data.test.sizes[drawn_items % len(data.test)]), length or test.shape[1])
        train_items = Shuffled(len(data.train), seed_of(self.seed, "training")).items(
            np.arange(min(self.samples, len(data.train)))
        )
        train_items = train_items[np.argsort(data.train.sizes[train_items], kind="stable")]
        train = heldout.tokens(data.train, train_items)[:, :length]
        chosen = self.sampler or (PRESETS["fast"] if model.fills_masks else model.sampler())
        samples = self.draw(model, chosen, sizes, lambda done: progress(0.95 * done))
        sets = {"test": test, "samples": samples, "train": train}
        found = [self._divergences(sets, alphabet, k) for k in self._lengths(alphabet, len(test))]
        summary = {
            "question": self.question,
            "settings": self.model_dump(mode="json"),
            "unit": alphabet.unit,
            "examples": heldout.what(data.test),
            "sampler": chosen.model_dump(mode="json"),
            "both_strands": alphabet.complementary,
            "window_length": int(sizes.max()),
            "sequences": {name: len(tokens) for name, tokens in sets.items()},
            "letters": {name: int((tokens < alphabet.size).sum()) for name, tokens in sets.items()},
            "spectra": found,
            "words": self._shares(sets, alphabet, max(row["k"] for row in found)),
            "composition": [
                {"symbol": symbol} | {name: _share(tokens, place, alphabet) for name, tokens in sets.items()}
                for place, symbol in enumerate(alphabet.names)
            ],
        }
        if alphabet.complementary:
            summary["gc"] = {name: _gc(tokens, alphabet) for name, tokens in sets.items()}
            summary["cpg"] = {name: _cpg(tokens, alphabet).of("value") for name, tokens in sets.items()}
        progress(1.0)
        return Answer(self.question, summary, _table(summary))

    def draw(
        self, model: Sampled, sampler: Sampler, sizes: Int[np.ndarray, "N"], progress: Progress = silent
    ) -> Int[np.ndarray, "N L"]:
        """Sequences of these lengths in growing order, padded on the right; none depends on the others."""
        alphabet, denoise = model.alphabet, model.asked_by(sampler)
        drawn = np.full((len(sizes), int(sizes.max())), alphabet.pad, np.int64)
        rows = max(1, model.batch_tokens // drawn.shape[1])
        for first in range(0, len(sizes), rows):
            part = slice(first, min(first + rows, len(sizes)))
            longest = int(sizes[part].max())
            blank = np.where(np.arange(longest) < sizes[part, None], alphabet.mask, alphabet.pad)
            streams = Streams.of(self.seed, [(number, "drawn") for number in range(part.start, part.stop)])
            drawn[part, :longest] = sampler(denoise, torch.from_numpy(blank), rng=streams).tokens.cpu().numpy()
            progress(part.stop / len(sizes))
        return drawn

    def _lengths(self, alphabet: Alphabet, rows: int) -> list[int]:
        most = min(MOST_WORDS, MOST_COUNTS // rows)
        return [k for k in range(1, self.longest_word + 1) if k == 1 or alphabet.size**k <= most]

    def _divergences(self, sets: dict[str, np.ndarray], alphabet: Alphabet, k: int) -> dict[str, Any]:
        counts = {name: spectrum(tokens, alphabet, k) for name, tokens in sets.items()}
        reference = counts["test"].sum(0)
        letters = spectrum(sets["test"], alphabet, 1, both_strands=False).sum(0).astype(np.float64)
        if alphabet.complementary:
            letters += letters[::-1]
        return {
            "k": k,
            "words": int(_kinds(alphabet, k)),
            "samples": _distance(counts["samples"], reference).of("value"),
            "train": _distance(counts["train"], reference).of("value"),
            "independent": divergence(_independent(letters, alphabet, k), reference),
        }

    def _shares(self, sets: dict[str, np.ndarray], alphabet: Alphabet, longest: int) -> dict[str, Any]:
        """The share of each word of one length, most frequent of the held-out ones first."""
        k = max(k for k in range(1, longest + 1) if k == 1 or alphabet.size**k <= MOST_POINTS)
        shares = {name: _normed(spectrum(tokens, alphabet, k).sum(0)) for name, tokens in sets.items()}
        met = np.flatnonzero(sum(shares.values()) > 0)
        met = met[np.argsort(-shares["test"][met], kind="stable")]
        rows = [[_word(number, alphabet, k), *(float(f"{share[number]:.4g}") for share in shares.values())]
                for number in met.tolist()]  # fmt: skip
        return {"k": k, "columns": list(shares), "rows": rows}


def spectrum(
    tokens: Int[np.ndarray, "N L"], alphabet: Alphabet, k: int, both_strands: bool | None = None
) -> Int[np.ndarray, "N words"]:
    """How often each word of k known letters stands in each row; of DNA, a word and its reverse complement are counted
    together, at the smaller of their numbers.

    >>> from seqdiff.alphabet import DNA
    >>> spectrum(DNA.encode(b"AACGTN")[None].astype(np.int64), DNA, 2)[0].nonzero()[0].tolist()  # AA, AC = GT, CG
    [0, 1, 6]
    """
    counts = words(tokens, np.ones(tokens.shape, bool), alphabet.size, k)
    if both_strands is False or not alphabet.complementary:
        return counts
    smaller = np.minimum(np.arange(counts.shape[1]), _reverse_complements(alphabet.size, k))
    merged = np.zeros_like(counts)
    np.add.at(merged.T, smaller, counts.T)
    return merged


def divergence(one: np.ndarray, other: np.ndarray) -> float:
    """Jensen-Shannon, in bits, between two spectra of counts.

    >>> divergence(np.array([1, 1, 0]), np.array([0, 0, 3])), divergence(np.array([1, 2]), np.array([2, 4]))
    (1.0, 0.0)
    """
    p, q = _normed(one), _normed(other)
    return max(0.0, _entropy((p + q) / 2) - (_entropy(p) + _entropy(q)) / 2)


def _reverse_complements(symbols: int, k: int) -> Int[np.ndarray, "words"]:
    """The number of each word's reverse complement."""
    numbers = np.arange(symbols**k)
    turned = np.zeros_like(numbers)
    for _ in range(k):
        turned = turned * symbols + (symbols - 1 - numbers % symbols)
        numbers = numbers // symbols
    return turned


def _kinds(alphabet: Alphabet, k: int) -> int:
    if not alphabet.complementary:
        return alphabet.size**k
    return len(np.unique(np.minimum(np.arange(alphabet.size**k), _reverse_complements(alphabet.size, k))))


def _word(number: int, alphabet: Alphabet, k: int) -> str:
    digits = [(number // alphabet.size**place) % alphabet.size for place in reversed(range(k))]
    return "".join(alphabet.names[digit] for digit in digits)


def _independent(letters: Float64[np.ndarray, "K"], alphabet: Alphabet, k: int) -> np.ndarray:
    """The spectrum of letters in no order."""
    found = np.ones(1)
    for _ in range(k):
        found = np.outer(found, _normed(letters)).ravel()
    if not alphabet.complementary:
        return found
    smaller = np.minimum(np.arange(len(found)), _reverse_complements(alphabet.size, k))
    return np.bincount(smaller, found, len(found))


def _normed(counts: np.ndarray) -> np.ndarray:
    return counts / max(counts.sum(), 1e-300)


def _entropy(shares: np.ndarray) -> float:
    there = shares[shares > 0]
    return float(-(there * np.log2(there)).sum())


def _distance(counts: Int[np.ndarray, "N words"], reference: Int[np.ndarray, "words"]) -> Estimate:
    whole = counts.sum(0)
    return _jackknife(divergence(whole, reference), [divergence(whole - one, reference) for one in counts])


def _jackknife(value: float, without: list[float]) -> Estimate:
    """A value with the error that leaving out one sequence after the other gives."""
    n, values = len(without), np.array(without)
    if n < 2:
        return Estimate(value, None)
    return Estimate(value, float(np.sqrt((n - 1) / n * np.square(values - values.mean()).sum())))


def _share(tokens: Int[np.ndarray, "N L"], symbol: int, alphabet: Alphabet) -> dict[str, float | None]:
    return ratio((tokens == symbol).sum(1), (tokens < alphabet.size).sum(1)).of("value")


def _gc(tokens: Int[np.ndarray, "N L"], alphabet: Alphabet) -> dict[str, Any]:
    """GC content by sequence: how many fall into each of `BINS`, their mean and standard deviation."""
    known, strong = (tokens < alphabet.size).sum(1), _is(tokens, alphabet, "GC").sum(1)
    share = strong[known > 0] / known[known > 0]
    counts = np.bincount(np.minimum((share * BINS).astype(np.int64), BINS - 1), minlength=BINS)
    deviation = float(share.std(ddof=1)) if len(share) > 1 else None
    return {"mean": ratio(strong, known).of("value"), "deviation": deviation, "counts": counts.tolist()}


def _cpg(tokens: Int[np.ndarray, "N L"], alphabet: Alphabet) -> Estimate:
    """Observed pairs CG over those that as many C and G in any order would make."""
    c, g = _is(tokens, alphabet, "C"), _is(tokens, alphabet, "G")
    parts = [c.sum(1), g.sum(1), (c[:, :-1] & g[:, 1:]).sum(1), (tokens < alphabet.size).sum(1)]

    def observed(counts: list[int]) -> float:
        of_c, of_g, pairs, letters = counts
        return float(pairs * letters / max(1, of_c * of_g))

    whole = [int(part.sum()) for part in parts]
    without = [observed([total - int(part[row]) for total, part in zip(whole, parts, strict=True)])
               for row in range(len(tokens))]  # fmt: skip
    return _jackknife(observed(whole), without)


def _is(tokens: Int[np.ndarray, "N L"], alphabet: Alphabet, letters: str) -> Bool[np.ndarray, "N L"]:
    return np.isin(tokens, [alphabet.symbols.index(letter) for letter in letters])


def _table(summary: dict[str, Any]) -> Table:
    def cell(of: dict[str, Any], digits: int = 4) -> str:
        return Estimate(of["value"], of["se"]).format(digits)

    rows = [
        (f"words of {row['k']}", f"{row['words']:,}", cell(row["samples"]), cell(row["train"]),
         f"{row['independent']:.4f}")
        for row in summary["spectra"]
    ]  # fmt: skip
    of_dna = {"CpG, observed over expected": "cpg", "GC content": "gc"} if "cpg" in summary else {}
    for name, key in of_dna.items():
        found = summary[key] if key == "cpg" else {which: of["mean"] for which, of in summary[key].items()}
        rows.append(
            (name, "", cell(found["samples"], 3), cell(found["train"], 3), f"held out {cell(found['test'], 3)}")
        )
    title = (
        f"{summary['sequences']['samples']:,} samples of up to {summary['window_length']:,} {summary['unit']}s, and as "
        f"many training {summary['examples']}, beside {summary['sequences']['test']:,} held-out ones: Jensen-Shannon "
        "divergence of their words, in bits"
    )
    return Table(title, ("", "different", "samples", "training", "independent letters"), tuple(rows))
