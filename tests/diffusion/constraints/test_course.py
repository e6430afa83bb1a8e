"""Looking ahead, by enumeration of all that can still be filled in."""

import itertools
from fractions import Fraction

import numpy as np
import pytest

from seqdiff.diffusion.constraints import Course, Memory, Rules, Share, TooLarge

K = 3
WORDS = [(frozenset({0}), frozenset({1, 2})), (frozenset({2}), frozenset({0, 1, 2}), frozenset({2}))]


def obeys(x, targets, rules, words):
    """Whether a whole string obeys the rules, written down directly; -1 is a letter that stays unknown."""
    for word in words:
        for at in range(len(x) - len(word) + 1):
            here = range(at, at + len(word))
            if any(targets[i] for i in here) and all(x[i] in letters for i, letters in zip(here, word)):
                return False
    for last, allowed in rules.triplets.items():
        three = x[last - 2 : last + 1]
        if min(three) < 0 or not allowed[(three[0] * K + three[1]) * K + three[2]]:
            return False
    if rules.share is None:
        return True
    counted = sum(targets[i] and x[i] in rules.share.counted for i in range(len(x)))
    return rules.share.low * sum(targets) <= counted <= rules.share.high * sum(targets)


def cases(count=120):
    rng = np.random.default_rng(7)
    for case in range(count):
        length = int(rng.integers(1, 8))
        targets = rng.random(length) < 0.6
        given = rng.integers(0, K, length)
        tokens = np.where(targets | (rng.random(length) < 0.1), K, given).astype(np.uint8)
        words = [word for word in WORDS if rng.random() < 0.6]
        last = [i for i in range(2, length) if rng.random() < 0.25 and targets[i - 2 : i + 1].any()]
        triplets = {i: rng.random(K**3) < 0.4 for i in last}
        low, high = sorted(Fraction(int(n), 10) for n in rng.integers(0, 11, 2))
        share = Share(low, high, (1, 2)) if rng.random() < 0.5 else None
        likelihood = np.where(rng.random((int(targets.sum()), K)) < 0.85, rng.random((int(targets.sum()), K)), 0.0)
        likelihood[likelihood.sum(1) == 0, 0] = 0.5
        rules = Rules(Memory.of(words, K, pairs=bool(triplets)), triplets, share)
        yield case, tokens, targets, words, rules, likelihood


def strings(tokens, targets):
    where = np.flatnonzero(targets)
    for letters in itertools.product(range(K), repeat=len(where)):
        x = np.where(tokens < K, tokens.astype(int), -1)
        x[where] = letters
        yield letters, x.tolist()


def test_feasible_is_whether_any_filling_obeys():
    seen = set()
    for case, tokens, targets, words, rules, likelihood in cases(300):
        expected = any(
            obeys(x, targets, rules, words) and all(likelihood[i, v] > 0 for i, v in enumerate(letters))
            for letters, x in strings(tokens, targets)
        )
        if targets.any():
            assert Course(tokens, targets, rules).feasible(likelihood) == expected, case
            seen.add(expected)
    assert seen == {True, False}


def test_beta_is_the_probability_that_independent_letters_obey():
    """The marginals times the likelihood of all fillings that obey, by the letters before: up to a factor a place."""
    checked = 0
    for _, tokens, targets, words, rules, likelihood in cases():
        course = Course(tokens, targets, rules)
        if not targets.any() or not course.feasible(likelihood):
            continue
        total = int(targets.sum())
        marginals = np.random.default_rng(total).dirichlet(np.ones(K), total)
        end = course.ends(likelihood, [len(course.places)])[len(course.places)]
        guide = course.guide(0, len(course.places), end, marginals, likelihood, state=0, count=0)
        assert guide.places.tolist() == np.flatnonzero(targets).tolist()
        mass: dict[tuple, float] = {}
        for letters, x in strings(tokens, targets):
            if obeys(x, targets, rules, words):
                for i in range(1, total + 1):
                    rest = np.prod([marginals[j, letters[j]] * likelihood[j, letters[j]] for j in range(i, total)])
                    mass[letters[:i]] = mass.get(letters[:i], 0.0) + rest
        reached = {(): (guide.state, guide.count)}
        for i in range(total):
            found, expected, following = [], [], {}
            for letters, (state, count) in reached.items():
                ahead = guide.ahead(i, np.array([state]), np.array([count]))[0]
                for v in range(K):
                    found.append(ahead[v])
                    expected.append(mass.get((*letters, v), 0.0))
                    if expected[-1] > 0:
                        new = guide.advance(i, np.array([state]), np.array([count]), np.array([v]))
                        following[(*letters, v)] = (int(new[0][0]), int(new[1][0]))
            found, expected = np.array(found), np.array(expected)
            assert np.array_equal(found > -np.inf, expected > 0)
            ratio = np.exp(found[expected > 0]) / expected[expected > 0]
            np.testing.assert_allclose(ratio / ratio[0], 1, rtol=1e-9)
            reached = following
            checked += 1
    assert checked > 100


def test_tables_do_not_run_out_of_numbers():
    """600 letters of which 66 % must be ones that the marginals make one in a thousand: e^-2,700."""
    n, free = 600, np.ones((600, 2))
    memory = Memory.of([(frozenset({0}),) * 3], 2, pairs=False)
    rules = [Rules(memory, {}, Share(Fraction(low, 100), Fraction(1), (0,))) for low in (66, 67)]
    course, impossible = (Course(np.full(n, 2, np.uint8), np.ones(n, bool), rule) for rule in rules)
    assert course.feasible(free)
    assert not impossible.feasible(free)
    end = course.ends(free, [n])[n]
    guide = course.guide(0, n, end, np.tile([0.001, 0.999], (n, 1)), free, 0, 0)
    state, count = np.array([0]), np.array([0])
    for i in range(n):
        ahead = guide.ahead(i, state, count)[0]
        letter = int(ahead.argmin()) if np.isfinite(ahead).all() else int(ahead.argmax())
        state, count = guide.advance(i, state, count, np.array([letter]))
    assert 396 <= count[0] <= 400


def test_far_letters_are_no_part_of_the_course():
    tokens = np.zeros(10**6, np.uint8)
    targets = np.zeros(10**6, bool)
    tokens[[10, 500_000]] = 3
    targets[[10, 500_000]] = True
    course = Course(tokens, targets, Rules(Memory.of(WORDS, 3, pairs=False)))
    assert course.places.tolist() == [10, 11, 12, 500_000, 500_001, 500_002]
    assert (course.fresh >= 0).tolist() == [True, False, False, True, False, False]


def test_a_table_that_is_too_large_is_refused():
    share = Share(Fraction(0), Fraction(1), (1, 2))
    memory = Memory.of([tuple(frozenset({i % 3, (i * i) % 3}) for i in range(12))], 3, pairs=True)
    with pytest.raises(TooLarge, match="states at each of 1,000,001 counts"):
        Course(np.full(10**6, 3, np.uint8), np.ones(10**6, bool), Rules(memory, {}, share))
