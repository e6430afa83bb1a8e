"""What a Markov chain says about a gap when both flanks are known: the exact posterior of every letter."""

import numpy as np
from jaxtyping import Float64, Int64, Integer

from seqdiff.evaluate.markov import MarkovModel


def bridge(
    chain: MarkovModel,
    order: int,
    left: Integer[np.ndarray, "N flank"],
    right: Integer[np.ndarray, "N flank"],
    gap: int,
) -> Float64[np.ndarray, "N gap K"]:
    """p(x_i = a | flanks) for each place i of N gaps, under the order-`order` table of `chain`.

    Forward-backward (Rabiner 1989, Proc. IEEE 77:257, eq. 19-27) over the last min(i, order) letters of the
    gap, the older part of a context being the known flank; the right flank enters through the `order` letters whose
    contexts reach into the gap. For a gap of one letter this is the product of the order + 1 conditionals
    that contain it. Only the `order` letters next to the gap are read; they must all be known.

    >>> from seqdiff.alphabet import DNA
    >>> repeat = np.tile(DNA.encode(b"ACG"), 100)
    >>> chain = MarkovModel.fit([repeat], [repeat], DNA, order=2, both_strands=False)
    >>> posterior = bridge(chain, 2, DNA.encode(b"AC")[None], DNA.encode(b"CG")[None], gap=2)
    >>> DNA.decode(posterior[0].argmax(-1))
    b'GA'
    """
    symbols, table = chain.symbols, chain.tables[order]
    rows = len(left)
    if order == 0:
        return np.broadcast_to(table[0], (rows, gap, symbols)).copy()
    assert left.shape[1] >= order <= right.shape[1]
    left, right = left[:, -order:].astype(np.int64), right[:, :order].astype(np.int64)
    assert max(left.max(initial=0), right.max(initial=0)) < symbols
    flank = left @ symbols ** np.arange(order)[::-1]
    free = [min(place, order) for place in range(gap + 1)]

    def context(place: int) -> Int64[np.ndarray, "N states"]:
        """The contexts that may stand before this place of the gap."""
        known = flank % symbols ** (order - free[place]) * symbols ** free[place]
        return known[:, None] + np.arange(symbols ** free[place])

    def step(place: int) -> Float64[np.ndarray, "_ states K"]:
        return table[None] if free[place] == order else table[context(place)]

    forward = [np.ones((rows, 1))]
    for place in range(gap):
        if free[place] < order:
            after = (forward[-1][:, :, None] * step(place)).reshape(rows, -1)
        else:
            # Adding up over the oldest letter of the context: it leaves the state.
            oldest = forward[-1].reshape(rows, symbols, -1)
            after = np.einsum("nom,oma->nma", oldest, table.reshape(symbols, -1, symbols)).reshape(rows, -1)
        forward.append(after / after.sum(-1, keepdims=True))

    backward, state = np.ones((rows, symbols ** free[gap])), context(gap)
    for place in range(order):
        word = state * symbols + right[:, place, None]
        backward *= table.ravel()[word]
        state = word % len(table)

    posterior = np.empty((rows, gap, symbols))
    for place in reversed(range(gap)):
        if free[place] < order:
            ahead = backward.reshape(rows, -1, symbols)
        else:
            ahead = np.broadcast_to(
                backward.reshape(rows, 1, -1, symbols), (rows, symbols, len(table) // symbols, symbols)
            ).reshape(rows, -1, symbols)
        onward = step(place) * ahead
        posterior[:, place] = np.einsum("ns,nsa->na", forward[place], onward)
        backward = onward.sum(-1)
        backward /= backward.max(-1, keepdims=True)
    return posterior / posterior.sum(-1, keepdims=True)
