"""Fill the unknown letters of records and change nothing else.

FASTA record -> tokens (unknown = mask) and how likely each letter is -> windows around the gaps -> sampler -> letters
back in place. Known letters, their case, order and headers survive byte for byte.
"""

import itertools
import logging
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from seqdiff.alphabet import Alphabet
from seqdiff.data.fasta import Record
from seqdiff.data.intervals import Interval
from seqdiff.data.source import bytes_of, shown
from seqdiff.diffusion.constraints import MOST_ENTRIES, Guide
from seqdiff.diffusion.samplers import Particles, Sampler
from seqdiff.errors import DataError
from seqdiff.inference.design import Design, Task
from seqdiff.inference.filled import Infilled, written
from seqdiff.inference.known import Known
from seqdiff.inference.windows import FillWindow, plan
from seqdiff.streams import Streams

log = logging.getLogger("seqdiff")

RECORDS_AT_ONCE = 16_000_000
"""Letters of records held in memory together; a single longer record is held alone."""


class _Job:
    """One replicate of one record on its way."""

    def __init__(
        self, record: Record, replicate: int, known: Known, symbols: int, inserted: str | None, alone: bool = False
    ):
        """`alone`: nothing else reads what is known, so that its tokens need not be kept as they are."""
        self.record, self.replicate, self.known, self.inserted = record, replicate, known, inserted
        self.tokens = known.tokens if alone else known.tokens.copy()
        self.positions = np.flatnonzero(known.targets)
        self.letters = np.zeros(len(self.positions), self.tokens.dtype)
        """What is filled in there. It is in `tokens` from the next round on."""
        self.marginals = np.zeros((len(self.positions), symbols), np.float32)
        self.calls, self.log_weight, self.ess = 0, 0.0, math.nan
        self.impossible: int | None = None
        self.task: Task | None = None
        self.place = (0, 0)
        """Under constraints: the state and the count that the window before has come to."""

    def targets_of(self, window: FillWindow) -> slice:
        """Those of `positions` that a window fills."""
        return slice(*np.searchsorted(self.positions, (window.first, window.last)).tolist())

    def put_in_place(self, window: FillWindow) -> None:
        """What a window has filled, for others to see."""
        where = self.targets_of(window)
        self.tokens[self.positions[where]] = self.letters[where]


def infill(
    records: Iterable[Record],
    denoise: Callable[..., Tensor],
    alphabet: Alphabet,
    context: int,
    sampler: Sampler,
    *,
    seed: int = 0,
    samples: int = 1,
    spans: Mapping[str, Sequence[Interval]] | None = None,
    trusted: int | None = None,
    stride: int | None = None,
    design: Design | None = None,
    inserted: Callable[[Record], Sequence[tuple[Record, str | None]]] | None = None,
    batch_tokens: int = 16_384,
    progress: Callable[[int], None] | None = None,
) -> Iterator[Infilled]:
    """Fill records, in their order, `samples` replicates each.

    Without `spans` every unknown letter is filled: N with any letter, an ambiguity code with one it stands
    for. With `spans` those spans are masked and filled, whatever stood there, and unknown letters elsewhere
    stay. With `trusted` the base qualities of FASTQ records are evidence: letters of a lower quality are drawn again
    given what was called (`Known`). `stride`: see `windows.plan`. The letters of a record depend on (seed, record
    name, replicate) alone. `progress` gets the number of letters filled. Records must have been checked
    (`seqdiff.data.fasta.check_letters`).

    A `design` is met by every filling, and takes a `Particles` sampler. Its windows are filled from left to right, one
    by one; letters after a window are looked ahead to as if they were uniform (the weights are exact all the same).

    `inserted` gives the `samples` versions of a record, each with unknown letters of its own number put in, and says
    what was (`Inserts.grown`); they are filled in place of the record.

    Raises DataError for a record that cannot meet the design, and where all particles of a `Particles` sampler meet
    evidence that the model rules out. Other samplers fill in a letter that the evidence allows, give a log weight of
    -inf, and a warning names the position.
    """
    assert design is None or isinstance(sampler, Particles), "constraints are met by particles"
    assert inserted is None or (spans is None and design is None), "spans and designs have positions, inserts move them"

    def jobs_of(record: Record) -> Iterator[_Job]:
        versions = inserted(record) if inserted else [(record, None)] * samples
        within = None if spans is None else spans.get(record.name, ())
        knowns = {version.sequence: Known(version, alphabet, within, trusted) for version, _ in versions}
        if design:
            design.check(record, knowns[record.sequence], stride or context)
            design.warn(record, knowns[record.sequence])
        for replicate, (version, what) in enumerate(versions):
            known, alone = knowns[version.sequence], len(versions) == 1 and design is None
            yield _Job(version, replicate, known, alphabet.size, what, alone)

    for group in _groups(records):
        jobs = deque(job for record in group for job in jobs_of(record))
        group.clear()
        _fill(jobs, denoise, alphabet, context, sampler, seed, stride, design, batch_tokens, progress)
        while jobs:  # and what has been handed out is let go: it may be a chromosome
            yield _done(jobs.popleft(), sampler, alphabet, design)


