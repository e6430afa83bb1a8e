"""How probable a sequence is by a process in continuous time: an integral over the times, with its standard error.

    bound = integral over t in (t1, t2) of E over z of sum_i f_i(x, z, t)   + ends

by network passes at times drawn from strata of the interval, z drawn anew for each. Little is changed at early times
and counts for much there: f goes as 1/t and its spread as 1/sqrt(t), so early strata are narrow, their edges
(j / strata)^2 of the way, as those of numbers of masks are (`design.py`).

How many letters a draw happens to change, and when, is most of its noise, and what that costs on average is known. So
each draw is corrected by what a crude network would have paid too much. With h_i the density of a network that holds
all letters alike (`Integrand.crude`), and its mean over z and over the times of the stratum,

    f - a (h - E h),   a = sum of f over sum of h, both over the row's *other* draws

which leaves the expectation as it is, since a draw has no part in its own a. With exact networks of a Markov chain of
128 letters near ln 4 nats each it leaves 1/7 of the spread for score entropy and 1/15 for uniform noise; of a chain of
1 nat a letter 2/3. Either is then as large as that of counts.
"""

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

import torch
from jaxtyping import Bool, Float, Float64, Int
from torch import Tensor

from seqdiff.diffusion.denoise import widest
from seqdiff.diffusion.likelihood.score import Score, stratified
from seqdiff.streams import Streams


@dataclass(frozen=True)
class Integrand:
    """What a process integrates, with the network and all that it has learned in it.

    N rows are passes: those of a batch, each as often as it is drawn. Where tokens are no letters (masks and pads of
    the source) f and h may be anything but an error: what is not scored is never read.
    """

    symbols: int
    """K; tokens below it are letters."""
    interval: tuple[float, float]
    """t1 and t2."""
    corrupt: Callable[[Int[Tensor, "N L"], Bool[Tensor, "N L"], Float[Tensor, "N"], Float[Tensor, "N L 2"]], Tensor]
    """`(tokens, scored, t, keys) -> z (N, L)`: the scored letters as they are at t, each by two uniforms of its own;
    all else, letters, masks and pads, stays as it is."""
    density: Callable[[Int[Tensor, "N L"], Int[Tensor, "N L"], Float[Tensor, "N"]], Tensor]
    """`(tokens, z, t) -> f (N, L)`, nats a unit of time. Asks the network once, and tells it t in float32."""
    crude: Callable[[Int[Tensor, "N L"], Int[Tensor, "N L"], Float[Tensor, "N"]], Tensor]
    """`(tokens, z, t) -> h (N, L)`: like f, of a network that knows nothing, without asking one. Any h >= 0 will do;
    the more it is like f up to a factor, the smaller the error."""
    crude_until: Callable[[Float[Tensor, "N"]], Float[Tensor, "N K"]]
    """`t -> ` the integral from t1 to t of the mean of h over z, of each letter of the alphabet: exact, since what it
    lacks the bound would lack."""
    ends: Float[Tensor, "K"]
    """Nats of each letter of the alphabet that the interval leaves out."""


@torch.no_grad()
def integral(
    integrand: Integrand,
    tokens: Int[Tensor, "B L"],
    scored: Bool[Tensor, "B L"],
    rng: Streams,
    *,
    strata: int,
    replicates: int,
    batch_size: int = 32,
) -> Score:
    """Bound on -log p(scored letters | other known letters), nats, for each row; unknown letters are not scored.

    A row takes a network pass for each of `strata` times, `replicates` times over; none where nothing is scored.
    Times and keys come from its stream, so the answer does not depend on neighbours, padding or `batch_size`.
    """
    assert len(rng) == len(tokens), "one stream a row"
    known = tokens.cpu()
    scored = scored.cpu() & (known < integrand.symbols)
    edges = _edges(integrand.interval, strata)
    width = edges.diff()
    t = edges[:-1] + rng.rand(replicates, strata) * width
    f, h = torch.zeros(2, *t.shape, dtype=torch.float64)
    draws = _draws(scored, rng, strata, replicates)
    while block := list(islice(draws, batch_size)):
        rows, *place, keys = zip(*block, strict=True)
        some, at = list(rows), (rows, *place)
        f[at], h[at] = _measured(integrand, known[some], scored[some], t[at], torch.stack(keys), tokens.device)
    letters = torch.stack([((known == letter) & scored).sum(1) for letter in range(integrand.symbols)], 1).double()
    crude = integrand.crude_until(edges.to(tokens.device, widest(tokens.device))).cpu().double().T
    mean = _weighted(letters, crude.diff() / width)[:, None]
    terms = f - _of_others(width * f, width * h) * (h - mean)
    n, shares = scored.sum(1), width.tolist()
    found = [
        stratified(row, shares) if size else (0.0, 0.0, math.inf)
        for row, size in zip(terms.tolist(), n.tolist(), strict=True)
    ]
    nats, se, df = torch.tensor(found, dtype=torch.float64).reshape(-1, 3).unbind(1)
    ends = _weighted(letters, integrand.ends.cpu().double()[:, None])[:, 0]
    return Score(nats + ends, se, df, n, torch.where(n > 0, strata * replicates, 0))


