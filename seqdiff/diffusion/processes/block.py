"""Block diffusion: blocks of letters from left to right, within a block in any order.

    log p(x) = sum over blocks b of log p(x^b | blocks before b)

and each term is bounded as in masked diffusion, the blocks before being clean (Arriola et al. 2025, arXiv:2503.09573).
Blocks of one letter are the autoregressive model, one block is masked diffusion.
"""

from functools import partial
from typing import Annotated, ClassVar, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, Int64
from pydantic import Field, model_validator
from torch import Tensor

from seqdiff.data.batches import Batch
from seqdiff.diffusion import categorical
from seqdiff.diffusion.categorical import exact_count, lowest
from seqdiff.diffusion.denoise import Denoise, precise, process_of, symbols, widest
from seqdiff.diffusion.evidence import Evidence
from seqdiff.diffusion.guidance import Guided
from seqdiff.diffusion.likelihood.blockwise import blockwise, in_blocks
from seqdiff.diffusion.processes.process import IGNORED, Bound, Loss, Process
from seqdiff.diffusion.samplers import Ancestral, Exact, Sampler
from seqdiff.diffusion.samplers.filling import Filled, positions_in_turn, uniforms
from seqdiff.diffusion.samplers.given import Given, of_each
from seqdiff.diffusion.samplers.population import Population
from seqdiff.streams import Streams

Rate = Annotated[float, Field(ge=0, le=1)]


