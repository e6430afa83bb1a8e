"""Markov chains of order 0..11: the classical models of DNA that a diffusion model has to beat.

Each order is interpolated with the shorter ones, p_k(a | c) = (n(c, a) + s_k p_{k-1}(a | c')) / (n(c) + s_k),
where c' is the context c without its oldest letter and p_{-1} is uniform: the predictive distribution of
a hierarchy of Dirichlet priors with concentrations s_k (MacKay and Peto 1995, Nat. Lang. Eng. 1:289).
The concentrations are those of highest likelihood on the validation split, order by order.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64, Integer

from seqdiff.alphabet import Alphabet
from seqdiff.errors import DataError

LARGEST_TABLE = 4**12
"""Most entries of the table of the highest order: 134 MB in float64."""


@dataclass(frozen=True)
class MarkovModel:
    """Conditional probabilities of every order; `tables[k]` is (K^k, K), rows numbered by the context in base K.

    >>> from seqdiff.alphabet import DNA
    >>> repeat = np.tile(DNA.encode(b"ACG"), 100)
    >>> chain = MarkovModel.fit([repeat], [repeat], DNA, order=1, both_strands=False)
    >>> chain.tables[1].argmax(-1).tolist()[:3]     # A -> C, C -> G, G -> A
    [1, 2, 0]
    """

    tables: tuple[Float64[np.ndarray, "_ K"], ...]
    concentrations: tuple[float, ...]

    @property
    def order(self) -> int:
        """The highest order."""
        return len(self.tables) - 1

    @property
    def symbols(self) -> int:
        """K."""
        return self.tables[0].shape[1]

    @classmethod
    def fit(
        cls,
        training: Iterable[Integer[np.ndarray, "_"]],
        validation: Iterable[Integer[np.ndarray, "_"]],
        alphabet: Alphabet,
        *,
        order: int = 11,
        both_strands: bool | None = None,
    ) -> "MarkovModel":
        """Counts of the unbroken pieces in `training`; concentrations by maximum likelihood on `validation`.

        A piece is (L,) tokens; letters that are unknown break it. `both_strands` counts the reverse
        complement too (default: where the alphabet has one). An order whose table would be larger than
        `LARGEST_TABLE` is lowered. Raises DataError if either holds no known letter.
        """
        symbols = alphabet.size
        while order > 0 and symbols ** (order + 1) > LARGEST_TABLE:
            order -= 1
        both_strands = alphabet.complementary if both_strands is None else both_strands
        counts = count(training, symbols, order, both_strands)
        if not counts[0].sum():
            raise DataError("no known letter to count in the training split: check the splits of the data")
        tuning = np.concatenate([np.empty(0, np.uint8), *_joined(validation, separator=symbols)])
        index, length = contexts(tuning, symbols, order)
        if not (length >= 0).any():
            raise DataError("no known letter in the validation split: the Markov baselines need one to be tuned")
        tables, concentrations = [], []
        shorter = np.full((1, symbols), 1 / symbols)
        for k, of_order in enumerate(counts):
            suffix = index[length >= k] % symbols ** (k + 1)
            total = of_order.sum(-1)
            concentration = _best_concentration(
                of_order.ravel()[suffix],
                total[suffix // symbols],
                shorter.ravel()[suffix % shorter.size],
            )
            prior = concentration * np.broadcast_to(shorter, (len(of_order) // len(shorter), *shorter.shape))
            table = of_order + prior.reshape(of_order.shape)
            table /= (total + concentration)[:, None]
            tables.append(table)
            concentrations.append(concentration)
            shorter = table
        return cls(tuple(tables), tuple(concentrations))

    def log_prob(self, tokens: Integer[np.ndarray, "N L"]) -> Float64[np.ndarray, "orders N L"]:
        """Nats, log p_k of each letter given those before it in its row, for all orders k = 0..`order`.

        Near the start of a row, and after an unknown letter, the longest known context is used, so a row
        is scored by itself like a window of a diffusion model. 0 at unknown letters and pads.
        """
        index, length = contexts(tokens, self.symbols, self.order)
        found = np.zeros((self.order + 1, *tokens.shape))
        for k, table in enumerate(self.tables):
            if k:
                found[k] = found[k - 1]
            reached = length >= k
            found[k][reached] = np.log(table.ravel()[index[reached] % table.size])
        return found


def contexts(
    tokens: Integer[np.ndarray, "... L"], symbols: int, order: int
) -> tuple[Int64[np.ndarray, "... L"], Integer[np.ndarray, "... L"]]:
    """For each place, the last `order` + 1 letters as a number in base K, and how many of the known ones are context.

    The length is at most `order`, and -1 where the letter itself is unknown. The digits beyond it mean
    nothing: take the index modulo K^(length + 1).

    >>> index, length = contexts(np.array([1, 2, 4, 3, 0]), 4, order=1)
    >>> length.tolist(), (index % 4 ** (length + 1)).tolist()
    ([0, 1, -1, 0, 1], [1, 6, 0, 3, 12])
    """
    tokens = np.asarray(tokens)
    known = tokens < symbols
    places = np.arange(tokens.shape[-1], dtype=np.int32)
    last_unknown = np.maximum.accumulate(np.where(known, np.int32(-1), places), axis=-1)
    length = np.minimum(places - last_unknown - 1, order)
    return _rolling(np.where(known, tokens, 0).astype(np.int64), symbols, order + 1), length


def count(
    pieces: Iterable[Integer[np.ndarray, "_"]], symbols: int, order: int, both_strands: bool
) -> list[Int64[np.ndarray, "contexts K"]]:
    """How often each letter follows each context of length 0..`order`; element k is (K^k, K).

    Every letter is counted once, with its longest known context; a shorter context's count is then the
    sum over the letters that may stand before it, plus what was counted at that length.
    """
    counts = [np.zeros(symbols ** (k + 1), np.int64) for k in range(order + 1)]
    for joined in _joined(pieces, separator=symbols):
        index, length = contexts(joined, symbols, order)
        for k in np.flatnonzero(np.bincount(length + 1, minlength=order + 2)[1:]):
            counts[k] += np.bincount(index[length == k] % counts[k].size, minlength=counts[k].size)
    for k in reversed(range(order)):
        counts[k] += counts[k + 1].reshape(symbols, -1).sum(0)
    if both_strands:
        # The complement of symbol i is K-1-i, so complementing a word reverses the numbering of each digit.
        for k in range(order + 1):
            words = counts[k].reshape((symbols,) * (k + 1))
            counts[k] += np.flip(words).transpose().ravel()
    return [c.reshape(-1, symbols) for c in counts]


def _joined(
    pieces: Iterable[Integer[np.ndarray, "_"]], separator: int, longest: int = 2**23
) -> Iterator[Integer[np.ndarray, "L"]]:
    """Few long arrays instead of many short ones, with an unknown letter after each piece."""
    waiting, size = [], 0
    for piece in pieces:
        waiting += [np.asarray(piece), np.array([separator], np.asarray(piece).dtype)]
        size += len(piece)
        if size >= longest:
            yield np.concatenate(waiting)
            waiting, size = [], 0
    if waiting:
        yield np.concatenate(waiting)


def _rolling(letters: Int64[np.ndarray, "... L"], symbols: int, width: int) -> Int64[np.ndarray, "... L"]:
    """The last `width` letters at each place as a number in base K, by doubling."""
    if width == 1:
        return letters
    half = width // 2
    halves = _rolling(letters, symbols, half)
    numbers = halves.copy()
    numbers[..., half:] += halves[..., :-half] * symbols**half
    if width % 2:
        numbers[..., 2 * half :] += letters[..., : -2 * half] * symbols ** (2 * half)
    return numbers


def _best_concentration(
    hits: Int64[np.ndarray, "N"], totals: Int64[np.ndarray, "N"], prior: Float64[np.ndarray, "N"]
) -> float:
    """The s that maximises sum log((hits + s prior) / (totals + s)): a grid of powers of two, then golden section."""
    if not len(hits):
        return 1.0

    def nats(log2: float) -> float:
        s = 2.0**log2
        with np.errstate(divide="ignore"):
            return -float(np.log((hits + s * prior) / (totals + s)).sum())

    grid = np.arange(-8.0, 33.0, 2.0)
    best = float(grid[np.argmin([nats(g) for g in grid])])
    low, high = best - 2, best + 2
    golden = (5**0.5 - 1) / 2
    left, right = high - golden * (high - low), low + golden * (high - low)
    at_left, at_right = nats(left), nats(right)
    while high - low > 0.01:
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - golden * (high - low)
            at_left = nats(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + golden * (high - low)
            at_right = nats(right)
    return 2.0 ** ((low + high) / 2)
