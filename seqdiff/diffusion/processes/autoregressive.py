"""Left to right: each letter is predicted from the letters before it, and nothing is hidden.

-log p is the sum of what the letters cost, exactly: the loss is the likelihood and no bound (Shannon 1948; for DNA at
this scale Nguyen et al. 2023, arXiv:2306.15794). What such a network cannot say in one pass is how probable letters are
given those after them: filling a gap takes particles for that (`Forward`), and what `bound` says of a stretch is given
the letters before it alone. It reads one strand of DNA, the one that is given.
"""

from functools import partial
from typing import Annotated, ClassVar, Literal

import torch
from jaxtyping import Bool, Float, Float64, Int, Int64
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from seqdiff.data.batches import Batch
from seqdiff.diffusion import categorical
from seqdiff.diffusion.denoise import Denoise, precise, reading, symbols, widest
from seqdiff.diffusion.evidence import Evidence
from seqdiff.diffusion.likelihood import Score
from seqdiff.diffusion.likelihood.passes import nats_of
from seqdiff.diffusion.processes.process import IGNORED, Bound, Loss, Process
from seqdiff.diffusion.samplers.filling import Filled, Sampler
from seqdiff.diffusion.samplers.population import Population
from seqdiff.streams import Streams


class Forward(Sampler):
    """Letter after letter from the left, at the cost of one position a letter (`seqdiff.denoisers.reader`).

    With nothing known after a mask the law is the model's own. Where letters after it are known, or something of a mask
    is, the row is filled in `particles` versions, each weighed by how probable it makes what is known when the reading
    comes there, and resampled before a letter is drawn where they count as fewer than half (the fully adapted filter of
    Pitt & Shephard 1999, doi:10.1080/01621459.1999.10474153); one is drawn in the end. For every number of particles
    their mean weight is an unbiased estimate of the probability of all that is known after the first mask, given the
    letters before it: its logarithm is `log_weight`. The law of what is filled in goes to the exact conditional as
    they grow in number; `ess` says how many were left of them at worst.

    A call is the reading of a letter, or of all up to the next mask. Pads stand on the right. The `marginals` of a
    letter are given those before it, as they were drawn: they know nothing of the letters after it.
    """

    kind: Literal["forward"] = "forward"
    of: ClassVar[str | None] = "autoregressive"
    guides: ClassVar[bool] = True
    weighs: ClassVar[bool] = True
    hindsight: ClassVar[bool] = True
    particles: Annotated[int, Field(ge=1)] = 32
    """Versions of a row in which something is known after a mask; of others there is one."""

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
        size = symbols(denoise, tokens)
        known = Evidence.of(tokens.cpu(), None if evidence is None else evidence.cpu(), size)
        filling = _Filling(self, denoise, known, size, rng)
        several = filling.weighed.any(1)
        filling.fill((known.unfilled.any(1) & ~several).nonzero()[:, 0], 1)
        # No more rows at once than were given, or than the particles of one; those that begin alike go together.
        rows = several.nonzero()[:, 0]
        begin = (known.unfilled[rows].cumsum(1) == 0).sum(1)
        for part in rows[begin.argsort(stable=True)].split(max(1, len(tokens) // self.particles)):
            filling.fill(part, self.particles)
        return filling.filled(tokens)


class _Filling:
    """A batch that is filled from the left, some of its rows at a time."""

    def __init__(self, sampler: Forward, network: Denoise, known: Evidence, size: int, rng: Streams):
        self._sampler, self._network, self._known, self._size, self._rng = sampler, network, known, size, rng
        self.weighed = ((known.unfilled.cumsum(1) > 0) & (known.tokens < size) & ~known.unfilled) | known.constrained
        """What is known after the first letter that is drawn: letters, and evidence."""
        count = len(known.tokens)
        self._tokens, self._calls = known.tokens.clone(), torch.zeros(count, dtype=torch.int64)
        self._log_prob, self._log_weight = torch.zeros(2, count, dtype=torch.float64)
        self._ess = torch.full((count,), torch.nan, dtype=torch.float64)
        self._impossible = torch.full((count,), -1)

    def filled(self, tokens: Int[Tensor, "B L"]) -> Filled:
        """What became of `tokens`. One pass over the rows says how probable each letter was given those before it."""
        drawn = self._tokens.to(tokens.device)
        rows = self._calls > 0
        self._calls[rows] += 1
        marginals = torch.zeros(*drawn.shape, self._size)
        if rows.any():
            marginals[rows] = self._network(drawn)[rows.to(drawn.device)].softmax(-1).float().cpu()
        return Filled(drawn, self._log_prob, self._log_weight, self._calls, self._impossible, self._ess, marginals)

    def fill(self, rows: Int64[Tensor, "R"], count: int) -> None:
        """Fill some rows, each in `count` particles."""
        if not len(rows):
            return
        drawn, weighed = self._known.unfilled[rows], self.weighed[rows]
        weighs = bool(weighed.any())
        numbers = zip(rows.tolist(), drawn.sum(1).tolist(), strict=True)
        keys = [self._rng.select([row]).rand(number, count + weighs)[0] for row, number in numbers]
        keys = torch.nn.utils.rnn.pad_sequence(keys, batch_first=True)
        end = (drawn | weighed).flip(1).int().argmax(1).neg() + drawn.shape[1] - 1
        stops = torch.unique(torch.cat([drawn.any(0).nonzero()[:, 0], end])).tolist()
        population = Population(self._known.tokens[rows], count)
        reader = reading(self._network, len(self._tokens))
        reader.take(rows)
        population.calls += 1
        at = stops[0]
        if at:  # up to there all particles are one
            reader.read(population.tokens[:, 0, :at])
            population.calls += 1
        live = torch.arange(len(rows))
        reader.take(live.repeat_interleave(count))
        owed = torch.zeros(len(rows), count, dtype=torch.float64)
        """Nats: log probability of the known letters since the last one drawn, that are not weighed yet."""
        for stop in stops:
            if stop > at:
                going = end[live] >= stop
                if not going.all():
                    reader.take(going.repeat_interleave(count).nonzero()[:, 0])
                    live = live[going]
                after = reader.read(population.tokens[live, :, at:stop].flatten(0, 1)).unflatten(0, (-1, count))
                population.calls[live] += 1
                passed = (weighed & ~drawn)[live, at + 1 : stop + 1]
                self._owe(population, live, passed, after, owed, at + 1)
                at = stop
            here = drawn[live, stop]
            if not here.any():
                continue
            new, sites = live[here], torch.full((int(here.sum()),), stop)
            log_mu, log_z = self._log_mu(
                reader.logits.unflatten(0, (-1, count))[here.to(reader.logits.device)], rows[new], stop
            )
            fresh = keys[new, drawn[new, :stop].sum(1)]
            if weighs:
                population.weigh(new, sites, owed[new] + log_z)
                owed[new] = 0.0
                ancestors = population.resample(new, fresh[:, -1])
                kept = torch.arange(len(live) * count).view(-1, count)
                kept[here] = kept[here].gather(1, ancestors)
                if (ancestors != torch.arange(count)).any():
                    reader.take(kept.flatten())
                log_mu = log_mu.gather(1, ancestors[..., None].expand_as(log_mu))
            population.draw(new, sites, log_mu, fresh[:, :count])
        chosen = torch.zeros(len(rows), dtype=torch.int64)
        if weighs:
            every = torch.arange(len(rows))
            population.weigh(every, end, owed)
            chosen = population.choose(self._rng.select(rows.tolist()).rand(1)[:, 0])
        self._keep(rows, population, chosen)

    def _log_mu(
        self, logits: Float[Tensor, "R N K"], rows: Int64[Tensor, "R"], place: int
    ) -> tuple[Float64[Tensor, "R N K"], Float64[Tensor, "R N"]]:
        """What letters are drawn from at a place of some rows, and log Z of the evidence there."""
        known, count = self._known, logits.shape[1]
        evidence = None if known.likelihood is None else known.likelihood[rows, place].repeat_interleave(count, 0)
        log_mu, log_z = self._probabilities(logits.flatten(0, 1), evidence)
        log_z = log_z.view(-1, count).where(known.constrained[rows, place, None], 0.0)
        return log_mu.view(logits.shape), log_z

    def _probabilities(self, logits, evidence):
        return categorical.log_probabilities(
            logits.cpu(), temperature=self._sampler.temperature, top_p=self._sampler.top_p, evidence=evidence
        )

    def _owe(
        self,
        population: Population,
        rows: Int64[Tensor, "R"],
        passed: Bool[Tensor, "R n"],
        logits: Float[Tensor, "R N n K"],
        owed: Float64[Tensor, "B N"],
        first: int,
    ) -> None:
        """Adds what the known letters that were `passed`, from place `first` on, cost each particle."""
        if not passed.any():
            return
        count = logits.shape[1]
        letters = population.tokens[rows, 0, first : first + passed.shape[1]][passed]
        there = logits.transpose(1, 2)[passed.to(logits.device)].flatten(0, 1)
        _, log_p = self._probabilities(there, F.one_hot(letters, self._size).bool().repeat_interleave(count, 0))
        each = torch.zeros(*passed.shape, count, dtype=torch.float64)
        each[passed] = log_p.view(-1, count)
        # Letter by letter from the last draw on: the same to the last bit however the reading was divided.
        sums = torch.cat([owed[rows, None], each], 1).cumsum(1)
        owed[rows] = sums[:, -1]
        lost = (population.log_weight[rows, None] + sums == -torch.inf).all(2)
        new = lost.any(1) & (population.impossible[rows] < 0)
        population.impossible[rows[new]] = first - 1 + lost[new].int().argmax(1)

    def _keep(self, rows: Int64[Tensor, "R"], population: Population, chosen: Int64[Tensor, "R"]) -> None:
        every = torch.arange(len(rows))
        self._tokens[rows] = population.tokens[every, chosen]
        self._log_prob[rows] = population.log_prob[every, chosen]
        self._log_weight[rows] = population.evidence()
        self._calls[rows], self._ess[rows], self._impossible[rows] = (
            population.calls, population.ess, population.impossible
        )  # fmt: skip


class Autoregressive(Process):
    """Cross-entropy of all letters, each at weight 1, by a network that sees the letters before it alone."""

    kind: Literal["autoregressive"] = "autoregressive"
    samplers: ClassVar[tuple[type[Sampler], ...]] = (Forward,)

    @property
    def needs_hollow(self) -> bool:
        """A network that reads left to right is hollow."""
        return True

    @property
    def needs_left_to_right(self) -> bool:
        return True

    @property
    def fills_masks(self) -> bool:
        return False

    @property
    def exact(self) -> bool:
        return True

    @property
    def given(self) -> Literal["left"]:
        return "left"

    def loss(self, network: Denoise, batch: Batch, rng: Streams) -> Loss:
        """Nats and weight summed over the batch. Unknown letters are read as such by what follows, and not scored.
        Nothing is drawn."""
        targets = batch.tokens.masked_fill(batch.tokens >= symbols(network, batch.tokens), IGNORED)
        logits = precise(network(batch.tokens))
        nats = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="none")
        total = (nats.view_as(targets) * batch.weight.to(nats.dtype)).sum()
        return Loss(total, batch.weight.sum(dtype=widest(batch.tokens.device)))

    def bound(self, network: Denoise, *, strata: int, replicates: int) -> Bound:
        """-log p itself, in one pass: there is nothing to repeat."""
        return partial(exact, network)

    def sampler(self) -> Forward:
        return Forward()


@torch.no_grad()
def exact(
    network: Denoise,
    tokens: Int[Tensor, "B L"],
    scored: Bool[Tensor, "B L"],
    rng: Streams,
    *,
    batch_size: int = 32,
) -> Score:
    """-log p of the `scored` letters, each given all letters before it, nats: of a whole row -log p of the row. Of a
    stretch it is given what stands before, and nothing that stands after it is looked at. Unknown letters are read as
    such and not scored. One pass of a row, no error; nothing is drawn."""
    assert len(rng) == len(tokens), "one stream a row"
    known = tokens.cpu()
    scored = scored.cpu() & (known < symbols(network, tokens))
    rows = torch.arange(len(tokens)).split(max(1, batch_size))
    nats = [nats_of(network(tokens[part]), known[part], scored[part]) for part in rows]
    zeros = torch.zeros(len(tokens), dtype=torch.float64)
    n = scored.sum(1)
    return Score(torch.cat([zeros[:0], *nats]), zeros, zeros + torch.inf, n, (n > 0).long())