def _edges(interval: tuple[float, float], strata: int) -> Float64[Tensor, "S_1"]:
    """Where strata begin and end."""
    first, last = interval
    return first + (last - first) * (torch.arange(strata + 1).double() / strata) ** 2


def _draws(
    scored: Bool[Tensor, "B L"], rng: Streams, strata: int, replicates: int
) -> Iterator[tuple[int, int, int, Float64[Tensor, "L 2"]]]:
    """Row, replicate, stratum and keys of each pass, all of a row in turn."""
    for row, which in enumerate(scored):
        if size := int(which.sum()):
            keys = rng.select([row]).rand(replicates, strata, size, 2)[0]
            for place in itertools.product(range(replicates), range(strata)):
                spread = torch.zeros(*which.shape, 2, dtype=torch.float64)
                spread[which] = keys[place]
                yield row, *place, spread


def _measured(
    integrand: Integrand,
    tokens: Int[Tensor, "N L"],
    scored: Bool[Tensor, "N L"],
    t: Float64[Tensor, "N"],
    keys: Float64[Tensor, "N L 2"],
    device: torch.device,
) -> tuple[Float64[Tensor, "N"], Float64[Tensor, "N"]]:
    """f and h of each pass, summed over its scored letters."""
    wide = widest(device)
    tokens, t = tokens.to(device), t.to(device, wide)
    z = integrand.corrupt(tokens, scored.to(device), t, keys.to(device, wide))
    return _row_sums(integrand.density(tokens, z, t), scored), _row_sums(integrand.crude(tokens, z, t), scored)


def _of_others(f: Float64[Tensor, "B R S"], h: Float64[Tensor, "B R S"]) -> Float64[Tensor, "B R S"]:
    """The sum of f over that of h, each over the other draws of the row; 0 where none of them changed a letter."""
    nats, crude = _sums_of_others(f.flatten(1)), _sums_of_others(h.flatten(1))
    return torch.where(crude > 0, nats / crude, 0).view_as(f)


def _sums_of_others(values: Float64[Tensor, "B N"]) -> Float64[Tensor, "B N"]:
    """Of each row all values but the one itself, from those before and those after: 0 if they are."""
    zero = values.new_zeros(len(values), 1)
    before = torch.cat([zero, values.cumsum(1)[:, :-1]], 1)
    after = torch.cat([zero, values.flip(1).cumsum(1)[:, :-1]], 1).flip(1)
    return before + after


def _weighted(letters: Float64[Tensor, "B K"], values: Float64[Tensor, "K S"]) -> Float64[Tensor, "B S"]:
    """Sums over a row's letters; element by element, so that other rows do not change the last bit."""
    return (letters[..., None] * values).sum(1)


def _row_sums(values: Float[Tensor, "N L"], scored: Bool[Tensor, "N L"]) -> Float64[Tensor, "N"]:
    """Over the scored positions alone and in their order, so that padding does not change the last bit."""
    chosen = values[scored.to(values.device)].cpu().double()
    return torch.zeros(len(values), dtype=torch.float64).index_add_(0, scored.nonzero()[:, 0], chosen)
