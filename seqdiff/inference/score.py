"""Score records of any length, or regions of them given the rest, with standard errors.

A record longer than the context is cut into nearly equal pieces and the scores of the pieces are added: those of the
model that takes the pieces as independent. A region is scored in one window, all letters of which are
context. Unknown letters are masked and not scored.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
import torch

from seqdiff.alphabet import Alphabet
from seqdiff.data.fasta import Record
from seqdiff.data.intervals import Interval
from seqdiff.data.intervals import spans as cuts
from seqdiff.diffusion.likelihood.score import combined, mixture
from seqdiff.diffusion.processes import Bound
from seqdiff.errors import DataError
from seqdiff.streams import Streams

PIECES_AT_ONCE = 256


@dataclass(frozen=True)
class RecordScore:
    """`nats` summed over the `scored` letters of a record or region, with the standard error of the estimate.

    Without a scored letter (an empty or all-unknown record) nats, se and what follows from them are None; se and the
    interval are None as well where a single replicate or order leaves the error unknown.
    """

    name: str
    length: int
    scored: int
    nats: float | None
    se: float | None
    df: float | None = None
    """Degrees of freedom of se; infinite where it is 0."""
    orders: tuple[float, ...] | None = None
    """Nats in each order of a chain rule."""
    span: Interval | None = None
    """The region, where one was asked for."""

    @property
    def bits_per_symbol(self) -> float | None:
        return None if self.nats is None else self.nats / self.scored / math.log(2)

    @property
    def perplexity(self) -> float | None:
        """exp(nats per letter): how many equally likely letters the model is left to choose from."""
        return None if self.nats is None else math.exp(self.nats / self.scored)

    @property
    def interval(self) -> tuple[float, float] | None:
        """Nats between which the exact value lies, 95 times in 100: nats +- t(df) se."""
        if self.se is None:
            return None
        from scipy.special import stdtrit

        half = float(stdtrit(self.df, 0.975)) * self.se if self.se else 0.0
        return self.nats - half, self.nats + half

    @property
    def sd_orders(self) -> float | None:
        """Standard deviation of nats over orders: 0 where the network's conditionals agree with one another."""
        if self.nats is None or self.orders is None or len(self.orders) < 2:
            return None
        return float(np.std(self.orders, ddof=1))

    @property
    def multi_order(self) -> float | None:
        """Nats of the mixture of the orders' models, at most the mean of their nats."""
        if self.nats is None or self.orders is None:
            return None
        return float(mixture(torch.tensor(self.orders, dtype=torch.float64)))


class _Piece(NamedTuple):
    """A window [start, end) of a record, whose letters in [first, last) are scored."""

    asked: "_Asked"
    start: int
    end: int
    first: int
    last: int


