"""Uniform noise: letters are replaced by random letters, never by a mask.

At time t a letter is what it was with probability a(t) = 1 - t, else drawn from all K symbols alike; in continuous time
(UDLM; Schiff et al. 2024, arXiv:2412.10193) or in T steps (D3PM-uniform; Austin et al. 2021, arXiv:2107.03006). What a
letter was at s < t follows by Bayes' theorem from z, what it is at t, and mu, what it may have been at 0 judged from
all the others:

    p(j at s | z at t) = ( [j = z] (K a_t mu_z + a_t / a_s - a_t) + (a_s - a_t) mu_j + (1 - a_t / a_s) (1 - a_s) / K )
                         / ( K a_t mu_z + 1 - a_t )

and q(j at s | z at t, x) is the same with all of mu on x. The bound on -log p(x) is, of each letter,

    sum over the steps of KL(q(. at s | z, x) || p(. at s | z)),  or in the limit, with m_j = K a mu_j + 1 - a,
    integral of -a' / (K a) sum over j != z of (s_j - R_j log s_j + R_j (log R_j - 1)),  s_j = m_j / m_z, R_j that of x

The trap is mu: with P(x_i | all of z but z_i) the bound is -log p; with P(x_i | all of z) in its place it is far above.
A network may learn either (`prediction`), since one makes the other: P(x_i = v | z) ~ mu_v q(z_i | v).
"""

import logging
from functools import cache
from typing import Annotated, ClassVar, Literal

import torch
from jaxtyping import Bool, Float, Float64, Int, Int64
from pydantic import Field, model_validator
from torch import Tensor

from seqdiff import streams
from seqdiff.diffusion import categorical
from seqdiff.diffusion.denoise import Denoise, precise, process_of, symbols, widest
from seqdiff.diffusion.guidance import Guided, leaned
from seqdiff.diffusion.processes.path import Path
from seqdiff.diffusion.samplers.filling import Filled, Filling, Proposal, Sampler, uniforms
from seqdiff.streams import Streams

log = logging.getLogger("seqdiff")

STEPS = 128
"""Of the sampler in continuous time. Any letter may change in any step, so short rows need as many."""

LOOKS = 4
"""Passes that the probabilities of letters before any is drawn are the mean of."""