def _done(job: _Job, sampler: Sampler, alphabet: Alphabet, design: Design | None) -> Infilled:
    """The record that a job has become."""
    if job.impossible is not None:
        _say_impossible(job, sampler)
    if design is None:
        del job.known, job.tokens
    record = written(job.record, job.positions, job.letters, alphabet)
    return Infilled(
        record=record,
        constraints=design.verify(record, job.known) if design else None,
        inserted=job.inserted,
        replicate=job.replicate,
        positions=job.positions,
        marginals=job.marginals,
        calls=job.calls,
        log_weight=job.log_weight if sampler.draws and not sampler.revisits else None,
        ess=None if math.isnan(job.ess) else job.ess,
    )


def _say_impossible(job: _Job, sampler: Sampler) -> None:
    """An error where exact evidence was asked for, else a warning."""
    where = f"record {shown(bytes_of(job.record.name))}, position {job.impossible + 1:,}"
    if sampler.weighs:
        raise DataError(
            f"{where}: what is known of the letters, or asked of them, is impossible under the model, in all of "
            f"{sampler.particles} particles; check it, or fill without exact evidence"
        )
    log.warning("%s: the model rules out every letter that is possible here: the log weight is -inf", where)


def _groups(records: Iterable[Record]) -> Iterator[list[Record]]:
    """Records a few at a time, so that small ones share batches and large ones do not fill the memory."""
    group, letters = [], 0
    for record in records:
        group.append(record)
        letters += len(record.sequence)
        del record
        if letters >= RECORDS_AT_ONCE or len(group) >= 256:
            yield group
            group, letters = [], 0
    if group:
        yield group


