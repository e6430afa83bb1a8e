"""What of the letters so far matters for forbidden words and for triplets: a deterministic finite automaton.

A state is the set of beginnings of words that the last letters spell, advanced as in Shift-And (Baeza-Yates & Gonnet
1992, doi:10.1145/135239.135243), which takes sets of letters at every place, and the last two letters where triplets
matter.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

Word = tuple[frozenset[int], ...]
"""Sets of symbols, one a place: the word `GR` is `({2}, {0, 2})`."""

MOST_STATES = 20_000


class TooLarge(ValueError):
    """The constraints together need a larger table than is kept in memory."""


@dataclass(frozen=True)
class Memory:
    """States 0..Q-1; 0 is that before any letter, and after one that is unknown."""

    step: Int[np.ndarray, "Q K"]
    """The state after each letter."""
    longest: Int[np.ndarray, "Q K"]
    """Letters of the longest forbidden word that each letter completes; 0: none."""
    recent: Int[np.ndarray, "Q"]
    """The last two letters, a K + b; -1 where they are not both known, or do not matter."""
    reach: int
    """A state depends on no more than the last `reach` letters."""

    @classmethod
    def of(cls, words: Sequence[Word], symbols: int, *, pairs: bool) -> "Memory":
        """The automaton of some words; with `pairs` it knows the last two letters.

        Raises TooLarge for words that need too many states.

        >>> memory = Memory.of([(frozenset({0}), frozenset({0, 1}))], symbols=2, pairs=False)
        >>> memory.step.tolist(), memory.longest.tolist()
        ([[1, 0], [1, 0]], [[0, 0], [2, 2]])
        """
        admits, begins, ends, at = [0] * symbols, 0, {}, 0
        for word in words:
            begins |= 1 << at
            for place, letters in enumerate(word):
                for letter in letters:
                    admits[letter] |= 1 << (at + place)
            at += len(word)
            ends[at - 1] = len(word)
        final = sum(1 << end for end in ends)
        numbers, states = {(0, -1): 0}, [(0, -1)]
        step: list[list[int]] = []
        longest: list[list[int]] = []
        while len(step) < len(states):
            spelt, recent = states[len(step)]
            after, done = [], []
            for letter in range(symbols):
                new = ((spelt << 1) | begins) & admits[letter]
                state = (new & ~final, _two(recent, letter, symbols) if pairs else -1)
                if state not in numbers:
                    numbers[state] = len(states)
                    states.append(state)
                after.append(numbers[state])
                done.append(max((length for end, length in ends.items() if new >> end & 1), default=0))
            step.append(after)
            longest.append(done)
            if len(states) > MOST_STATES:
                raise TooLarge(f"the forbidden words need more than {MOST_STATES:,} states")
        return cls(
            step=np.array(step),
            longest=np.array(longest),
            recent=np.array([max(recent - symbols, -1) for _, recent in states]),
            reach=max([2 if pairs else 0, *(len(word) - 1 for word in words)]),
        )


def _two(recent: int, letter: int, symbols: int) -> int:
    """-1: no letter; below K: one; from K on: two."""
    if recent < 0:
        return letter
    return symbols + (recent if recent < symbols else (recent - symbols) % symbols) * symbols + letter