class Bayes(Sampler):
    """The reverse process in steps: letters at random at first, each drawn anew in every step from p(. at s | z at t).

    Its law is the model's but for O(1 / steps). Infilling is *approximate*, however many steps: letters that are given
    are drawn in each step from q(. at s | x), and the others see them through that noise (RePaint; Lugmayr et al. 2022,
    arXiv:2201.09865). `repeats` noises the row again and repeats each step, so that drawn and given letters come to
    agree. Masks that something is known of have mu restricted to it in every step.

    `log_prob` and `log_weight` are of the last pass: log mu of the letters that came to stand, and log Z of what was
    known, given the rest of the row as it was then. Letters are drawn again and again, so neither weighs a draw.
    """

    kind: Literal["bayes"] = "bayes"
    of: ClassVar[str | None] = "uniform"
    guides: ClassVar[bool] = True
    revisits: ClassVar[bool] = True
    steps: Annotated[int, Field(ge=1)] | None = None
    """None: those of the process, 128 of one in continuous time."""
    repeats: Annotated[int, Field(ge=1)] = 1
    """Times that each step but the last is taken, with the noise of one step between."""

    def marginals(self, denoise: Denoise, tokens: Int[Tensor, "B L"]) -> Float64[Tensor, "B L K"]:
        """mu at masks, with random letters there and all others as given, told the time at which so many are random:
        the mean over `LOOKS` choices of the letters, from the places alone."""
        towards, away, weight = _sides(denoise)
        size = symbols(towards, tokens)
        masks, looks = tokens == size, min(LOOKS, size)
        keys = torch.from_numpy(streams.uniforms(0, "letters at masks", torch.arange(tokens.shape[1]).numpy()))
        first = _letters(keys, size).to(tokens.device)
        rows = [torch.where(masks, (first + look * size // looks) % size, tokens) for look in range(looks)]
        share = masks.sum(1) / (tokens <= size).sum(1).clamp(min=1)
        t = share.double().clamp(min=1 / STEPS).repeat(looks)
        sides = [_asked(side, torch.cat(rows), t) for side in (towards, away) if side is not None]
        return _combined(sides, weight).double().exp().unflatten(0, (looks, -1)).mean(0)

    @torch.no_grad()
    def __call__(
        self,
        denoise: Denoise,
        tokens: Int[Tensor, "B L"],
        evidence: Bool[Tensor, "B L K"] | Float[Tensor, "B L K"] | None = None,
        *,
        rng: Streams,
    ) -> Filled:
        """`denoise` is a network as it was trained, or two of them (`Guided`): then it is the steps' distributions
        that are combined, and not their mu (Schiff et al. 2024)."""
        towards, away, weight = _sides(denoise)
        filling = Filling(self, towards, tokens, evidence)
        size, rows = symbols(towards, tokens), filling.targets.any(1).nonzero()[:, 0]
        own, targets, clean = rng.select(rows.tolist()), filling.targets[rows], filling.tokens[rows]
        given = clean < size
        moving = given | targets
        if given.any():
            _say_approximate()
        filling.tokens[rows] = torch.where(moving, _letters(uniforms(own, moving, 1)[0], size), clean)
        steps = self.steps or _process(towards).steps or STEPS
        for step in range(steps if len(rows) else 0, 0, -1):
            keep, after = 1 - step / steps, 1 - (step - 1) / steps
            for again in range(self.repeats if step > 1 else 1):
                if again:
                    when, what = uniforms(own, moving, 2)
                    noised = moving & (when >= keep / after)
                    filling.tokens[rows] = torch.where(noised, _letters(what, size), filling.tokens[rows])
                z, t = filling.tokens[rows], torch.full((len(rows),), step / steps, dtype=torch.float64)
                log_mu = [left_out(filling.look(rows, time=t).cpu(), z, t, _process(towards).prediction)]
                if away is not None:
                    log_mu.append(_asked(away, z.to(tokens.device), t).cpu())
                if step == 1:  # the last step's combination is that of the mu themselves
                    log_mu = [_combined(log_mu, weight)]
                laws = [filling.law(rows, targets, each) for each in log_mu]
                log_p = _combined([step_back(law.exp(), z[targets], keep, after).log() for law, _ in laws], weight)
                when, what = uniforms(own, moving, 2)
                values = _moved(log_p, z[targets], when[targets], what[targets])
                if step == 1:
                    filling.accept(rows, targets, Proposal.of(targets, values, *laws[0]))
                else:
                    filling.tokens[rows] = z.masked_scatter(targets, values.to(z.dtype))
                noised = torch.where(when < after, clean, _letters(what, size))
                filling.tokens[rows] = torch.where(given, noised, filling.tokens[rows])
        return filling.filled()


class Uniform(Path):
    """Letters become random ones: in continuous time, or in T `steps`, with T = 1000 in the paper.

    In continuous time nothing is left out at t = 0; `last_time` is short of where the formula is 0 / 0, and the ends
    count what of x is left there, as its divergence from the uniform prior. T steps leave nothing out.

    A network may be asked for what a letter was without or with a look at what it is now; the optimum is the same.
    `leave-one-out`: its answer is mu. An ordinary network sees the letter and learns to disregard it, a hollow one need
    not; knowing nothing costs ln K a letter from the first step. `posterior`: its answer is P(x_i | z), mostly the
    letter that stands there, as often as t is early. Of that it must become as sure as 1 / t: until it does it pays
    ever more the more steps there are, and without end in continuous time, so that a training begins far above ln K and
    needs a small learning rate. A hollow network cannot give that answer.

    Training draws t as the square of a uniform, weighed by its slope: a letter is rarely noise at early times and then
    costs as 1 / t, so that the loss at even times has no variance. Of rows of 128 bases it had 1.61 nats a letter of
    standard deviation, at squares 0.65; of the mean of 256 stratified rows 0.097 and 0.024.

    Letters that the source does not know stay masks throughout, as context that says nothing, and are not scored.
    """

    kind: Literal["uniform"] = "uniform"
    prediction: Literal["leave-one-out", "posterior"] = "leave-one-out"
    steps: Annotated[int, Field(ge=1)] | None = None
    """T; None: continuous time."""
    last_time: Annotated[float, Field(gt=0, lt=1)] = 1 - 1e-4
    """Of continuous time."""
    samplers: ClassVar[tuple[type[Sampler], ...]] = (Bayes,)

    @model_validator(mode="after")
    def _consistent(self) -> "Uniform":
        if self.steps is not None and self.last_time != type(self).model_fields["last_time"].default:
            raise ValueError("last_time is of continuous time: remove it, or steps")
        return self

    @property
    def needs_sight(self) -> bool:
        return self.prediction == "posterior"

    @property
    def fills_masks(self) -> bool:
        return False

    @property
    def interval(self) -> tuple[float, float]:
        return (0.0, self.last_time) if self.steps is None else (0.0, 1.0)

    @property
    def number_of_steps(self) -> int | None:
        return self.steps

    def times(self, u: Float[Tensor, "B"]) -> tuple[Float[Tensor, "B"], Float[Tensor, "B"]]:
        t, width = super().times(u**2)
        return t, 2 * u * width

    def left(self, t: Float[Tensor, "*B"], symbols: int) -> Float[Tensor, "*B"]:
        same, other = 1 - t + t / symbols, t / symbols
        return torch.xlogy(same, symbols * same) + (symbols - 1) * torch.xlogy(other, symbols * other)

    def crude(self, t: Float[Tensor, "N"], size: int) -> tuple[Float[Tensor, "N"], Float[Tensor, "N"]]:
        if self.prediction == "posterior":  # "all letters are alike" is no answer of a network that sees the letter
            return self.model_copy(update={"prediction": "leave-one-out"}).crude(t, size)
        return super().crude(t, size)

    def corrupt(
        self,
        tokens: Int[Tensor, "B L"],
        known: Bool[Tensor, "B L"],
        t: Float[Tensor, "B"],
        keys: Float[Tensor, "B L 2"],
        symbols: int,
    ) -> Int[Tensor, "B L"]:
        return torch.where(known & (keys[..., 0] < t[:, None]), _letters(keys[..., 1], symbols), tokens)

    def density(
        self, logits: Float[Tensor, "B L K"], tokens: Int[Tensor, "B L"], z: Int[Tensor, "B L"], t: Float[Tensor, "B"]
    ) -> Float[Tensor, "B L"]:
        size = logits.shape[-1]
        mu, z = left_out(logits, z, t, self.prediction).exp(), z.clamp(max=size - 1)
        letter = torch.zeros_like(mu).scatter(-1, tokens[..., None], 1.0)
        if self.steps is not None:
            tiny, keep = torch.finfo(mu.dtype).tiny, (1 - t)[:, None, None].to(mu.dtype)
            after = (keep + 1 / self.steps).clamp(max=1)
            true, model = step_back(letter, z, keep, after), step_back(mu, z, keep, after).clamp(min=tiny)
            return self.steps * (torch.special.xlogy(true, true) - true * model.log()).sum(-1)
        # t as it is: 1 - (1 - t) is 0 before 1e-16, on a device of float32 before 3e-8, and f no number then.
        t = t[:, None, None].to(mu.dtype).clamp(min=torch.finfo(mu.dtype).eps ** 2)
        true, model = (_relative(each, z, t) for each in (letter, mu))
        entropy = model - true * model.log() + true * (true.log() - 1)
        return entropy.scatter(-1, z[..., None], 0.0).sum(-1) / (size * (1 - t)[..., 0])

    def sampler(self) -> Bayes:
        return Bayes()


def left_out(
    logits: Float[Tensor, "B L K"], z: Int[Tensor, "B L"], t: Float[Tensor, "B"], prediction: str
) -> Float[Tensor, "B L K"]:
    """log mu, what each letter was judged from all others, from a network's answer. float64, for at late times all but
    cancels. What it says at places without a letter is not to be read."""
    wide = widest(logits.device)
    answer = precise(logits).to(wide)
    if prediction == "posterior":
        size, t = logits.shape[-1], t[:, None].to(wide).clamp(min=torch.finfo(wide).eps ** 2)
        same, other = 1 - t + t / size, t / size
        now = z.clamp(max=size - 1)[..., None]
        answer = answer.scatter_add(-1, now, (other / same).log().expand(z.shape)[..., None])
    return answer.log_softmax(-1)


def step_back(
    mu: Float[Tensor, "*N K"], z: Int[Tensor, "*N"], keep: Tensor | float, after: Tensor | float
) -> Float[Tensor, "*N K"]:
    """p(. at s | z at t), with a_t `keep` and a_s `after`.

    >>> step_back(torch.tensor([[0.5, 0.5, 0.0, 0.0]]), torch.tensor([2]), 0.0, 1.0)
    tensor([[0.5000, 0.5000, 0.0000, 0.0000]])
    """
    size, now = mu.shape[-1], z[..., None]
    at_now = size * keep * mu.gather(-1, now)
    drawn = (after - keep) * mu + (1 - keep / after) * (1 - after) / size
    return drawn.scatter_add(-1, now, at_now + keep / after - keep) / (at_now + 1 - keep)


def _relative(letter: Float[Tensor, "*N K"], z: Int[Tensor, "*N"], t: Float[Tensor, "*M"]) -> Float[Tensor, "*N K"]:
    """How probable each symbol is at t, relative to the one that stands there, when `letter` says what it was."""
    share = letter.shape[-1] * (1 - t) * letter + t
    return share / share.gather(-1, z[..., None])


def _letters(u: Float[Tensor, "*N"], size: int) -> Int64[Tensor, "*N"]:
    """Symbols from uniforms in [0, 1), all alike."""
    return (u * size).long().clamp(max=size - 1)


def _moved(
    log_p: Float64[Tensor, "N K"], z: Int[Tensor, "N"], when: Float64[Tensor, "N"], what: Float64[Tensor, "N"]
) -> Int64[Tensor, "N"]:
    """A draw from p in two stages: whether to leave z, and for which other symbol."""
    p = log_p.softmax(-1)
    others = p.scatter(-1, z[:, None].long(), 0.0)
    leaves = when < others.sum(-1)
    new = z.long().clone()
    new[leaves] = categorical.values(others[leaves].log(), what[leaves])
    return new


def _combined(sides: list[Float[Tensor, "*N K"]], weight: float) -> Float[Tensor, "*N K"]:
    """log p_c^w p_u^(1-w) / Z of two, and of one itself."""
    return sides[0] if len(sides) == 1 else leaned(*sides, weight).log_softmax(-1)


def _sides(network: Denoise) -> tuple[Denoise, Denoise | None, float]:
    """The network that is leaned to, the one that is leaned away from where both are asked, and the weight."""
    if not isinstance(network, Guided):
        return network, None, 1.0
    if network.weight in (0, 1):
        return network.conditional if network.weight else network.unconditional, None, 1.0
    return network.conditional, network.unconditional, network.weight


def _asked(network: Denoise, z: Int[Tensor, "B L"], t: Float[Tensor, "B"]) -> Float[Tensor, "B L K"]:
    """log mu of each letter by the network."""
    t = t.to(z.device)
    return left_out(network(z, t.float()), z, t, _process(network).prediction)


def _process(network: Denoise) -> Uniform:
    """What it was trained by. Raises ValueError if that was another process."""
    process = process_of(network)
    if not isinstance(process, Uniform):
        raise ValueError("the sampler bayes is of networks trained by process uniform")
    return process


@cache
def _say_approximate() -> None:
    """Once."""
    log.warning(
        "uniform noise: given letters are noised with the rest and put back step by step, so what is filled in between "
        "them only approximates what the model makes of them; repeats come nearer (--sampler bayes --set repeats=5)"
    )