@dataclass
class _Asked:
    """A line of the result: a record or a region, and what is known of it so far."""

    record: Record
    tokens: np.ndarray
    span: Interval | None = None
    scored: int = 0
    found: list[tuple[float, float, float, list[float]]] = field(default_factory=list)
    """Nats, standard error, degrees of freedom, and nats in each order, of each piece."""

    def pieces(self, context: int, given: str) -> list[_Piece]:
        if self.span is None:
            return [_Piece(self, *cut, *cut) for cut in cuts(len(self.tokens), context)] if len(self.tokens) else []
        _, first, last = self.span
        wanted = {"left": last - context, "right": first}.get(given, (first + last - context) // 2)
        start = max(0, min(wanted, len(self.tokens) - context))
        return [_Piece(self, start, min(start + context, len(self.tokens)), first, last)] if first < last else []

    @property
    def result(self) -> RecordScore:
        """Exact sums, so that the order in which pieces were done leaves no trace."""
        length = len(self.tokens) if self.span is None else self.span.length
        if not self.scored:
            return RecordScore(self.record.name, length, 0, None, None, span=self.span)
        nats, errors, freedom, orders = zip(*self.found, strict=True)
        se, df = combined((error**2, df) for error, df in zip(errors, freedom, strict=True))
        known = not math.isnan(se)
        each = tuple(math.fsum(column) for column in zip(*orders, strict=True))
        return RecordScore(
            self.record.name, length, self.scored, math.fsum(nats), se if known else None, df if known else None,
            each or None, self.span,
        )  # fmt: skip


def score(
    records: Iterable[Record],
    bound: Bound,
    alphabet: Alphabet,
    context: int,
    *,
    spans: Mapping[str, Sequence[Interval]] | None = None,
    given: Literal["all", "left", "right", "earlier"] = "all",
    seed: int = 0,
    batch_tokens: int = 16_384,
    progress: Callable[[int], None] | None = None,
) -> Iterator[RecordScore]:
    """Score records in their order, or with `spans` the regions of each record in theirs, given its other letters, or
    those that the bound looks at (`given`, see `Process`): on the left or right of a region, a window has them alone.

    What is drawn depends on (seed, the record's name, the piece or region) alone. `progress` gets the number of letters
    done. Records must have been checked for foreign letters. Raises DataError for a region longer than the context.
    """
    require_room(spans, context)
    asked: list[_Asked] = []
    pieces: list[_Piece] = []
    for record in records:
        if spans is not None and not spans.get(record.name):
            continue
        tokens = alphabet.encode(record.sequence)
        for span in [None] if spans is None else spans[record.name]:
            asked.append(_Asked(record, tokens, span))
            pieces += asked[-1].pieces(context, given)
            if len(pieces) >= PIECES_AT_ONCE or len(asked) >= 4 * PIECES_AT_ONCE:
                _score(pieces, bound, alphabet, seed, batch_tokens, progress)
                yield from (each.result for each in asked)
                asked, pieces = [], []
    _score(pieces, bound, alphabet, seed, batch_tokens, progress)
    yield from (each.result for each in asked)


def require_room(spans: Mapping[str, Sequence[Interval]] | None, context: int) -> None:
    """DataError for a region longer than the context."""
    for span in [] if spans is None else [span for each in spans.values() for span in each]:
        if span.length > context:
            raise DataError(
                f"region {span} has {span.length:,} letters, more than the model looks at together ({context:,}): "
                "divide it into shorter ones, or use a model of a longer context"
            )


def _score(
    pieces: list[_Piece],
    bound: Bound,
    alphabet: Alphabet,
    seed: int,
    batch_tokens: int,
    progress: Callable[[int], None] | None,
) -> None:
    """Adds what each piece costs to what was asked; pieces of like length go through the network together."""
    pieces = sorted(pieces, key=lambda piece: piece.end - piece.start)
    while pieces:
        longest = pieces[-1].end - pieces[-1].start
        rows = max(1, batch_tokens // longest)
        part, pieces = pieces[-rows:], pieces[:-rows]
        tokens = np.full((len(part), longest), alphabet.pad, np.int64)
        scored = np.zeros(tokens.shape, bool)
        for row, (asked, start, end, first, last) in enumerate(part):
            tokens[row, : end - start] = asked.tokens[start:end]
            scored[row, first - start : last - start] = True
        names = [
            (asked.record.name, start) if asked.span is None else (asked.record.name, *asked.span[1:])
            for asked, start, *_ in part
        ]
        x = torch.from_numpy(tokens)
        known = torch.from_numpy(scored) & (x < alphabet.size)
        result = bound(x, known, rng=Streams.of(seed, names), batch_size=rows).checked()
        for row, (asked, *_) in enumerate(part):
            asked.scored += int(result.positions[row])
            orders = [] if result.orders is None else result.orders[row].tolist()
            asked.found.append((float(result.nats[row]), float(result.se[row]), float(result.df[row]), orders))
        if progress:
            progress(sum(piece.last - piece.first for piece in part))
