"""The reverse process of schedules that differ by symbol (GenMD4, `processes/genmasked.py`).

Backwards from t to s < t a mask becomes v with probability (1 - (s / t)^(w_v)) mu(v), w_v the power of v, and else
stays one. It is asked only now and then: in a step at the rate of the largest power W, that is with probability
1 - (s / t)^W and whatever its letter, a mask is proposed to be revealed, and it becomes v with probability
mu(v) (1 - (s / t)^(w_v)) / (1 - (s / t)^W). For short steps that is mu(v) w_v / W, at times that do not depend on the
network (thinning; Lewis and Shedler 1979, doi:10.1002/nav.3800260304), which makes it exact.
"""

from abc import abstractmethod
from typing import Annotated, ClassVar, Literal

import torch
from jaxtyping import Bool, Float, Float64, Int, Int64
from pydantic import Field
from torch import Tensor

from seqdiff.diffusion import categorical
from seqdiff.diffusion.denoise import Denoise, learned, process_of
from seqdiff.diffusion.guidance import Guided
from seqdiff.diffusion.samplers.ancestral import STEPS
from seqdiff.diffusion.samplers.filling import Filled, Filling, Proposal, Sampler, uniforms
from seqdiff.diffusion.schedule import Cosine, Linear
from seqdiff.errors import UsageError
from seqdiff.streams import Streams

OF = "genmasked"
"""The kind of the process."""
TINY = torch.finfo(torch.float64).tiny


class Proposals(Sampler):
    """Masks are proposed to be revealed at times of their own, and are or stay, by what the network says then.

    The clock runs from 1 to 0. The letters that a row has count as known from the beginning: with the exact posterior
    the law is that of the masks given them. When a letter is revealed says something of it, so letters that something
    is known of do not come first. `log_weight` is still exact, its mean the probability of the evidence: it counts log
    Z where a letter is revealed, and how much likelier the network alone would have let it stay a mask each time that
    it stayed. `log_prob` is that of each letter given that its mask is revealed just then.
    """

    of: ClassVar[str] = OF
    guides: ClassVar[bool] = True

    @abstractmethod
    def keys(self, times: Float64[Tensor, "R L"], masks: Int64[Tensor, "R"]) -> Float64[Tensor, "R L"]:
        """What the network is asked of together has the same key; higher keys come first."""

    @abstractmethod
    def interval(
        self, key: Float64[Tensor, "R"], masks: Int64[Tensor, "R"]
    ) -> tuple[Float64[Tensor, "R"], Float64[Tensor, "R"]]:
        """t, which the network is told, and s, when the clock goes on for what stays a mask; the same where letters are
        revealed one by one."""

    def marginals(self, denoise: Denoise, tokens: Int[Tensor, "B L"]) -> Float64[Tensor, "B L K"]:
        return _filling(denoise)(tokens).double().softmax(-1)

    def __call__(
        self,
        denoise: Denoise,
        tokens: Int[Tensor, "B L"],
        evidence: Bool[Tensor, "B L K"] | Float[Tensor, "B L K"] | None = None,
        *,
        rng: Streams,
    ) -> Filled:
        """`denoise` is a network as it was trained, or two of the same powers (`Guided`): then it is their mu that are
        combined, and the times at which letters are revealed stay those of the powers. Raises UsageError for others."""
        filling = Filling(self, denoise, tokens, evidence)
        network, powers = _network(denoise), _powers(denoise)
        first_time = process_of(network).first_time
        masks, stayed = filling.unfilled.sum(1), torch.zeros(tokens.shape, dtype=torch.float64)
        times = uniforms(rng, filling.unfilled, 1)[0] ** (1 / powers.max())
        while len(rows := filling.unfilled.any(1).nonzero()[:, 0]):
            keys = self.keys(times[rows], masks[rows]).masked_fill(~filling.unfilled[rows], -1)
            chosen = keys == (key := keys.amax(1))[:, None]
            t, s = self.interval(key, masks[rows])
            logits = filling.look(rows, time=t.clamp(min=first_time))
            reveals = _revealed(t, s, powers)[chosen.nonzero()[:, 0]]
            accept, value, again = uniforms(rng.select(rows.tolist()), chosen, 3)
            log_mu, log_z = filling.law(rows, chosen, logits)
            letter = log_mu + reveals.log()
            total = letter.logsumexp(-1)
            revealed = torch.zeros_like(chosen).masked_scatter(chosen, accept[chosen] < total.exp())
            proposal = Proposal.of(chosen, categorical.values(letter, value[chosen]), letter - total[:, None], log_z)
            proposal = Proposal(proposal.values, proposal.log_prob, proposal.log_z + stayed[rows])
            filling.accept(rows, revealed, proposal)
            left = chosen & ~revealed
            if evidence is not None:
                alone, _ = filling.law(rows, chosen, logits, informed=False)
                stay = [((1 - reveals) * log.exp()).sum(-1).clamp(min=TINY).log() for log in (alone, log_mu)]
                spread = torch.zeros(chosen.shape, dtype=torch.float64).masked_scatter(chosen, stay[0] - stay[1])
                stayed[rows] += torch.where(left, spread, 0.0)
            times[rows] = torch.where(left, s[:, None] * again ** (1 / powers.max()), times[rows])
        return filling.filled()


