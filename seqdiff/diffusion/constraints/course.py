"""How probable it is that what is left to fill obeys the constraints: a backward recursion over states and counts.

With the marginals nu_i(v) l_i(v) of one network pass, taken as independent, beta_i(s) = sum_v nu_i(v) l_i(v)
beta_{i+1}(delta_i(s, v)), and 1 or 0 at the end. It is looked ahead with and twists the particles (Whiteley & Lee 2014,
doi:10.1214/13-AOS1167; for language models Zhang et al. 2024, arXiv:2406.13892): q(v) is proportional to mu_i(v) l_i(v)
beta_{i+1}(delta_i(s, v)). beta is 0 exactly where no filling is left, since nu is kept above 0; where it is not, it may
be off by any factor, and weights stay exact.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int, Integer

from seqdiff.diffusion.constraints.memory import Memory, TooLarge

LEAST = 1e-150
"""Positive entries of a table are kept above this, and marginals above `LEAST_MARGINAL`: no product of them is 0."""
LEAST_MARGINAL = 1e-6
MOST_ENTRIES = 1 << 26
"""Of the tables of a window: half a GiB."""


class Share(NamedTuple):
    """How much of the filled letters are `counted` ones: from `low` to `high`."""

    low: Fraction
    high: Fraction
    counted: tuple[int, ...]

    def bounds(self, letters: int) -> tuple[int, int]:
        """The smallest and the largest number of counted letters; smallest > largest where there is none."""
        return -int(-self.low * letters // 1), int(self.high * letters // 1)


@dataclass(frozen=True)
class Rules:
    """What a record must obey. `triplets`: by the place of their last letter, which of the K^3 are allowed."""

    memory: Memory
    triplets: Mapping[int, Bool[np.ndarray, "KKK"]] = field(default_factory=dict)
    share: Share | None = None


class Table(NamedTuple):
    """beta(q, c) = values[q, c] exp(scale[c]), up to a factor."""

    values: Float64[np.ndarray, "Q C"]
    scale: Float64[np.ndarray, "C"]


class Course:
    """The letters of one record that a constraint can see: those to fill and the given ones close behind them.

    A forbidden word that given letters spell alone stays, since nothing can be done about it. Letters that stay unknown
    are part of no word.
    """

    def __init__(self, tokens: Integer[np.ndarray, "L"], targets: Bool[np.ndarray, "L"], rules: Rules):
        """`tokens` below K are given, others unknown; `targets` are to be filled. Raises TooLarge."""
        self.rules, self.memory = rules, rules.memory
        self._symbols = rules.memory.step.shape[1]
        where = np.flatnonzero(targets)
        reach = self.memory.reach
        firsts = where[np.diff(where, prepend=-(10**18)) > reach]
        lasts = where[np.diff(where, append=10**18) > reach]
        runs = [np.arange(first, min(last + reach + 1, len(tokens))) for first, last in zip(firsts, lasts)]
        self.places = np.concatenate([np.zeros(0, np.int64), *runs])
        self.is_target = targets[self.places]
        self.given = tokens[self.places].astype(np.int64)
        before = np.searchsorted(where, self.places, side="right") - 1
        self.since = self.places - where[before]
        self.fresh = np.full(len(self.places), -1)
        self.fresh[np.searchsorted(self.places, firsts)] = [
            self._after(tokens[max(0, first - reach) : first]) for first in firsts
        ]
        self.low, self.high = (0, 0) if rules.share is None else rules.share.bounds(len(where))
        self.counted = np.isin(np.arange(self._symbols), () if rules.share is None else rules.share.counted)
        self.entries = len(self.memory.step) * (max(self.high, 0) + 1)
        """Of one table."""
        if self.entries > MOST_ENTRIES // 16:
            raise TooLarge(f"{len(self.memory.step):,} states at each of {self.high + 1:,} counts")

    def _after(self, tokens: Integer[np.ndarray, "M"]) -> int:
        state = 0
        for token in tokens.tolist():
            state = int(self.memory.step[state, token]) if token < self._symbols else 0
        return state

    def index(self, place: int) -> int:
        """The first letter of the course at or after a place of the record."""
        return int(np.searchsorted(self.places, place))

    def too_large(self, letters: int) -> bool:
        """Whether tables at this many letters are more than are kept in memory."""
        return self.entries * letters > MOST_ENTRIES

    def feasible(self, likelihood: Float64[np.ndarray, "T K"]) -> bool:
        """Whether any filling that the likelihood (of the targets, in order) allows obeys the rules."""
        if not len(self.places):
            return True
        table = self.ends(likelihood, [0])[0]
        return bool(table.values[self.fresh[0], 0] > 0)

    def ends(self, likelihood: Float64[np.ndarray, "T K"], wanted: Collection[int]) -> dict[int, Table]:
        """Tables before some letters of the course, from uniform marginals; at its end, the last one."""
        found, wanted = {}, set(wanted)
        table, target = self._last(), len(likelihood)
        for i in range(len(self.places), -1, -1):
            if i < len(self.places):
                target -= int(self.is_target[i])
                table = self._before(i, table, likelihood[target] if self.is_target[i] else None)
            if i in wanted:
                found[i] = table
        return found

    def guide(
        self,
        first: int,
        last: int,
        end: Table,
        marginals: Float64[np.ndarray, "T K"],
        likelihood: Float64[np.ndarray, "T K"],
        state: int,
        count: int,
        origin: int = 0,
    ) -> "Guide":
        """How particles are steered through the letters first..last-1 of the course: `marginals` and `likelihood` are
        those of the targets among them, `end` the table before letter `last`, `state` and `count` where they begin.
        Places count from `origin`."""
        weights = np.maximum(marginals, LEAST_MARGINAL) * likelihood
        tables, table, target = {}, end, len(weights)
        for i in range(last - 1, first - 1, -1):
            table = self._entered(i + 1, table)
            if self.is_target[i]:
                target -= 1
                tables[i] = table
            table = self._before(i, table, weights[target] if self.is_target[i] else None)
        start = state if self.fresh[first] < 0 else int(self.fresh[first])
        return Guide(self, first, last, tables, start, count, origin)

    def allowed(self, i: int) -> Bool[np.ndarray, "Q K"]:
        """Which letters may stand at letter i of the course, by the state before it."""
        allowed = self.memory.longest <= self.since[i]
        triplets = self.rules.triplets.get(int(self.places[i]))
        if triplets is not None:
            recent = self.memory.recent
            allowed = allowed & (recent >= 0)[:, None] & triplets.reshape(-1, self._symbols)[recent]
        return allowed

    def _last(self) -> Table:
        values = np.zeros((len(self.memory.step), max(self.high, 0) + 1))
        values[:, self.low :] = 1.0
        return _scaled(values, np.zeros(values.shape[1]))

    def _entered(self, i: int, table: Table) -> Table:
        """The table before letter i for those that come from the letter before it in the course."""
        if i < len(self.places) and self.fresh[i] >= 0:
            return Table(np.broadcast_to(table.values[self.fresh[i]], table.values.shape), table.scale)
        return table

    def _before(self, i: int, table: Table, weight: Float64[np.ndarray, "K"] | None) -> Table:
        """beta before letter i of the course, from beta after it."""
        values, scale = self._entered(i + 1, table)
        allowed, step = self.allowed(i), self.memory.step
        if weight is None:
            letter = int(self.given[i])
            if letter >= self._symbols:
                known = int(self.places[i]) not in self.rules.triplets
                return _scaled(np.broadcast_to(values[0] * known, values.shape), scale)
            return _scaled(values[step[:, letter]] * allowed[:, letter, None], scale)
        weight = np.where(weight > 0, np.maximum(weight / weight.max(), 1e-30), 0.0)
        stay, up = np.zeros_like(values), np.zeros_like(values)
        for letter in range(self._symbols):
            into = up if self.counted[letter] else stay
            into += values[step[:, letter]] * (allowed[:, letter] * weight[letter])[:, None]
        if not self.counted.any():
            return _scaled(stay, scale)
        up, higher = np.roll(up, -1, axis=1), np.roll(scale, -1)
        up[:, -1], higher[-1] = 0.0, -np.inf
        both = np.maximum(scale, higher)
        alive = both > -np.inf
        shift = [np.where(s > -np.inf, np.exp(np.maximum(s - np.where(alive, both, 0.0), -230.0)), 0.0)
                 for s in (scale, higher)]  # fmt: skip
        return _scaled(stay * shift[0] + up * shift[1], both)


def _scaled(values: Float64[np.ndarray, "Q C"], scale: Float64[np.ndarray, "C"]) -> Table:
    """The same up to a factor, with columns of at most 1 and scales of at most 0."""
    most = values.max(0)
    alive = most > 0
    values = values / np.where(alive, most, 1.0)
    values = np.where(values > 0, np.maximum(values, LEAST), 0.0)
    scale = np.where(alive, scale + np.log(np.where(alive, most, 1.0)), -np.inf)
    return Table(values, scale - scale.max() if alive.any() else scale)


class Guide:
    """The way of the particles of one row through a window, by the number of the target they have come to."""

    def __init__(
        self, course: Course, first: int, last: int, tables: Mapping[int, Table], state: int, count: int, origin: int
    ):
        self._course, self._last, self._tables, self._origin = course, last, tables, origin
        self._at = [i for i in range(first, last) if course.is_target[i]]
        self.state, self.count = state, count

    @property
    def places(self) -> Int[np.ndarray, "T"]:
        """The targets of the window."""
        return self._course.places[self._at] - self._origin

    def ahead(
        self, target: int, state: Int[np.ndarray, "N"], count: Int[np.ndarray, "N"]
    ) -> Float64[np.ndarray, "N K"]:
        """log beta after each letter at a target; -inf where no filling is left."""
        i = self._at[target]
        table, course = self._tables[i], self._course
        new = course.memory.step[state]
        counts = count[:, None] + course.counted
        inside = counts < table.values.shape[1]
        counts = np.minimum(counts, table.values.shape[1] - 1)
        values = table.values[new, counts] * (course.allowed(i)[state] & inside)
        return np.log(values, out=np.full(values.shape, -np.inf), where=values > 0) + np.where(
            values > 0, table.scale[counts], 0.0
        )

    def advance(
        self, target: int, state: Int[np.ndarray, "N"], count: Int[np.ndarray, "N"], letters: Int[np.ndarray, "N"]
    ) -> tuple[Int[np.ndarray, "N"], Int[np.ndarray, "N"]]:
        """Where particles are before the next target, or at the end of the window, when this one is filled."""
        course, i = self._course, self._at[target]
        state, count = course.memory.step[state, letters], count + course.counted[letters]
        until = self._at[target + 1] if target + 1 < len(self._at) else self._last
        for j in range(i + 1, min(until + 1, len(course.places))):
            if course.fresh[j] >= 0:
                state = np.full_like(state, course.fresh[j])
            if j < until:
                letter = int(course.given[j])
                state = course.memory.step[state, letter] if letter < course._symbols else np.zeros_like(state)
        return state, count
