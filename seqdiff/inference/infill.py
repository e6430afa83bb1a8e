"""Fill the unknown letters of records and change nothing else.

FASTA record -> tokens (unknown = mask) and allowed letters -> windows around the gaps -> sampler -> letters
back in place. Known letters, their case, order and headers survive byte for byte.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from seqdiff.alphabet import Alphabet
from seqdiff.data.fasta import Record
from seqdiff.data.intervals import Interval
from seqdiff.diffusion.samplers import SamplerConfig
from seqdiff.inference.windows import FillWindow, plan
from seqdiff.streams import Streams

KNOWN_QUALITY = 40
"""Phred quality written for letters that were given and came without one."""
HIGHEST_QUALITY = 60
"""Phred quality of a filled letter is cut here: a probability of error under 1e-6 is beyond any calibration."""

RECORDS_AT_ONCE = 16_000_000
"""Letters of records held in memory together; a single longer record is held alone."""


@dataclass(frozen=True)
class Infilled:
    """A record with its gaps filled.

    `positions` (n,) 0-based places that were filled, `marginals` (n, K) the network's distribution there
    before anything in the window was filled, `calls` network calls, `log_weight` the log importance weight of
    the letters that ambiguity codes restrict (0 when there are none; math.md 5.11).
    """

    record: Record
    replicate: int
    positions: np.ndarray
    marginals: np.ndarray
    calls: int
    log_weight: float

    @property
    def filled(self) -> bytes:
        """The letters that were filled in, in order."""
        return bytes(np.frombuffer(self.record.sequence, np.uint8)[self.positions])


class _Job:
    """One replicate of one record on its way."""

    def __init__(self, record: Record, replicate: int, masked: np.ndarray, targets: np.ndarray, symbols: int):
        self.record, self.replicate = record, replicate
        self.tokens = masked.copy()
        self.targets = targets
        self.positions = np.flatnonzero(targets)
        self.marginals = np.zeros((len(self.positions), symbols), np.float32)
        self.calls, self.log_weight = 0, 0.0


def infill(
    records: Iterable[Record],
    denoise: Callable[..., Tensor],
    alphabet: Alphabet,
    context: int,
    sampler: SamplerConfig,
    *,
    seed: int = 0,
    samples: int = 1,
    spans: Mapping[str, Sequence[Interval]] | None = None,
    batch_tokens: int = 16_384,
    progress: Callable[[int], None] | None = None,
) -> Iterator[Infilled]:
    """Fill records, in their order, `samples` replicates each.

    Without `spans` every unknown letter is filled: N with any letter, an ambiguity code with one it stands
    for. With `spans` those spans are masked and filled, whatever stood there, and unknown letters elsewhere
    stay. The letters of a record depend on (seed, record name, replicate) alone. `progress` gets the number of
    letters filled. Records must have been checked (`seqdiff.data.fasta.check_letters`).
    """
    for group in _groups(records):
        jobs = []
        for record in group:
            masked, targets = _prepare(record, alphabet, None if spans is None else spans.get(record.name, ()))
            jobs += [_Job(record, r, masked, targets, alphabet.size) for r in range(samples)]
        meaning = alphabet.allowed if spans is None else _anything(alphabet)
        _fill(jobs, denoise, alphabet, context, sampler, meaning, seed, batch_tokens, progress)
        for job in jobs:
            yield Infilled(
                _written(job, alphabet), job.replicate, job.positions, job.marginals, job.calls, job.log_weight
            )


def qualities(infilled: Infilled, alphabet: Alphabet) -> bytes:
    """FASTQ qualities of a filled record: Phred of 1 - the marginal of the letter that was filled in.

    Given letters keep the quality they came with, or get `KNOWN_QUALITY`.
    """
    record = infilled.record
    given = record.quality or bytes([33 + KNOWN_QUALITY]) * len(record.sequence)
    quality = np.frombuffer(given, np.uint8).copy()
    letters = alphabet.codes[np.frombuffer(record.sequence, np.uint8)[infilled.positions]]
    chosen = infilled.marginals[np.arange(len(letters)), letters].astype(np.float64)
    wrong = np.clip(1 - chosen, 10 ** (-HIGHEST_QUALITY / 10), 1)
    quality[infilled.positions] = 33 + np.round(-10 * np.log10(wrong)).astype(np.uint8)
    return quality.tobytes()


def _groups(records: Iterable[Record]) -> Iterator[list[Record]]:
    """Records a few at a time, so that small ones share batches and large ones do not fill the memory."""
    group, letters = [], 0
    for record in records:
        group.append(record)
        letters += len(record.sequence)
        if letters >= RECORDS_AT_ONCE or len(group) >= 256:
            yield group
            group, letters = [], 0
    if group:
        yield group


def _prepare(record: Record, alphabet: Alphabet, spans: Sequence[Interval] | None) -> tuple[np.ndarray, np.ndarray]:
    """Masked tokens (L,) and the places to fill (L,) bool."""
    tokens = alphabet.encode(record.sequence)
    if spans is None:
        return tokens, tokens == alphabet.mask
    targets = np.zeros(len(tokens), bool)
    for span in spans:
        targets[span.start : span.end] = True
    tokens[targets] = alphabet.mask
    return tokens, targets


def _anything(alphabet: Alphabet) -> Callable[[bytes], np.ndarray]:
    return lambda text: np.ones((len(text), alphabet.size), bool)


def _fill(
    jobs: list[_Job],
    denoise: Callable[..., Tensor],
    alphabet: Alphabet,
    context: int,
    sampler: SamplerConfig,
    meaning: Callable[[bytes], np.ndarray],
    seed: int,
    batch_tokens: int,
    progress: Callable[[int], None] | None,
) -> None:
    """Fill every window of every job, round by round."""
    rounds: dict[int, list[tuple[_Job, FillWindow]]] = {}
    plans: dict[int, list[FillWindow]] = {}
    for job in jobs:
        key = id(job.targets)
        if key not in plans:
            plans[key] = plan(job.targets, context)
        for window in plans[key]:
            rounds.setdefault(window.level, []).append((job, window))
    for level in sorted(rounds):
        # Windows of like length together, so that little is padding; results do not depend on it: what a round
        # fills is put in place when the whole round is done, so every window of it sees the record as it was.
        waiting = sorted(rounds[level], key=lambda pair: pair[1].end - pair[1].start)
        filled: list[_FilledWindow] = []
        while waiting:
            rows = max(1, batch_tokens // (waiting[-1][1].end - waiting[-1][1].start))
            part, waiting = waiting[-rows:], waiting[:-rows]
            new = _fill_windows(part, denoise, alphabet, sampler, meaning, seed)
            filled += new
            if progress:
                progress(sum(len(window.places) for window in new))
        for window in filled:
            window.put_in_place()


class _FilledWindow(NamedTuple):
    """What one window came to, at its targets alone: a round may have very many windows."""

    job: _Job
    places: np.ndarray
    letters: np.ndarray
    marginals: np.ndarray
    calls: int
    log_weight: float

    def put_in_place(self) -> None:
        self.job.tokens[self.places] = self.letters
        self.job.marginals[np.searchsorted(self.job.positions, self.places)] = self.marginals
        self.job.calls += self.calls
        self.job.log_weight += self.log_weight


def _fill_windows(
    part: list[tuple[_Job, FillWindow]],
    denoise: Callable[..., Tensor],
    alphabet: Alphabet,
    sampler: SamplerConfig,
    meaning: Callable[[bytes], np.ndarray],
    seed: int,
) -> list[_FilledWindow]:
    """Fill some windows as their records are now, without touching the records."""
    longest = max(window.end - window.start for _, window in part)
    tokens = np.full((len(part), longest), alphabet.pad, np.int64)
    allowed = np.zeros((len(part), longest, alphabet.size), bool)
    for row, (job, window) in enumerate(part):
        inner, outer = slice(window.first - window.start, window.last - window.start), slice(window.first, window.last)
        tokens[row, : window.end - window.start] = job.tokens[window.start : window.end]
        allowed[row, inner] = meaning(job.record.sequence[outer]) & job.targets[outer, np.newaxis]
    start = torch.from_numpy(tokens)
    marginals = denoise(start).double().softmax(-1).cpu().numpy()
    streams = Streams.of(seed, [(job.record.name, job.replicate, window.first) for job, window in part])
    result = sampler(denoise, start, torch.from_numpy(allowed), rng=streams)
    drawn = result.tokens.cpu().numpy()
    filled = []
    for row, (job, window) in enumerate(part):
        places = window.first + np.flatnonzero(job.targets[window.first : window.last])
        at = places - window.start
        first_pass = _restricted(marginals[row, at], allowed[row, at]).astype(np.float32)
        calls, log_weight = int(result.calls[row]) + 1, float(result.log_weight[row])
        filled.append(_FilledWindow(job, places, drawn[row, at].astype(np.uint8), first_pass, calls, log_weight))
    return filled


def _restricted(marginals: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """Distributions over the allowed letters alone, summing to one."""
    kept = np.where(allowed, np.maximum(marginals, np.finfo(np.float64).tiny), 0.0)
    return kept / kept.sum(1, keepdims=True)


def _written(job: _Job, alphabet: Alphabet) -> Record:
    """The record with its letters filled in, in the case of the letters they replace, U in RNA."""
    sequence = np.frombuffer(job.record.sequence, np.uint8).copy()
    letters = np.frombuffer(alphabet.decode(job.tokens[job.positions]), np.uint8).copy()
    for alias, symbol in alphabet.aliases:
        both = alias + alias.lower(), symbol + symbol.lower()
        if any(ord(c) in sequence for c in both[0]) and not any(ord(c) in sequence for c in both[1]):
            letters[letters == ord(symbol)] = ord(alias)
    replaced = sequence[job.positions]
    lower = (replaced >= ord("a")) & (replaced <= ord("z"))
    sequence[job.positions] = np.where(lower, letters | 0x20, letters)
    return replace(job.record, sequence=sequence.tobytes())


def unknown_records(lengths: Iterable[int], alphabet: Alphabet) -> Iterator[Record]:
    """Records of nothing but unknown letters: filling them is sampling."""
    for number, length in zip(itertools.count(1), lengths):
        name = f"sample{number}"
        yield Record(name, name, alphabet.unknown.encode() * length, line_width=60)
