"""Any-order autoregression under a given distribution over orders: letters are guessed one after another in some order.

An order sigma is drawn, and a letter costs -log mu of it given the letters before it in sigma, all others masked: -log
p_sigma(x) in all, so that over orders (Uria et al. 2014, arXiv:1310.1757; Hoogeboom et al. 2021, arXiv:2110.02037)

    bound = E over sigma of -log p_sigma(x)   >=   -log of the mean of p_sigma(x)

and both are -log p of an order that is the only one. With all orders alike it is the bound of `masked`, term by term.
Which orders there are is said by ranks of the places (`seqdiff.diffusion.orders`), how the bound is estimated in
`seqdiff.diffusion.likelihood.ordered`.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, ClassVar, Literal

import torch
from jaxtyping import Bool, Float, Float64, Int, Int64
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn import functional as F

from seqdiff.data.batches import Batch
from seqdiff.diffusion import categorical
from seqdiff.diffusion.categorical import exact_count
from seqdiff.diffusion.denoise import Denoise, TimeFree, precise, process_of, symbols, takes_time, widest
from seqdiff.diffusion.evidence import Evidence
from seqdiff.diffusion.likelihood.ordered import ordered
from seqdiff.diffusion.orders import Orders, hidden, rank
from seqdiff.diffusion.processes.process import IGNORED, Bound, Loss, Process
from seqdiff.diffusion.samplers import Ancestral
from seqdiff.diffusion.samplers.filling import Filled, Sampler, positions_in_turn, uniforms
from seqdiff.diffusion.samplers.population import Population
from seqdiff.streams import Streams


class Ordered(Sampler):
    """One letter a pass, in an order of the process: the model's own law.

    Letters that come before all masks in the order are given, and of those of one rank the known ones come first. Where
    letters that come later are known, or something of a mask is, the row is filled in `particles` versions: what is
    known is hidden until its turn comes, and weighs them by how probable they make it (as `Forward` of left-to-right
    models does). Their mean weight is an unbiased estimate of the probability of what is known after the first mask in
    the order, given what is known before it: `log_weight`. The law goes to the exact conditional as they grow.
    """

    kind: Literal["ordered"] = "ordered"
    of: ClassVar[str | None] = "anyorder"
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
        size, count = symbols(denoise, tokens), len(tokens)
        known = Evidence.of(tokens.cpu(), None if evidence is None else evidence.cpu(), size)
        plan = _Plan.of(known, process_of(denoise).rank(tokens.cpu() <= size), size, rng)
        several = plan.weighed.any(1)
        alone, together = (known.unfilled.any(1) & ~several).nonzero()[:, 0], several.nonzero()[:, 0]
        zeros = torch.zeros(count, dtype=torch.float64)
        filled = Filled(
            known.tokens.clone(), zeros, zeros.clone(), zeros.long(), torch.full((count,), -1), zeros + torch.nan,
            torch.zeros(*tokens.shape, size),
        )  # fmt: skip
        view = process_of(denoise).view(denoise)
        for rows in (alone, *together.split(max(1, count // self.particles))):
            if len(rows):
                particles = self.particles if several[rows[0]] else 1
                self._fill(view, known, plan, rows, particles, rng.select(rows.tolist()), filled, tokens.device)
        return replace(filled, tokens=filled.tokens.to(tokens.device))

    def _fill(
        self,
        denoise: Denoise,
        known: Evidence,
        plan: "_Plan",
        rows: Int64[Tensor, "R"],
        count: int,
        rng: Streams,
        filled: Filled,
        device: torch.device,
    ) -> None:
        """Fill some rows, each in `count` particles, and put what they came to into `filled`."""
        turns, drawn, weighs = plan.turns[rows], known.unfilled[rows], bool(plan.weighed[rows].any())
        population = Population(known.tokens[rows].masked_fill(turns >= 0, plan.size), count)
        past: list[tuple[Tensor, ...]] = []
        for turn in range(int(turns.max()) + 1):
            now = (turns == turn).any(1).nonzero()[:, 0]
            sites = (turns[now] == turn).int().argmax(1)
            logits = population.look(denoise, device, now, sites)
            log_mu, log_z = categorical.log_probabilities(
                logits.flatten(0, 1),
                temperature=self.temperature,
                top_p=self.top_p,
                evidence=plan.likelihood(known, rows[now], sites).repeat_interleave(count, 0),
            )
            log_mu, log_z = log_mu.view(logits.shape), log_z.view(logits.shape[:2])
            if weighs:
                population.weigh(now, sites, log_z.where(plan.weighed[rows[now], sites, None], 0.0))
            new = drawn[now, sites]
            population.tokens[now[~new], :, sites[~new]] = known.tokens[rows[now[~new]], sites[~new], None]
            if not new.any():
                continue
            fresh = rng.select(now[new].tolist()).rand(count + 1)
            ancestors = population.resample(now[new], fresh[:, -1])
            logits, log_mu = (
                each[new].gather(1, ancestors[..., None].expand_as(each[new])) for each in (logits, log_mu)
            )
            population.draw(now[new], sites[new], log_mu, fresh[:, :-1])
            past.append((now[new], sites[new], logits.softmax(-1), ancestors))
        chosen = population.choose(rng.rand(1)[:, 0])
        every = torch.arange(len(rows))
        filled.tokens[rows], filled.calls[rows] = population.tokens[every, chosen], population.calls
        filled.log_prob[rows] = population.log_prob[every, chosen]
        if weighs:
            filled.log_weight[rows], filled.ess[rows] = population.evidence(), population.ess
            filled.impossible[rows] = population.impossible
        for now, sites, mu, ancestors in reversed(past):  # from the chosen particle back to its ancestors
            there = torch.arange(len(now))
            filled.marginals[rows[now], sites] = mu[there, chosen[now]].float()
            chosen[now] = ancestors[there, chosen[now]]


@dataclass(frozen=True)
class _Plan:
    """When each place of a batch is visited: drawn where it is a mask, weighed where something is known of it."""

    size: int
    turns: Int64[Tensor, "B L"]
    """-1 of what is given, and of what is no place to visit."""
    weighed: Bool[Tensor, "B L"]

    @classmethod
    def of(cls, known: Evidence, rank: Int64[Tensor, "B L"], size: int, rng: Streams) -> "_Plan":
        drawn = known.unfilled
        first = rank.masked_fill(~drawn, rank.shape[1] + 1).amin(1, keepdim=True) if rank.shape[1] else rank
        later = (known.tokens < size) & (rank > first)
        visited = drawn | later
        (keys,) = uniforms(rng, visited, 1)
        # Of one rank the known letters come first, then the masks of which most is known.
        after = rank * (known.freedom.max() + 2 if rank.numel() else 1) + (known.freedom + 1).where(drawn, 0)
        return cls(size, positions_in_turn(visited, after, keys), later | known.constrained)

    def likelihood(
        self, known: Evidence, rows: Int64[Tensor, "R"], sites: Int64[Tensor, "R"]
    ) -> Float64[Tensor, "R K"]:
        """Of the symbols at one place of each row: what is known of a mask, or the letter that stands there."""
        evidence = torch.ones(len(rows), self.size, dtype=torch.float64)
        if known.likelihood is not None:
            evidence = known.likelihood[rows, sites].clone()
        there = known.tokens[rows, sites]
        stands = there < self.size
        evidence[stands] = F.one_hot(there[stands], self.size).double()
        return evidence


class AnyOrder(Process):
    """One draw of the bound for each row: an order, and how many of its letters are visible.

    `orders` are those of `seqdiff.diffusion.orders.rank`. Of others than `uniform` the network learns to guess letters
    from those that come before them in the order, whatever else may be known: it does not fill masks from all sides.
    What is known of letters that come later is met by particles (`Ordered`), and not looked at by `bound`: of a stretch
    it is given what comes before in the order.
    """

    kind: Literal["anyorder"] = "anyorder"
    orders: Orders = "uniform"
    length: Annotated[int, Field(ge=1)] | None = None
    """Letters of a block, of orders: blocks."""
    samplers: ClassVar[tuple[type[Sampler], ...]] = (Ordered,)

    @model_validator(mode="after")
    def _consistent(self) -> "AnyOrder":
        if (self.orders == "blocks") != (self.length is not None):
            raise ValueError("length belongs to orders: blocks, which needs it")
        return self

    @property
    def time(self) -> Literal["optional"]:
        """A network that takes the time is told the share of the row that is masked."""
        return "optional"

    @property
    def fills_masks(self) -> bool:
        return self.orders == "uniform"

    @property
    def given(self) -> Literal["all", "left", "right", "earlier"]:
        sides = {"uniform": "all", "left-to-right": "left", "blocks": "left", "right-to-left": "right"}
        return sides.get(self.orders, "earlier")

    def rank(self, present: Bool[Tensor, "B L"]) -> Int64[Tensor, "B L"]:
        """When each place of a row comes (`orders.rank`)."""
        return rank(self.orders, present, self.length)

    def view(self, network: Denoise) -> Denoise:
        """The network as it is asked for letters that come next in the order: without the time."""
        return TimeFree(network, self.time_at) if takes_time(network) else network

    def loss(self, network: Denoise, batch: Batch, rng: Streams) -> Loss:
        denoise, tokens = self.view(network), batch.tokens
        mask, wide = symbols(network, tokens), widest(tokens.device)
        known = tokens < mask
        u, keys = rng.strata().to(tokens.device, wide), rng.rand(tokens.shape[1]).to(tokens.device, wide)
        n = known.sum(1)
        masked, following = hidden(known, self.rank(tokens <= mask), exact_count(u, n), keys)
        logits = denoise(tokens.masked_fill(masked, mask))
        targets = tokens.masked_fill(~following, IGNORED)
        nats = F.cross_entropy(
            precise(logits).flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="none"
        ).view_as(targets)
        factor = n.to(wide) / following.sum(1).clamp(min=1)
        return Loss((nats * (batch.weight * factor[:, None]).to(nats.dtype)).sum(), batch.weight.sum(dtype=wide))

    def bound(self, network: Denoise, *, strata: int, replicates: int) -> Bound:
        if self.orders == "uniform":
            return super().bound(network, strata=strata, replicates=replicates)
        return partial(ordered, self.view(network), self.rank, strata=strata, replicates=replicates)

    def sampler(self) -> Sampler:
        return Ancestral() if self.orders == "uniform" else Ordered()
