"""The only place where something is drawn: first which positions (`lowest`), then their values (`values`).

Drawing in two stages in float64 matters. A single categorical over "stay masked or become v" holds probabilities
mu_v * (step size); raced in float32 it loses symbols below about 1e-7, which lowers the entropy of what is sampled
(Zheng et al. 2024, arXiv:2409.02908). Here a value is drawn from mu itself, by inverse CDF on 53-bit uniforms.
"""

import torch
from jaxtyping import Bool, Float, Float64, Int, Int64
from torch import Tensor

from seqdiff.errors import SeqdiffError


def lowest(count: Int[Tensor, "B"], among: Bool[Tensor, "B L"], keys: Float[Tensor, "B L"]) -> Bool[Tensor, "B L"]:
    """The `count` positions with the lowest keys `among` those allowed: exactly that many; ties go to the left.

    With uniform keys it is a uniformly random subset of exactly `count` positions.

    >>> keys = torch.tensor([[0.3, 0.1, 0.2]])
    >>> lowest(torch.tensor([1]), torch.tensor([[True, False, True]]), keys).tolist()
    [[False, False, True]]
    """
    order = keys.masked_fill(~among, torch.inf).argsort(dim=1, stable=True)
    first = torch.arange(keys.shape[1], device=keys.device) < count.minimum(among.sum(1))[:, None]
    return torch.zeros_like(among).scatter(1, order, first)


def log_probabilities(
    logits: Float[Tensor, "N K"],
    *,
    temperature: float = 1.0,
    top_p: float = 1.0,
    evidence: Bool[Tensor, "N K"] | Float[Tensor, "N K"] | None = None,
) -> tuple[Float64[Tensor, "N K"], Float64[Tensor, "N"]]:
    """log mu as it is drawn from, and log Z, the log of how probable mu makes the evidence. Both float64.

    In this order: mu = softmax(logits / temperature); the nucleus, the smallest set of most probable symbols with
    mass >= `top_p` (Holtzman et al. 2019, arXiv:1904.09751; 1 keeps all, towards 0 it is the argmax); the product with
    `evidence`, likelihoods l >= 0 of each symbol (see `evidence.py`; bool: the allowed ones), renormalised by
    Z = sum mu l. Where the nucleus holds no possible symbol the whole mu is multiplied instead. Where even that is
    impossible (Z = 0) symbols are drawn by l alone and log Z = -inf says so.
    Each row of `evidence` must hold a possible symbol. Raises SeqdiffError if the logits are not numbers.

    >>> log_mu, log_z = log_probabilities(torch.zeros(1, 4), evidence=torch.tensor([[True, False, True, False]]))
    >>> log_mu.exp().tolist(), log_z.exp().tolist()
    ([[0.5, 0.0, 0.5, 0.0]], [0.5])
    """
    whole = torch.log_softmax(logits.double() / temperature, dim=-1)
    if whole.isnan().any():
        raise not_a_number()
    kept = whole if top_p == 1 else _nucleus(whole, top_p)
    if evidence is None:
        return kept, kept.new_zeros(len(kept))
    log_likelihood = evidence.to(kept).log()
    log_mu = kept + log_likelihood
    missed = (log_mu == -torch.inf).all(-1, keepdim=True)
    log_mu = torch.where(missed, whole + log_likelihood, log_mu)
    log_z = torch.logsumexp(log_mu, dim=-1)
    impossible = (log_z == -torch.inf)[:, None]
    return torch.log_softmax(torch.where(impossible, log_likelihood, log_mu), dim=-1), log_z


def not_a_number() -> SeqdiffError:
    """The error for logits from which nothing can be drawn or scored."""
    return SeqdiffError(
        "the network's output is not a number (NaN or infinite logits): its weights are damaged or diverged; "
        "use an earlier checkpoint"
    )


def _nucleus(log_mu: Float64[Tensor, "N K"], top_p: float) -> Float64[Tensor, "N K"]:
    ordered, order = log_mu.sort(dim=-1, descending=True, stable=True)
    before = ordered.exp().cumsum(-1) - ordered.exp()
    outside = torch.zeros_like(log_mu, dtype=torch.bool).scatter(-1, order, before >= top_p)
    return torch.log_softmax(log_mu.masked_fill(outside, -torch.inf), dim=-1)


def values(log_mu: Float64[Tensor, "N K"], uniforms: Float64[Tensor, "N"]) -> Int64[Tensor, "N"]:
    """One symbol a row by inverse CDF. A symbol of probability 0 is never drawn.

    >>> values(torch.tensor([[0.5, 0.0, 0.5]], dtype=torch.float64).log(), torch.tensor([0.5], dtype=torch.float64))
    tensor([2])
    """
    below = log_mu.exp().cumsum(-1)
    return torch.searchsorted(below, (uniforms * below[:, -1])[:, None], right=True)[:, 0]


def exact_count(u: Float[Tensor, "*shape"], n: Tensor) -> Tensor:
    """Number of masks 1 + floor(n u) in 1..n for a uniform u in [0, 1); 1 where n is 0.

    >>> exact_count(torch.tensor([0.0, 0.5, 0.999]), torch.tensor([4, 4, 4])).tolist()
    [1, 3, 4]
    """
    return 1 + (u * n).long().minimum(n - 1).clamp(min=0)
