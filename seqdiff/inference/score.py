"""Score records of any length: a bound on -log p with its standard error.

A record longer than the context is cut into nearly equal pieces and the bounds of the pieces are added:
the bound of the model that takes the pieces as independent. Unknown letters are masked and not scored.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from seqdiff.alphabet import Alphabet
from seqdiff.data.fasta import Record
from seqdiff.data.intervals import spans
from seqdiff.diffusion.likelihood import ScorerConfig
from seqdiff.streams import Streams

PIECES_AT_ONCE = 256


@dataclass(frozen=True)
class RecordScore:
    """`nats` summed over the `scored` letters of a record, with the standard error of the estimate.

    Without a scored letter (an empty or all-unknown record) nats, se and what follows from them are None.
    """

    name: str
    length: int
    scored: int
    nats: float | None
    se: float | None

    @property
    def bits_per_symbol(self) -> float | None:
        return None if self.nats is None else self.nats / self.scored / math.log(2)

    @property
    def perplexity(self) -> float | None:
        """exp(nats per letter): how many equally likely letters the model is left to choose from."""
        return None if self.nats is None else math.exp(self.nats / self.scored)


def score(
    records: Iterable[Record],
    denoise: Callable[..., Tensor],
    alphabet: Alphabet,
    context: int,
    scorer: ScorerConfig,
    *,
    seed: int = 0,
    batch_tokens: int = 16_384,
    progress: Callable[[int], None] | None = None,
) -> Iterator[RecordScore]:
    """Score records in their order; a record's masks depend on (seed, its name, the piece) alone.

    `progress` gets the number of letters done. Records must have been checked for foreign letters.
    """
    waiting: list[tuple[Record, np.ndarray, list[tuple[int, int]]]] = []
    pieces = 0
    for record in records:
        tokens = alphabet.encode(record.sequence)
        waiting.append((record, tokens, spans(len(tokens), context) if len(tokens) else []))
        pieces += len(waiting[-1][2])
        if pieces >= PIECES_AT_ONCE or len(waiting) >= 4 * PIECES_AT_ONCE:
            yield from _score_group(waiting, denoise, alphabet, scorer, seed, batch_tokens, progress)
            waiting, pieces = [], 0
    yield from _score_group(waiting, denoise, alphabet, scorer, seed, batch_tokens, progress)


def _score_group(
    group: list[tuple[Record, np.ndarray, list[tuple[int, int]]]],
    denoise: Callable[..., Tensor],
    alphabet: Alphabet,
    scorer: ScorerConfig,
    seed: int,
    batch_tokens: int,
    progress: Callable[[int], None] | None,
) -> Iterator[RecordScore]:
    pieces = [(number, span) for number, (_, _, cuts) in enumerate(group) for span in cuts]
    pieces.sort(key=lambda piece: piece[1][1] - piece[1][0])
    nats, variance = np.zeros(len(group)), np.zeros(len(group))
    scored = np.zeros(len(group), np.int64)
    while pieces:
        longest = pieces[-1][1][1] - pieces[-1][1][0]
        rows = max(1, batch_tokens // longest)
        part, pieces = pieces[-rows:], pieces[:-rows]
        tokens = np.full((len(part), longest), alphabet.pad, np.int64)
        for row, (number, (start, end)) in enumerate(part):
            tokens[row, : end - start] = group[number][1][start:end]
        x = torch.from_numpy(tokens)
        streams = Streams.of(seed, [(group[number][0].name, start) for number, (start, _) in part])
        result = scorer(denoise, x, x < alphabet.size, rng=streams, batch_size=rows)
        owners = [number for number, _ in part]
        np.add.at(nats, owners, result.nats.cpu().numpy())
        np.add.at(variance, owners, np.nan_to_num(result.se.cpu().numpy()) ** 2)
        np.add.at(scored, owners, result.positions.cpu().numpy())
        if progress:
            progress(sum(end - start for _, (start, end) in part))
    for number, (record, _, _) in enumerate(group):
        known = bool(scored[number])
        yield RecordScore(
            record.name,
            len(record.sequence),
            int(scored[number]),
            float(nats[number]) if known else None,
            math.sqrt(variance[number]) if known else None,
        )