def _fill(
    jobs: Iterable[_Job],
    denoise: Callable[..., Tensor],
    alphabet: Alphabet,
    context: int,
    sampler: Sampler,
    seed: int,
    stride: int | None,
    design: Design | None,
    batch_tokens: int,
    progress: Callable[[int], None] | None,
) -> None:
    """Fill every window of every job, round by round."""
    rounds: dict[int, list[tuple[_Job, FillWindow]]] = {}
    plans: dict[int, tuple[list[FillWindow], Task | None]] = {}
    for job in jobs:
        key = id(job.known)
        if key not in plans:
            windows = plan(job.known.targets, context, stride, in_order=design is not None)
            plans[key] = windows, Task(design, job.record, job.known, windows) if design and windows else None
        windows, job.task = plans[key]
        for window in windows:
            rounds.setdefault(window.level, []).append((job, window))
    particles = sampler.particles if isinstance(sampler, Particles) else 1
    parts = _InParts(denoise, alphabet.size, batch_tokens) if particles > 1 else denoise
    for level in sorted(rounds):
        # Windows of like length together, so that little is padding; results do not depend on it: what a round
        # fills is put in place when the whole round is done, so every window of it sees the record as it was.
        waiting = sorted(rounds[level], key=lambda pair: pair[1].end - pair[1].start)
        while waiting:
            rows = max(1, batch_tokens // (particles * (waiting[-1][1].end - waiting[-1][1].start)))
            if design:
                entries = itertools.accumulate(job.task.entries(window) for job, window in reversed(waiting[-rows:]))
                rows = max(1, sum(so_far <= MOST_ENTRIES for so_far in entries))
            part, waiting = waiting[-rows:], waiting[:-rows]
            letters = _fill_windows(part, parts, alphabet, sampler, seed, progress)
            if progress and not design:  # whose letters take long, and are counted one by one
                progress(letters)
        for job, window in rounds[level]:
            job.put_in_place(window)


def _fill_windows(
    part: list[tuple[_Job, FillWindow]],
    denoise: Callable[..., Tensor],
    alphabet: Alphabet,
    sampler: Sampler,
    seed: int,
    progress: Callable[[int], None] | None,
) -> int:
    """Fill some windows as their records are now, without touching the records; the number of letters filled."""
    longest = max(window.end - window.start for _, window in part)
    tokens = np.full((len(part), longest), alphabet.pad, np.int64)
    evidence = np.zeros((len(part), longest, alphabet.size))
    for row, (job, window) in enumerate(part):
        inner, outer = slice(window.first - window.start, window.last - window.start), slice(window.first, window.last)
        tokens[row, : window.end - window.start] = job.tokens[window.start : window.end]
        evidence[row, inner] = job.known.likelihood(outer)
    start = torch.from_numpy(tokens)
    marginals = None if sampler.hindsight else sampler.marginals(denoise, start).cpu().numpy()
    streams = Streams.of(seed, [(job.record.name, job.replicate, window.first) for job, window in part])
    guides = [_guide(job, window, marginals[row], evidence[row]) for row, (job, window) in enumerate(part) if job.task]
    steering = {"guides": guides, "progress": progress} if guides else {}
    result = sampler(denoise, start, torch.from_numpy(evidence), rng=streams, **steering)
    drawn = result.tokens.cpu().numpy()
    if sampler.hindsight:
        marginals = result.marginals.cpu().double().numpy()
    letters = 0
    for row, (job, window) in enumerate(part):
        where = job.targets_of(window)
        at = job.positions[where] - window.start
        job.letters[where] = drawn[row, at]
        job.marginals[where] = _posterior(marginals[row, at], evidence[row, at])
        job.calls += int(result.calls[row]) + (not sampler.hindsight)
        job.log_weight += float(result.log_weight[row])
        job.ess = float(np.fmin(job.ess, math.nan if result.ess is None else float(result.ess[row])))
        if job.impossible is None and result.impossible is not None and result.impossible[row] >= 0:
            job.impossible = window.start + int(result.impossible[row])
        if guides:
            job.place = (guides[row].state, guides[row].count)
        letters += len(at)
    return letters


def _guide(job: _Job, window: FillWindow, marginals: np.ndarray, evidence: np.ndarray) -> Guide:
    at = np.flatnonzero(job.known.targets[window.first : window.last]) + window.first - window.start
    return job.task.guide(window, marginals[at], evidence[at], job.place)


class _InParts:
    """A denoiser that is never given more than some tokens at once: particles make many rows of one."""

    def __init__(self, denoise: Callable[..., Tensor], symbols: int, batch_tokens: int):
        self.module, self.symbols, self._batch_tokens = denoise, symbols, batch_tokens

    def __call__(self, tokens: Tensor, time: None = None) -> Tensor:
        rows = max(1, self._batch_tokens // max(1, tokens.shape[1]))
        return torch.cat([self.module(part) for part in tokens.split(rows)])


def _posterior(marginals: np.ndarray, likelihood: np.ndarray) -> np.ndarray:
    """Distributions over the letters times how likely they make what is known, summing to one."""
    kept = np.maximum(marginals, np.finfo(np.float64).tiny) * likelihood
    return kept / kept.sum(1, keepdims=True)


def unknown_records(lengths: Iterable[int], alphabet: Alphabet) -> Iterator[Record]:
    """Records of nothing but unknown letters: filling them is sampling."""
    for number, length in zip(itertools.count(1), lengths):
        name = f"sample{number}"
        yield Record(name, name, alphabet.unknown.encode() * length, line_width=60)
