"""The joint law of several lengths, against enumeration."""

import itertools

import numpy as np
import pytest

from seqdiff.inference.fits import Fit, Totals, fit_lines
from seqdiff.inference.lengths import Lengths

GAPS = [np.arange(0, 3), np.arange(2, 6), np.arange(1, 3)]
WORTH = [np.array([0.0, -0.5, 0.3]), np.array([0.1, 0.2, -2.0, 0.4]), np.array([1.0, 0.0])]
WHOLE = Lengths([[14, 5], [17, 40], [19, 2]])


def enumerated(whole):
    law = {}
    for lengths in itertools.product(*map(list, GAPS)):
        logs = sum(worth[length - gaps[0]] for worth, gaps, length in zip(WORTH, GAPS, lengths))
        prior = 1.0 if whole is None else whole.weights(10 + np.arange(10))[sum(lengths)]
        law[tuple(map(int, lengths))] = np.exp(logs) * prior
    total = sum(law.values())
    return {lengths: share / total for lengths, share in law.items()}


@pytest.mark.parametrize("whole", [None, WHOLE])
def test_marginals_are_those_of_the_joint_law(whole):
    totals, law = Totals(GAPS, WORTH, 10, whole), enumerated(whole)
    for number, gaps in enumerate(GAPS):
        exact = [sum(share for lengths, share in law.items() if lengths[number] == gap) for gap in gaps]
        np.testing.assert_allclose(totals.marginal(number), exact, rtol=1e-9)


@pytest.mark.parametrize("whole", [None, WHOLE])
def test_what_is_chosen_follows_the_joint_law(whole):
    totals, law = Totals(GAPS, WORTH, 10, whole), enumerated(whole)
    grid = (np.arange(14) + 0.5) / 14
    counts = dict.fromkeys(law, 0)
    for u in itertools.product(grid, repeat=3):
        counts[tuple(totals.chosen(np.array(u)))] += 1 / len(grid) ** 3
    assert sum(abs(counts[lengths] - share) for lengths, share in law.items()) < 0.2
    first = GAPS[0][totals.marginal(0).argmax()]
    assert totals.chosen(None)[0] == first


def test_doubt_is_said_where_two_lengths_cannot_be_told_apart():
    def fit(nats, se):
        nats, se = np.array(nats, np.float64), np.array(se, np.float64)
        posterior = np.exp(nats) / np.exp(nats).sum()
        return Fit("r", 24, np.arange(3, 3 + len(nats)), nats, se, np.ones(len(nats)), posterior, 9)

    said = fit([0, -0.2, -5], [0, 0.4, 0.4]).doubt
    assert said.startswith("record 'r', insert at 24: the lengths 3 and 4 differ by 0.2 +- 0.4 nats: give more")
    assert fit([0, -0.2, -5], [0, 0.24, 0.4]).doubt is None
    assert fit([0, -1.0, -5], [0, 0.4, 0.4]).doubt is None
    assert fit([0], [0]).doubt is None


def test_a_table_has_a_line_a_length():
    fit = Fit("r", 24, np.array([3, 4]), np.array([0.0, -1.5]), np.array([0, 0.25]), np.array([0.5, 0.5]),
              np.array([0.8, 0.2]), 9)  # fmt: skip
    assert fit_lines(fit) == b"r\t24\t3\t0.0000\t0.0000\t0.5\t0.8\nr\t24\t4\t-1.5000\t0.2500\t0.5\t0.2\n"
