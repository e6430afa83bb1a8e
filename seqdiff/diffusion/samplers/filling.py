"""What all samplers share: the contract, and the bookkeeping of a batch that is being filled."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import torch
from jaxtyping import Bool, Float, Float64, Int, Int64
from pydantic import Field
from torch import Tensor

from seqdiff.config import Config
from seqdiff.diffusion import categorical
from seqdiff.diffusion.denoise import Denoise, symbols
from seqdiff.diffusion.evidence import Evidence
from seqdiff.streams import Streams


@dataclass(frozen=True)
class Filled:
    """What a sampler made of each row: tokens on the device they came from, numbers on the CPU."""

    tokens: Int[Tensor, "B L"]
    log_prob: Float64[Tensor, "B"]
    """Nats: log probability of the letters that stand under the distributions that they were drawn from."""
    log_weight: Float64[Tensor, "B"]
    """Nats: sum of log Z over positions with evidence; 0 without such, -inf if impossible (see `evidence.py`)."""
    calls: Int64[Tensor, "B"]
    """Network passes that the row took part in."""
    impossible: Int64[Tensor, "B"] | None = None
    """The first position filled at which the model rules the evidence out (log Z = -inf); -1 where there is none."""
    ess: Float64[Tensor, "B"] | None = None
    """Effective number of particles, NaN in rows that needed none; None: the sampler has no particles."""
    marginals: Float[Tensor, "B L K"] | None = None
    """Of a sampler with `hindsight`: how probable each letter was where one was drawn, given those before it."""


class Sampler(Config, ABC):
    """Fills every mask that it may fill and changes nothing else. A row depends on its own stream alone.

    `temperature` and `top_p` change the law that is sampled: mu^(1/temperature), renormalised, then cut to its
    nucleus (see `categorical.log_probabilities`). At 1 and 1 the law is the model's own.
    """

    if TYPE_CHECKING:

        @property
        def kind(self) -> str: ...

    of: ClassVar[str | None] = None
    """The kind of the one process whose networks it samples, as they are trained; None: any that fills masks, through
    `Process.filling`."""

    guides: ClassVar[bool] = False
    """Whether one that is of a process alone also takes two of its networks (`seqdiff.diffusion.guidance.Guided`)."""

    revisits: ClassVar[bool] = False
    """Whether letters that were drawn are drawn anew; then `log_weight` is no importance weight, and a row may take
    more passes than it has masks."""

    draws: ClassVar[bool] = True
    """Whether what comes out is drawn; otherwise two fillings are the same and `log_weight` weighs no draw."""

    weighs: ClassVar[bool] = False
    """Whether what is known is met exactly, by weighed particles: where it is impossible in all of them, there is no
    filling."""

    hindsight: ClassVar[bool] = False
    """Whether nothing can be said of the letters before any is drawn: then `marginals` is not asked, and `Filled` has
    those of the letters given the ones drawn before them."""

    temperature: Annotated[float, Field(gt=0)] = 1.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0

    def marginals(self, denoise: Denoise, tokens: Int[Tensor, "B L"]) -> Float64[Tensor, "B L K"]:
        """How probable each letter is at each mask before any is drawn: what qualities of filled letters say."""
        return denoise(tokens).double().softmax(-1)

    @abstractmethod
    def __call__(
        self,
        denoise: Denoise,
        tokens: Int[Tensor, "B L"],
        evidence: Bool[Tensor, "B L K"] | Float[Tensor, "B L K"] | None = None,
        *,
        rng: Streams,
    ) -> Filled:
        """Fills masks. `evidence`: how likely each symbol makes what is known of a mask (None: nothing is known;
        bool: the symbols it may become).

        A mask that may become nothing stays a mask, as context. A single possible symbol is filled in before all else;
        of the others, those that something is known of come first, the most restricted first.
        """


@dataclass(frozen=True)
class Proposal:
    """Values at some positions of some rows, not yet filled in; 0 elsewhere."""

    values: Int64[Tensor, "R L"]
    log_prob: Float64[Tensor, "R L"]
    log_z: Float64[Tensor, "R L"]

    @classmethod
    def of(
        cls,
        chosen: Bool[Tensor, "R L"],
        values: Int64[Tensor, "N"],
        log_mu: Float64[Tensor, "N K"],
        log_z: Float64[Tensor, "N"],
    ) -> "Proposal":
        """The N chosen positions spread out."""
        empty = torch.zeros(chosen.shape, dtype=torch.float64)
        return cls(
            values=torch.zeros(chosen.shape, dtype=torch.int64).masked_scatter(chosen, values),
            log_prob=empty.masked_scatter(chosen, log_mu.gather(1, values[:, None])[:, 0]),
            log_z=empty.masked_scatter(chosen, log_z),
        )


class Filling:
    """A batch on its way from masks to symbols. Kept on the CPU in float64; only tokens and logits travel."""

    def __init__(
        self,
        sampler: Sampler,
        denoise: Denoise,
        tokens: Int[Tensor, "B L"],
        evidence: Bool[Tensor, "B L K"] | Float[Tensor, "B L K"] | None,
    ):
        self._sampler, self._denoise, self._device = sampler, denoise, tokens.device
        self._mask = symbols(denoise, tokens)
        known = Evidence.of(tokens.cpu(), None if evidence is None else evidence.cpu(), self._mask)
        self.tokens, self.targets, self.unfilled = known.tokens, known.unfilled, known.unfilled.clone()
        self.freedom, self._likelihood, self._constrained = known.freedom, known.likelihood, known.constrained
        rows = len(tokens)
        self.log_prob = torch.zeros(tokens.shape, dtype=torch.float64)
        """Nats, of each letter that was drawn and stands; 0 elsewhere."""
        self._log_z = torch.zeros(tokens.shape, dtype=torch.float64)
        self._calls = torch.zeros(rows, dtype=torch.int64)
        self._impossible = torch.full((rows,), -1, dtype=torch.int64)

    @torch.no_grad()
    def look(
        self,
        rows: Int64[Tensor, "R"],
        hidden: Bool[Tensor, "R L"] | None = None,
        *,
        time: Float[Tensor, "R"] | None = None,
    ) -> Float[Tensor, "R L K"]:
        """One network pass over some rows as they are now, or with some of their letters hidden; told the time, where
        the network takes it."""
        self._calls[rows] += 1
        tokens = self.tokens[rows] if hidden is None else self.tokens[rows].masked_fill(hidden, self._mask)
        told = () if time is None else (time.to(self._device, torch.float32),)
        return self._denoise(tokens.to(self._device), *told).detach()

    def propose(
        self,
        rows: Int64[Tensor, "R"],
        chosen: Bool[Tensor, "R L"],
        logits: Float[Tensor, "R L K"],
        uniforms: Float64[Tensor, "R L"],
    ) -> Proposal:
        """Draws a value at each chosen position of `rows`, all of them given the same context."""
        log_mu, log_z = self.law(rows, chosen, logits)
        return Proposal.of(chosen, categorical.values(log_mu, uniforms[chosen]), log_mu, log_z)

    def likeliest(
        self, rows: Int64[Tensor, "R"], chosen: Bool[Tensor, "R L"], logits: Float[Tensor, "R L K"]
    ) -> Proposal:
        """The most probable value at each chosen position of `rows`, in place of a draw."""
        log_mu, log_z = self.law(rows, chosen, logits)
        return Proposal.of(chosen, log_mu.argmax(-1), log_mu, log_z)

    def accept(self, rows: Int64[Tensor, "R"], chosen: Bool[Tensor, "R L"], proposal: Proposal) -> None:
        """Fills in the chosen positions of `rows`."""
        self.tokens[rows] = torch.where(chosen, proposal.values.to(self.tokens.dtype), self.tokens[rows])
        self.unfilled[rows] &= ~chosen
        self.log_prob[rows] = torch.where(chosen, proposal.log_prob, self.log_prob[rows])
        restricted = chosen & self._constrained[rows]
        self._log_z[rows] = torch.where(restricted, proposal.log_z, self._log_z[rows])
        ruled_out = restricted & (proposal.log_z == -torch.inf)
        new = ruled_out.any(1) & (self._impossible[rows] < 0)
        self._impossible[rows[new]] = ruled_out[new].int().argmax(1)

    def remask(self, rows: Int64[Tensor, "R"], chosen: Bool[Tensor, "R L"]) -> None:
        """Takes back letters that were drawn: they are masks again."""
        self.tokens[rows] = self.tokens[rows].masked_fill(chosen, self._mask)
        self.unfilled[rows] |= chosen
        self.log_prob[rows] = self.log_prob[rows].masked_fill(chosen, 0.0)
        log_z = self._log_z[rows].masked_fill(chosen, 0.0)
        self._log_z[rows] = log_z
        ruled_out = log_z == -torch.inf
        self._impossible[rows] = torch.where(ruled_out.any(1), ruled_out.int().argmax(1), -1)

    def certainty(
        self, rows: Int64[Tensor, "R"], where: Bool[Tensor, "R L"], logits: Float[Tensor, "R L K"]
    ) -> Float64[Tensor, "R L"]:
        """Nats: log probability of the letters that stand `where`, under the distributions they would be drawn from;
        0 elsewhere. Only for logits that have not seen these letters.
        """
        log_mu, _ = self.law(rows, where, logits)
        there = log_mu.gather(1, self.tokens[rows][where][:, None].long())[:, 0]
        return torch.zeros(where.shape, dtype=torch.float64).masked_scatter(where, there)

    def law(
        self,
        rows: Int64[Tensor, "R"],
        where: Bool[Tensor, "R L"],
        logits: Float[Tensor, "R L K"],
        *,
        informed: bool = True,
    ) -> tuple[Float64[Tensor, "N K"], Float64[Tensor, "N"]]:
        """log probabilities that the letters `where` are drawn from, and log Z; unless `informed`, as if nothing were
        known of them."""
        return categorical.log_probabilities(
            logits[where.to(logits.device)].cpu(),
            temperature=self._sampler.temperature,
            top_p=self._sampler.top_p,
            evidence=self._likelihood[rows][where] if informed and self._likelihood is not None else None,
        )

    def follow(self, turns: Int64[Tensor, "B L"], uniforms: Float64[Tensor, "B L"]) -> Filled:
        """Fills position i of row b in the row's pass number `turns[b, i]` (-1: never), values by `uniforms`.

        A row that is finished is not sent to the network any more.
        """
        last = turns.amax(1) if turns.shape[1] else turns.new_full((len(turns),), -1)
        for turn in range(int(last.max()) + 1 if len(last) else 0):
            rows = (last >= turn).nonzero()[:, 0]
            chosen = turns[rows] == turn
            self.accept(rows, chosen, self.propose(rows, chosen, self.look(rows), uniforms[rows]))
        return self.filled()

    def filled(self) -> Filled:
        return Filled(
            self.tokens.to(self._device), _total(self.log_prob), _total(self._log_z), self._calls, self._impossible
        )


def _total(values: Float64[Tensor, "B L"]) -> Float64[Tensor, "B"]:
    """Row sums, letter by letter from the left: the same to the last bit whatever the padding."""
    where = values != 0
    return values.new_zeros(len(values)).index_add_(0, where.nonzero()[:, 0], values[where])


def uniforms(rng: Streams, where: Bool[Tensor, "B L"], columns: int) -> Float64[Tensor, "columns B L"]:
    """Uniforms at the positions `where`, 0 elsewhere. A row draws as many as it has such positions, so what it gets
    depends neither on its neighbours nor on the padding to its right.
    """
    assert len(rng) == len(where), "one stream a row"
    counts = where.sum(1).tolist()
    draws = [rng.select([row]).rand(count, columns)[0] for row, count in enumerate(counts)]
    spread = torch.zeros(*where.shape, columns, dtype=torch.float64)
    spread[where] = torch.cat([*draws, spread.new_zeros(0, columns)])
    return spread.movedim(-1, 0)


def positions_in_turn(
    unfilled: Bool[Tensor, "B L"], freedom: Int[Tensor, "B L"], keys: Float64[Tensor, "B L"]
) -> Int64[Tensor, "B L"]:
    """The order in which positions are filled: the most restricted first, lower key first; -1 where not unfilled.

    >>> unfilled = torch.tensor([[True, True, True, False]])
    >>> freedom = torch.tensor([[4, 4, 2, 4]])
    >>> keys = torch.tensor([[0.9, 0.1, 0.5, 0.0]], dtype=torch.float64)
    >>> positions_in_turn(unfilled, freedom, keys).tolist()
    [[2, 1, 0, -1]]
    """
    order = (freedom + keys).masked_fill(~unfilled, torch.inf).argsort(dim=1, stable=True)
    ranks = torch.arange(unfilled.shape[1]).expand(unfilled.shape)
    return torch.zeros_like(order).scatter(1, order, ranks).masked_fill(~unfilled, -1)
