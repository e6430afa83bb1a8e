"""N fillings of each row of a batch side by side, with importance weights: what sequential Monte Carlo keeps."""

import torch
from jaxtyping import Float64, Int, Int64
from torch import Tensor

from seqdiff.diffusion import categorical
from seqdiff.diffusion.denoise import Denoise


class Population:
    """Particles on their way from masks to symbols. Kept on the CPU in float64; only tokens and logits travel."""

    def __init__(self, tokens: Int[Tensor, "B L"], particles: int):
        rows = len(tokens)
        self.tokens = tokens[:, None].repeat(1, particles, 1)
        self.log_prob = torch.zeros(rows, particles, dtype=torch.float64)
        self.log_weight = torch.zeros(rows, particles, dtype=torch.float64)
        """Nats. After resampling every particle has the mean weight, so the mean is always that of the estimate."""
        self.calls = torch.zeros(rows, dtype=torch.int64)
        self.ess = torch.full((rows,), torch.nan, dtype=torch.float64)
        """The smallest effective number of particles, (sum w)^2 / sum w^2, that a row came to before resampling."""
        self.impossible = torch.full((rows,), -1, dtype=torch.int64)
        self._state = torch.arange(rows)[:, None].repeat(1, particles)
        """The same number where particles of a row hold the same letters."""

    @torch.no_grad()
    def look(
        self, denoise: Denoise, device: torch.device, rows: Int64[Tensor, "R"], sites: Int64[Tensor, "R"]
    ) -> Float64[Tensor, "R N K"]:
        """Logits at one site of each row, for each particle. Particles that hold the same letters share a pass."""
        states, member = torch.unique(self._state[rows].flatten(), return_inverse=True)
        numbers = torch.arange(len(member))
        first = numbers.new_full((len(states),), len(member)).scatter_reduce(0, member, numbers, "amin")
        owner = numbers // self.tokens.shape[1]
        self.calls[rows] += torch.bincount(owner[first], minlength=len(rows))
        logits = denoise(self.tokens[rows].flatten(0, 1)[first].to(device)).detach()
        there = logits[torch.arange(len(first)), sites[owner[first]].to(logits.device)].cpu().double()
        return there[member].view(len(rows), -1, there.shape[-1])

    def weigh(self, rows: Int64[Tensor, "R"], sites: Int64[Tensor, "R"], log_factor: Float64[Tensor, "R N"]) -> None:
        """Multiply weights. A row in which no particle is left goes on with equal ones, and `impossible` says where."""
        after = self.log_weight[rows] + log_factor
        dead = (after == -torch.inf).all(1)
        new = dead & (self.impossible[rows] < 0)
        self.impossible[rows[new]] = sites[new]
        after[dead] = 0.0
        self.log_weight[rows] = after
        ess = (2 * after.logsumexp(1) - (2 * after).logsumexp(1)).exp()
        self.ess[rows] = torch.fmin(self.ess[rows], ess)

    def resample(self, rows: Int64[Tensor, "R"], uniforms: Float64[Tensor, "R"]) -> Int64[Tensor, "R N"]:
        """Where the effective number is below N / 2, particles are drawn anew by weight, and then weigh the same.

        Returns whom each particle of `rows` descends from.
        """
        weight = self.log_weight[rows]
        few = (2 * weight.logsumexp(1) - (2 * weight).logsumexp(1)).exp() < weight.shape[1] / 2
        ancestors = torch.arange(weight.shape[1]).repeat(len(rows), 1)
        if few.any():
            ancestors[few] = systematic(weight[few], uniforms[few])
            self.tokens[rows] = self.tokens[rows].gather(1, ancestors[..., None].expand_as(self.tokens[rows]))
            self.log_prob[rows] = self.log_prob[rows].gather(1, ancestors)
            self._state[rows] = self._state[rows].gather(1, ancestors)
            mean = log_mean(weight)[:, None].expand_as(weight)
            self.log_weight[rows] = torch.where(few[:, None], mean, weight)
        return ancestors

    def draw(
        self,
        rows: Int64[Tensor, "R"],
        sites: Int64[Tensor, "R"],
        log_mu: Float64[Tensor, "R N K"],
        uniforms: Float64[Tensor, "R N"],
    ) -> Int64[Tensor, "R N"]:
        """Fill one site of each row, in every particle."""
        drawn = categorical.values(log_mu.flatten(0, 1), uniforms.flatten()).view(uniforms.shape)
        self.tokens[rows, :, sites] = drawn.to(self.tokens.dtype)
        self.log_prob[rows] += log_mu.gather(2, drawn[..., None])[..., 0]
        states = self._state[rows] * log_mu.shape[-1] + drawn
        self._state[rows] = (torch.unique(states, return_inverse=True)[1] + self._state.max() + 1).view(states.shape)
        return drawn

    def choose(self, uniforms: Float64[Tensor, "B"]) -> Int64[Tensor, "B"]:
        """One particle of each row, by weight."""
        return categorical.values(torch.log_softmax(self.log_weight, 1), uniforms)

    def evidence(self) -> Float64[Tensor, "B"]:
        """log P_hat: the log of the mean weight; -inf where the evidence was impossible."""
        return log_mean(self.log_weight).masked_fill(self.impossible >= 0, -torch.inf)


def log_mean(log_weight: Float64[Tensor, "R N"]) -> Float64[Tensor, "R"]:
    """log of the mean of weights."""
    return log_weight.logsumexp(1) - torch.tensor(log_weight.shape[1], dtype=torch.float64).log()


def systematic(log_weight: Float64[Tensor, "R N"], uniforms: Float64[Tensor, "R"]) -> Int64[Tensor, "R N"]:
    """N draws by weight from one uniform: those at (uniform + n) / N of the cumulated weights.

    A particle of weight w comes floor(N w) or ceil(N w) times (Kitagawa 1996, doi:10.2307/1390750).

    >>> weights = torch.tensor([[0.5, 0.0, 0.25, 0.25]], dtype=torch.float64)
    >>> systematic(weights.log(), torch.tensor([0.5], dtype=torch.float64)).tolist()
    [[0, 0, 2, 3]]
    """
    below = torch.softmax(log_weight, 1).cumsum(1)
    total = below[:, -1:]
    points = (uniforms[:, None] + torch.arange(log_weight.shape[1])) / log_weight.shape[1] * total
    last = (below < total).sum(1, keepdim=True)
    return torch.searchsorted(below, points, right=True).minimum(last)
