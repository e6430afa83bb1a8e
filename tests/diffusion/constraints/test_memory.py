import numpy as np
import pytest

from seqdiff.diffusion.constraints import Memory, TooLarge

A, C, G, T = (frozenset({i}) for i in range(4))
N = frozenset(range(4))


def spelt(words, text):
    """The longest word that ends with the last letter of a text, letter by letter."""
    fits = [
        len(word)
        for word in words
        if len(word) <= len(text) and all(x in letters for x, letters in zip(text[len(text) - len(word) :], word))
    ]
    return max(fits, default=0)


@pytest.mark.parametrize(
    "words",
    [
        [(G, A, A, T, T, C)],
        [(A, A), (A, A, A), (C, frozenset({0, 2}), N, A)],
        [(C, N, N, G), (frozenset({1, 3}), G), (A, C, N, T)],
        [],
    ],
)
def test_the_automaton_says_what_is_spelt_and_forgets_the_rest(words):
    memory = Memory.of(words, 4, pairs=True)
    text = np.random.default_rng(1).integers(0, 4, 3000).tolist()
    for start in (0, 700):
        state = 0
        for i in range(start, len(text)):
            letter = text[i]
            if start == 0 or i >= start + memory.reach:
                assert memory.longest[state, letter] == spelt(words, text[max(0, i - 9) : i + 1])
                if i >= 2:
                    assert memory.recent[state] == 4 * text[i - 2] + text[i - 1]
            state = memory.step[state, letter]


def test_pairs_are_remembered_only_where_they_matter():
    assert len(Memory.of([(G, A, A, T, T, C)], 4, pairs=False).step) == 6
    assert Memory.of([], 4, pairs=False).reach == 0
    assert len(Memory.of([], 4, pairs=True).step) == 1 + 4 + 16


def test_words_that_need_too_many_states_are_refused():
    with pytest.raises(TooLarge, match="more than 20,000 states"):
        Memory.of([(A, *[N] * 20, T)], 4, pairs=False)
