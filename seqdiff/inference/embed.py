"""Embeddings: what the network knows of every letter of a record, of any length, and means over its letters.

A letter's state is its hidden state (`Denoiser.hidden`: after the last norm, before the head), in the record as it
stands: nothing is masked but letters that are unknown. A hollow network's state knows all letters but the one it is at.

For DNA the mean of both strands is taken, so that a record and its reverse complement have the same states in reverse
order, whatever the network. Of an equivariant network with two halves of channels, that of the other strand is
added to its own, reversed: half as many channels, nothing lost.

A record longer than the context is read in windows that overlap by half or more, and each letter's state is that of the
window in whose middle it is most nearly (of two it is as near to, the mean): no letter is read at the edge of a window
but those at the ends of the record. The windows of the reverse complement are the same windows.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64
from torch import Tensor

from seqdiff.alphabet import Alphabet
from seqdiff.data.fasta import Record
from seqdiff.denoisers import Denoiser
from seqdiff.errors import UsageError
from seqdiff.inference.frozen import computed_alone, rows_by_length

TOKENS_AT_ONCE = 65_536
"""Letters whose windows are sorted by length before they share batches; as many states are held at once."""

Strand = Literal["both", "forward"]


class States:
    """Hidden states of token rows: no gradients, float32, both strands or the one that is written."""

    def __init__(self, network: Denoiser, alphabet: Alphabet, device: torch.device, *, strand: Strand = "both"):
        if strand == "forward" and not alphabet.complementary:
            raise UsageError(f"one strand: {alphabet.name} has no other one")
        self.network, self.alphabet, self.device = network, alphabet, device
        both = strand == "both" and alphabet.complementary
        self.folds = both and network.equivariant
        self.reads_twice = both and not network.equivariant
        self._width: int | None = None

    @property
    def width(self) -> int:
        """D, the channels of a state."""
        if self._width is None:
            length = getattr(self.network, "columns", None) or 1
            self._width = self([np.full(length, self.alphabet.mask)]).shape[-1]
        return self._width

    @torch.no_grad()
    def __call__(self, rows: Sequence[np.ndarray]) -> Float32[Tensor, "B L D"]:
        """States of rows of tokens, padded to the longest on the right; what stands at pads means nothing."""
        if not self.reads_twice:
            hidden = self._hidden(rows)
            return self.network.unstranded(hidden) if self.folds else hidden
        forward, other = self._hidden([*rows, *map(self.alphabet.reverse_complement, rows)]).chunk(2)
        lengths = torch.tensor([len(row) for row in rows], device=other.device)
        places = (lengths[:, None] - 1 - torch.arange(other.shape[1], device=other.device)).clamp(min=0)
        back = other.gather(1, places[:, :, None].expand_as(other))
        return (forward + back) / 2

    def _hidden(self, rows: Sequence[np.ndarray]) -> Float32[Tensor, "B L D"]:
        tokens = padded(rows, self.alphabet.pad).to(self.device)
        time = torch.zeros(len(tokens), device=self.device) if self.network.takes_time else None
        with computed_alone(self.device):
            if self.device.type == "cuda" or self.network.pads_leave_no_trace:
                return self.network.hidden(tokens, time).float()
            found: Tensor | None = None
            for length, same in rows_by_length(tokens, self.alphabet.pad).items():
                of_rows = self.network.hidden(tokens[same, :length], None if time is None else time[same]).float()
                if found is None:
                    found = of_rows.new_zeros(*tokens.shape, of_rows.shape[-1])
                found[same, :length] = of_rows
            assert found is not None, "a row has a letter"
            return found


def padded(rows: Sequence[np.ndarray], pad: int) -> Tensor:
    """Rows of tokens as one (B, L) int64 tensor, pads on the right."""
    tokens = np.full((len(rows), max(map(len, rows))), pad, np.int64)
    for row, letters in zip(tokens, rows, strict=True):
        row[: len(letters)] = letters
    return torch.from_numpy(tokens)


class View(NamedTuple):
    """The network sees [start, end) of a record; the states of [first, last) are taken from it, half of those at an
    end that it shares with the next view."""

    start: int
    end: int
    first: int
    last: int
    shares_first: bool
    shares_last: bool


def views(length: int, context: int) -> Iterator[View]:
    """Windows of `context` letters over a record, evenly spread, at most half a context apart, the same from both ends.

    >>> [view[:4] for view in views(16, 8)]
    [(0, 8, 0, 6), (4, 12, 6, 10), (8, 16, 10, 16)]
    """
    if length <= context:
        yield View(0, length, 0, length, False, False)
        return
    room = length - context
    count = -(-room // max(1, context // 2)) + 1
    if room % 2 and count % 2:
        count += 1  # an odd number of windows has one in the middle, and there is no middle

    def start(number: int) -> int:
        if 2 * number > count - 1:
            return room - start(count - 1 - number)
        return number * room // (count - 1)

    before = 0  # twice where the last view's letters end
    for number in range(count):
        after = start(number) + start(number + 1) + context if number + 1 < count else 2 * length
        yield View(start(number), start(number) + context, before // 2, -(-after // 2), before % 2 == 1, after % 2 == 1)
        before = after


class Stretch(NamedTuple):
    """States of letters [first, first + n) of a record, in float32; `known` says which are letters of the alphabet."""

    number: int
    """Of the record, from 0."""
    record: Record
    length: int
    """Letters of the record."""
    first: int
    states: Float32[np.ndarray, "n D"]
    known: Bool[np.ndarray, "n"]


def stretches(
    records: Iterable[Record],
    states: States,
    context: int,
    *,
    batch_tokens: int = 16_384,
    progress: Callable[[int], None] | None = None,
) -> Iterator[Stretch]:
    """The states of all letters, record after record and from left to right; an empty record has one empty stretch.

    Memory holds one record and `TOKENS_AT_ONCE` states (or a batch of them). `progress` gets the letters
    done. Records must have been checked for foreign letters.
    """
    alphabet = states.alphabet
    waiting: list[tuple[int, Record, np.ndarray, View]] = []
    carried: np.ndarray | None = None
    letters = 0

    def done() -> Iterator[Stretch]:
        nonlocal carried
        found = _states([tokens[view.start : view.end] for _, _, tokens, view in waiting], states, batch_tokens)
        for (number, record, tokens, view), rows in zip(waiting, found, strict=True):
            rows = rows[view.first - view.start : view.last - view.start]
            if view.shares_first:
                assert carried is not None
                rows[0] = (carried + rows[0]) / 2
            if view.shares_last:
                carried, rows = rows[-1].copy(), rows[:-1]
            known = tokens[view.first : view.first + len(rows)] < alphabet.size
            yield Stretch(number, record, len(tokens), view.first, rows, known)
        if progress:
            progress(sum(view.last - view.first - view.shares_last for *_, view in waiting))

    for number, record in enumerate(records):
        tokens = alphabet.encode(record.sequence)
        for view in views(len(tokens), context):
            waiting.append((number, record, tokens, view))
            letters += view.end - view.start
            if letters >= max(TOKENS_AT_ONCE, batch_tokens) or len(waiting) >= TOKENS_AT_ONCE // 8:
                yield from done()
                waiting, letters = [], 0
    if waiting:
        yield from done()


def _states(rows: Sequence[np.ndarray], states: States, batch_tokens: int) -> list[np.ndarray]:
    """States of each row, in their order; rows of like length go through the network together."""
    found: list[np.ndarray] = [np.empty((0, states.width), np.float32)] * len(rows)
    order = sorted((i for i in range(len(rows)) if len(rows[i])), key=lambda i: len(rows[i]))
    while order:
        at_once = max(1, batch_tokens // (len(rows[order[-1]]) * (2 if states.reads_twice else 1)))
        part, order = order[-at_once:], order[:-at_once]
        result = states([rows[i] for i in part]).cpu().numpy()
        for i, row in zip(part, result, strict=True):
            found[i] = row[: len(rows[i])]
    return found


@dataclass(frozen=True)
class Embedded:
    """The mean state of the known letters of [start, end), a record or a window of it; NaN where none is known."""

    number: int
    """Of the record, from 0."""
    name: str
    length: int
    """Letters of the record."""
    start: int
    end: int
    known: int
    vector: Float32[np.ndarray, "D"]


def embed(
    records: Iterable[Record],
    states: States,
    context: int,
    *,
    window: int | None = None,
    stride: int | None = None,
    batch_tokens: int = 16_384,
    progress: Callable[[int], None] | None = None,
) -> Iterator[Embedded]:
    """A mean state for each record, or for each window of so many letters, every `stride` (default: one after another).

    The last window of a record ends with it and may be shorter. Unknown letters have states and are left out of means.
    """
    stride = window if stride is None else stride
    if window is not None and not 1 <= stride <= window:
        raise UsageError(f"windows of {window} letters every {stride}: give a window, and a stride of 1 up to it")
    found: _Means | None = None
    for stretch in stretches(records, states, context, batch_tokens=batch_tokens, progress=progress):
        if found is None or found.number != stretch.number:
            found = _Means(stretch, window, stride)
        yield from found.add(stretch)


def spans(length: int, window: int, stride: int) -> Iterator[tuple[int, int]]:
    """Where windows lie; the last one ends with the record.

    >>> list(spans(10, 4, 3)), list(spans(3, 4, 3))
    ([(0, 4), (3, 7), (6, 10)], [(0, 3)])
    """
    start = 0
    while True:
        yield start, min(start + window, length)
        if start + window >= length:
            return
        start += stride


class _Means:
    """Means over spans of one record whose states come from left to right: differences of sums up to a letter."""

    def __init__(self, first: Stretch, window: int | None, stride: int | None):
        self.number, self.record = first.number, first.record
        self.length = first.length
        window = window or max(1, self.length)
        self.spans = spans(self.length, window, stride or window)
        self.next: tuple[int, int] | None = next(self.spans)
        self.open: deque[tuple[int, int, int, np.ndarray]] = deque()
        self.known, self.total = 0, np.zeros(first.states.shape[1])

    def add(self, stretch: Stretch) -> Iterator[Embedded]:
        counts = self.known + np.concatenate([[0], np.cumsum(stretch.known)])
        sums = self._sums(stretch)
        first, last = stretch.first, stretch.first + len(stretch.known)
        while self.next is not None and (self.next[0] < last or self.length == 0):
            start, end = self.next
            self.open.append((start, end, int(counts[start - first]), sums[start - first].copy()))
            self.next = next(self.spans, None)
        while self.open and self.open[0][1] <= last:
            start, end, before, sum_before = self.open.popleft()
            known = int(counts[end - first]) - before
            with np.errstate(invalid="ignore"):
                vector = (
                    ((sums[end - first] - sum_before) / known).astype(np.float32)
                    if known
                    else np.full(len(self.total), np.nan, np.float32)
                )
            yield Embedded(self.number, self.record.name, self.length, start, end, known, vector)
        self.known, self.total = int(counts[-1]), sums[-1].copy()

    def _sums(self, stretch: Stretch) -> Float64[np.ndarray, "N D"]:
        sums = np.empty((len(stretch.known) + 1, len(self.total)))
        sums[0] = self.total
        np.cumsum(np.where(stretch.known[:, None], stretch.states, 0), axis=0, out=sums[1:])
        sums[1:] += self.total
        return sums
