"""How probable a sequence is in the orders of a distribution over them: the mean over orders of -log p_sigma(x).

With k letters left in the order, of which r may come next, each with probability 1/r,

    bound = sum over k = 1..n of E of the mean over these r of -log mu(x)  =  n times its mean over k uniform in 1..n

It is -log p itself where one order is the only one.
"""

import itertools
import math
from collections.abc import Callable, Iterator

import torch
from jaxtyping import Bool, Int, Int64
from torch import Tensor

from seqdiff.diffusion import orders
from seqdiff.diffusion.categorical import exact_count
from seqdiff.diffusion.denoise import Denoise, symbols
from seqdiff.diffusion.likelihood.passes import Pass, costs
from seqdiff.diffusion.likelihood.score import Score, stratified
from seqdiff.streams import Streams


def ordered(
    denoise: Denoise,
    rank: Callable[[Bool[Tensor, "B L"]], Int64[Tensor, "B L"]],
    tokens: Int[Tensor, "B L"],
    scored: Bool[Tensor, "B L"],
    rng: Streams,
    *,
    strata: int,
    replicates: int,
    batch_size: int = 32,
) -> Score:
    """The bound of the `scored` letters, nats, each given the letters before it in the order and no others; unknown
    letters stay masked. `rank` says when places come (`orders.rank`).

    `replicates` independent repeats of `strata` passes, the number of letters left drawn from strata of 1..n. Where one
    order is the only one, and there are no more letters than passes, each letter once, without an error.
    """
    assert len(rng) == len(tokens), "one stream a row"
    mask, x = symbols(denoise, tokens), tokens.cpu()
    known = x < mask
    scored, ranks = scored.cpu() & known, rank(x <= mask)
    n = scored.sum(1)
    only = [
        len(r[which].unique()) == which.sum() <= strata * replicates for r, which in zip(ranks, scored, strict=True)
    ]
    shapes = [(1, size) if one else (replicates, strata) for one, size in zip(only, n.tolist(), strict=True)]

    def passes() -> Iterator[Pass]:
        for row, (repeats, divisions) in enumerate(shapes):
            if not n[row]:
                continue
            stream = rng.select([row])
            u = 0.5 if only[row] else stream.rand(repeats, divisions)[0]
            k = exact_count(((torch.arange(divisions) + u) / divisions).expand(repeats, divisions), n[row])
            keys = torch.zeros(repeats, divisions, x.shape[1], dtype=torch.float64)
            keys[..., scored[row]] = stream.rand(repeats, divisions, int(n[row]))[0]
            for at in itertools.product(range(repeats), range(divisions)):
                left, following = orders.hidden(scored[row, None], ranks[row, None], k[at][None], keys[at][None])
                left, following = left[0], following[0]
                # Of the letters that are not scored, those that come later in the order are hidden as well.
                later = known[row] & ~scored[row] & (ranks[row] > ranks[row][following][0])
                yield Pass((row, *at, int(n[row]) / int(following.sum())), row, left | later, following)

    terms = [torch.zeros(shape, dtype=torch.float64) for shape in shapes]
    calls = torch.zeros_like(n)
    for (row, *at, factor), cost in costs(denoise, x, passes(), mask, batch_size, tokens.device):
        terms[row][tuple(at)] = factor * cost
        calls[row] += 1
    found = [
        (math.fsum(each[0].tolist()) / max(1, each.numel()), 0.0, math.inf) if one
        else stratified(each.tolist(), [1 / strata] * strata)
        for each, one in zip(terms, only, strict=True)
    ]  # fmt: skip
    nats, se, df = torch.tensor(found, dtype=torch.float64).reshape(-1, 3).unbind(1)
    return Score(nats, se, df, n, calls)