class Steps(Proposals):
    """The reverse process in steps of the clock: what is revealed in one is drawn independently, an error of
    O(1/steps). A step in which nothing of a row is proposed needs no network pass."""

    kind: Literal["powers"] = "powers"
    steps: Annotated[int, Field(ge=1)] | None = None
    """None: as many as the row has masks, at most 128."""
    grid: Literal["uniform", "cosine"] = "uniform"

    def keys(self, times: Float64[Tensor, "R L"], masks: Int64[Tensor, "R"]) -> Float64[Tensor, "R L"]:
        steps = self._steps(masks)[:, None]
        return (steps * self._grid.inverse(times)).floor().minimum(steps - 1)

    def interval(
        self, key: Float64[Tensor, "R"], masks: Int64[Tensor, "R"]
    ) -> tuple[Float64[Tensor, "R"], Float64[Tensor, "R"]]:
        steps = self._steps(masks)
        return self._grid.masked((key + 1) / steps), self._grid.masked(key / steps)

    @property
    def _grid(self) -> Linear | Cosine:
        return Cosine() if self.grid == "cosine" else Linear()

    def _steps(self, masks: Int64[Tensor, "R"]) -> Float64[Tensor, "R"]:
        return (masks.clamp(max=STEPS) if self.steps is None else torch.full_like(masks, self.steps)).double()


class Thinning(Proposals):
    """One letter a network pass, at the exact time: the model's own law without any discretisation. A row of n masks
    takes n W / w passes or so, with w the powers of its letters."""

    kind: Literal["thinning"] = "thinning"

    def keys(self, times: Float64[Tensor, "R L"], masks: Int64[Tensor, "R"]) -> Float64[Tensor, "R L"]:
        return times

    def interval(
        self, key: Float64[Tensor, "R"], masks: Int64[Tensor, "R"]
    ) -> tuple[Float64[Tensor, "R"], Float64[Tensor, "R"]]:
        return key, key


def _revealed(t: Float64[Tensor, "R"], s: Float64[Tensor, "R"], powers: Float64[Tensor, "K"]) -> Float64[Tensor, "R K"]:
    """How probable it is that a proposal reveals each symbol: (1 - (s / t)^w) / (1 - (s / t)^W)."""
    step = torch.where(s < t, s / t, 0.5)[:, None].log()
    return torch.where((s < t)[:, None], torch.expm1(powers * step) / torch.expm1(powers.max() * step),
                       powers / powers.max())  # fmt: skip


def _network(denoise: Denoise) -> Denoise:
    """The one that says by what it was trained."""
    return denoise.conditional if isinstance(denoise, Guided) else denoise


def _powers(denoise: Denoise) -> Float64[Tensor, "K"]:
    """Those of the network, or of both networks."""
    networks = (denoise.conditional, denoise.unconditional) if isinstance(denoise, Guided) else (denoise,)
    kinds = [getattr(process_of(network), "kind", None) for network in networks]
    powers = [learned(n)().detach().cpu().double() for n, kind in zip(networks, kinds, strict=True) if kind == OF]
    if len(powers) < len(networks) or any(not torch.equal(powers[0], other) for other in powers):
        raise UsageError(
            "guidance between networks of other schedules: these samplers lean a model of process genmasked away from "
            "itself alone, told a class and not told; give --sampler ancestral, or another that fills masks"
        )
    return powers[0]


def _filling(denoise: Denoise) -> Denoise:
    """As one that fills masks, or two of them."""
    if isinstance(denoise, Guided):
        return Guided(_filling(denoise.conditional), _filling(denoise.unconditional), denoise.weight)
    return process_of(denoise).filling(denoise)