class Blocks(Sampler):
    """Block after block from the left, the letters of a block in random order as in masked diffusion: one a network
    pass (`exact`), or all of them in `steps` passes (`ancestral`, with its error). What the network makes of clean
    blocks is kept, so that a pass costs a block, not the row.

    With nothing known after a mask but in its own block the law is the model's own. Where letters of a later block are
    known, or something of a mask is, the row is filled in `particles` versions, each weighed by how probable it makes
    what is known when its block comes (the known letters of a block one after another in random order, before the
    others are drawn), and resampled before a block is drawn where they count as fewer than half; one is drawn in the
    end. For every number of particles their mean weight is an unbiased estimate of the probability of what is known in
    later blocks than the first mask, and of what is known of masks, given the other known letters; its logarithm is
    `log_weight`. The law of what is filled in goes to the conditional one as they grow in number.

    A call is a pass over a block, for all particles of a row. The `marginals` of a filled row are those of its letters
    given the blocks before and what was known of their own. Pads stand on the right. Rotary positions have no end:
    rows may be longer than any in training. A guided network (`Guided`, of two networks as they are trained) is asked
    for each block by both.
    """

    kind: Literal["blocks"] = "blocks"
    of: ClassVar[str | None] = "block"
    guides: ClassVar[bool] = True
    weighs: ClassVar[bool] = True
    hindsight: ClassVar[bool] = True
    steps: Annotated[int, Field(ge=1)] | None = None
    """Network passes of a block. None: one for each of its masks."""
    particles: Annotated[int, Field(ge=1)] = 32
    """Versions of a row in which something is known after a mask; of others there is one."""

    @property
    def within(self) -> Exact | Ancestral:
        """The sampler of one block."""
        tempering = {"temperature": self.temperature, "top_p": self.top_p}
        return Exact(**tempering) if self.steps is None else Ancestral(steps=self.steps, **tempering)

    @torch.no_grad()
    def __call__(
        self,
        denoise: Denoise,
        tokens: Int[Tensor, "B L"],
        evidence: Bool[Tensor, "B L K"] | Float[Tensor, "B L K"] | None = None,
        *,
        rng: Streams,
    ) -> Filled:
        assert len(rng) == len(tokens), "one stream a row"
        known = Evidence.of(tokens.cpu(), None if evidence is None else evidence.cpu(), symbols(denoise, tokens))
        filling = _Filling(self, denoise, known, rng, tokens.device)
        several = filling.weighed.any(1)
        filling.fill((known.unfilled.any(1) & ~several).nonzero()[:, 0], 1)
        # No more rows at once than were given, or than the particles of one.
        for part in several.nonzero()[:, 0].split(max(1, len(tokens) // self.particles)):
            filling.fill(part, self.particles)
        return filling.filled()


class _Filling:
    """A batch that is filled block after block, some of its rows at a time."""

    def __init__(self, sampler: Blocks, network: Denoise, known: Evidence, rng: Streams, device: torch.device):
        self._sampler, self._network, self._known, self._rng, self._device = sampler, network, known, rng, device
        trained = network.conditional if isinstance(network, Guided) else network
        self._length, self._size = process_of(trained).length, symbols(network, known.tokens)
        drawn = in_blocks(known.unfilled, self._length).any(2)
        after = (drawn.cumsum(1) - drawn.long() > 0).repeat_interleave(self._length, 1)[:, : known.tokens.shape[1]]
        self.ahead = after & (known.tokens < self._size) & ~known.unfilled
        """Letters that are known in later blocks than a letter that is drawn."""
        self.weighed = self.ahead | known.constrained
        count = len(known.tokens)
        self._tokens, self._calls = known.tokens.clone(), torch.zeros(count, dtype=torch.int64)
        self._log_prob, self._log_weight = torch.zeros(2, count, dtype=torch.float64)
        self._ess = torch.full((count,), torch.nan, dtype=torch.float64)
        self._impossible = torch.full((count,), -1)

    def filled(self) -> Filled:
        """One pass over the rows says how probable each letter was given the blocks before and what was known of its
        own."""
        rows, drawn = (self._calls > 0).nonzero()[:, 0], self._known.unfilled
        self._calls[rows] += 1
        marginals = torch.zeros(*drawn.shape, self._size)
        if len(rows):
            clean = self._tokens[rows].to(self._device)
            asked = of_each(self._network, lambda network: partial(network, clean=clean))
            logits = asked(clean.masked_fill(drawn[rows].to(self._device), self._size))
            marginals[rows] = logits.softmax(-1).float().cpu()
        return Filled(
            self._tokens.to(self._device), self._log_prob, self._log_weight, self._calls, self._impossible, self._ess,
            marginals,
        )  # fmt: skip

    def fill(self, rows: Int64[Tensor, "R"], count: int) -> None:
        """Fill some rows, each in `count` particles."""
        if not len(rows):
            return
        population = Population(self._known.tokens[rows], count)
        own = self._rng.select(rows.tolist())
        streams = own if count == 1 else _particles(own, count)
        given = of_each(self._network, lambda network: Given(network, self._length, self._device))
        drawn, ahead = self._known.unfilled[rows], self.ahead[rows]
        for first in range(0, drawn.shape[1], self._length):
            block = slice(first, first + self._length)
            weighed, here = (where[:, block].any(1).nonzero()[:, 0] for where in (ahead, drawn))
            if len(weighed):
                self._weigh(population, given, weighed, ahead, block, own)
            if len(here):
                if count > 1:
                    population.resample(here, own.select(here.tolist()).rand(1)[:, 0])
                self._draw(population, given, rows, here, block, streams)
            going = (drawn | ahead)[:, block.stop :].any(1)
            for each in (given.conditional, given.unconditional) if isinstance(given, Guided) else (given,):
                each.forget(population.tokens[going].flatten(0, 1))
        chosen = population.choose(own.rand(1)[:, 0]) if count > 1 else torch.zeros(len(rows), dtype=torch.int64)
        every = torch.arange(len(rows))
        self._tokens[rows] = population.tokens[every, chosen]
        self._log_prob[rows], self._log_weight[rows] = population.log_prob[every, chosen], population.evidence()
        self._calls[rows], self._impossible[rows] = population.calls, population.impossible
        self._ess[rows] = population.ess

    def _weigh(
        self,
        population: Population,
        given: Denoise,
        rows: Int64[Tensor, "A"],
        ahead: Bool[Tensor, "R L"],
        block: slice,
        rng: Streams,
    ) -> None:
        """Weigh particles by the letters that are known of a block, drawn letters of which are masks still."""
        where = torch.zeros_like(ahead[rows])
        where[:, block] = ahead[rows, block]
        (when,) = uniforms(rng.select(rows.tolist()), where, 1)
        within, freedom = self._sampler.within, torch.zeros_like(where, dtype=torch.int64)
        turn_of = within.turns if isinstance(within, Ancestral) else positions_in_turn
        turns = turn_of(where, freedom, when)[:, : block.stop]
        count = population.tokens.shape[1]
        factor = torch.zeros(len(rows), count, dtype=torch.float64)
        for turn in range(int(turns.max()) + 1):
            some = (turns.amax(1) >= turn).nonzero()[:, 0]
            tokens = population.tokens[rows[some], :, : block.stop]
            now, hidden = ((turns[some] == turn)[:, None], (turns[some] >= turn)[:, None])
            now = now.expand(tokens.shape)
            logits = given(tokens.masked_fill(hidden, self._size).flatten(0, 1)).unflatten(0, (-1, count))
            letters = F.one_hot(tokens[now], self._size).bool()
            _, log_p = categorical.log_probabilities(
                logits[now].cpu(), temperature=within.temperature, top_p=within.top_p, evidence=letters
            )
            factor[some] += torch.zeros(now.shape, dtype=torch.float64).masked_scatter(now, log_p).sum(2)
            population.calls[rows[some]] += 1
        population.weigh(rows, where.int().argmax(1), factor)

    def _draw(
        self,
        population: Population,
        given: Denoise,
        rows: Int64[Tensor, "R"],
        here: Int64[Tensor, "H"],
        block: slice,
        streams: Streams,
    ) -> None:
        """Fill a block of some rows, in every particle."""
        known, count = self._known, population.tokens.shape[1]
        tokens = population.tokens[here, :, : block.stop].flatten(0, 1)
        evidence = None
        if known.likelihood is not None:
            evidence = known.likelihood[rows[here], : block.stop].repeat_interleave(count, 0)
            evidence[:, : block.start] = 0  # a mask that stands there may be nothing, and stays
        each = (here[:, None] * count + torch.arange(count)).flatten().tolist()
        filled = self._sampler.within(given, tokens, evidence, rng=streams.select(each))
        population.tokens[here, :, : block.stop] = filled.tokens.unflatten(0, (-1, count))
        population.log_prob[here] += filled.log_prob.view(-1, count)
        population.calls[here] += filled.calls.view(-1, count).amax(1)
        if known.constrained[rows[here], block].any():
            sites = filled.impossible.view(-1, count).amax(1)
            population.weigh(here, sites, filled.log_weight.view(-1, count))


def _particles(rng: Streams, count: int) -> Streams:
    """The stream of each of a row's particles, drawn from the row's own."""
    seeds = [torch.randint(2**62, (count,), generator=row).tolist() for row in rng.generators]
    return Streams([torch.Generator().manual_seed(seed) for row in seeds for seed in row])


class Block(Process):
    """One draw of the bound of every block of a row, all in one pass: of a block's n letters k = 1 + floor(n u) are
    masked, and cost n / k times their cross-entropy.

    The network must see the clean letters of the blocks before (`denoisers.block_causal`; of a transformer
    `block_length`), which makes a row twice as long. The uniforms u are stratified over the blocks of the whole batch.
    """

    kind: Literal["block"] = "block"
    samplers: ClassVar[tuple[type[Sampler], ...]] = (Blocks,)
    length: Annotated[int, Field(ge=1)] = 16
    """Letters of a block; the last of a row may have fewer. Set the network's `block_length` to the same."""
    mask_rates: tuple[Rate, Rate] | None = None
    """Training shows these shares of masks alone, u uniform between the two: the gradient varies less (sec. 4.3 there:
    0.3 and 0.8 for blocks of 16 letters, 0.45 and 0.95 for 4). The loss that is logged is then of these shares, no
    bound; validation and evaluation are of all."""

    @model_validator(mode="after")
    def _ordered(self) -> "Block":
        if self.mask_rates and not self.mask_rates[0] < self.mask_rates[1]:
            raise ValueError("mask_rates are two shares of masks, the lower first")
        return self

    @property
    def needs_blocks(self) -> int:
        return self.length

    @property
    def fills_masks(self) -> bool:
        """It guesses letters from those before and in their own block alone."""
        return False

    @property
    def exact(self) -> bool:
        return self.length == 1

    @property
    def given(self) -> Literal["left"]:
        return "left"

    def loss(self, network: Denoise, batch: Batch, rng: Streams) -> Loss:
        mask = symbols(network, batch.tokens)
        masked, factor = self.corrupt(batch.tokens < mask, rng)
        logits = network(batch.tokens.masked_fill(masked, mask), clean=batch.tokens)
        targets = batch.tokens.masked_fill(~masked, IGNORED)
        nats = F.cross_entropy(
            precise(logits).flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="none"
        ).view_as(targets)
        total = (nats * (batch.weight * factor).to(nats.dtype)).sum()
        return Loss(total, batch.weight.sum(dtype=widest(batch.tokens.device)))

    def corrupt(self, known: Bool[Tensor, "B L"], rng: Streams) -> tuple[Bool[Tensor, "B L"], Float[Tensor, "B L"]]:
        """Which of the known letters are masked, and the factor of their cross-entropy. float64."""
        device, wide = known.device, widest(known.device)
        blocks = in_blocks(known, self.length)
        strata, keys = rng.strata().to(device, wide), rng.rand(blocks.shape[1], self.length + 1).to(device, wide)
        n = blocks.sum(2)
        u = self.spread(strata, n > 0, keys[..., -1])
        k = exact_count(u, n)
        chosen = lowest(k.flatten(), blocks.flatten(0, 1), keys[..., :-1].flatten(0, 1)).view_as(blocks)
        factor = (n.to(wide) / k)[..., None].expand(blocks.shape)
        return tuple(part.flatten(1)[:, : known.shape[1]] for part in (chosen, factor))

    def spread(
        self, u: Float[Tensor, "B"], occupied: Bool[Tensor, "B N"], keys: Float[Tensor, "B N"]
    ) -> Float[Tensor, "B N"]:
        """A uniform for each block from that of its row: a row's m blocks that have letters get (rank + u) / m in an
        order of their own. What is stratified over rows is so over the blocks of all rows."""
        rank = keys.masked_fill(~occupied, torch.inf).argsort(1).argsort(1)
        spread = (rank + u[:, None]) / occupied.sum(1, keepdim=True).clamp(min=1)
        low, high = self.mask_rates or (0, 1)
        return low + (high - low) * spread.clamp(max=1)

    def bound(self, network: Denoise, *, strata: int, replicates: int) -> Bound:
        return partial(blockwise, network, length=self.length, strata=strata, replicates=replicates)

    def sampler(self) -> Blocks:
        return Blocks()
