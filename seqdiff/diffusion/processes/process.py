"""What every process is: how sequences are corrupted, what is learned from that, and what it says of a sequence."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Literal

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from seqdiff.config import Config
from seqdiff.data.batches import Batch
from seqdiff.diffusion.denoise import Denoise, TimeFree, takes_time
from seqdiff.diffusion.likelihood import Score, elbo
from seqdiff.diffusion.samplers import Ancestral, Sampler
from seqdiff.streams import Streams

VALIDATION_STRATA = 8
"""Passes of a row in validation; the rows' own spread dominates the error, so few are enough."""

IGNORED = -100
"""The target of what is not scored."""

Bound = Callable[..., Score]
"""`(tokens, scored, rng, *, batch_size) -> Score`."""


@dataclass(frozen=True)
class Loss:
    """Sums, so that micro-batches and processes add up; nats / count is nats a scored position."""

    nats: Float[Tensor, ""]
    """With gradient."""
    count: Float[Tensor, ""]
    """Sum of the position weights."""


class Process(Config, ABC):
    """A frozen value with a `kind`. It has no parameters; what it learns besides the network is kept with the network.

    What stands here is what holds of masked diffusion. `network` below is a network as it is trained (`Denoise`, told
    the time where it takes it), and says of itself what it learned and by which process it was trained
    (`denoise.learned`, `denoise.process_of`).
    """

    if TYPE_CHECKING:

        @property
        def kind(self) -> str: ...

    samplers: ClassVar[tuple[type[Sampler], ...]] = ()
    """Samplers that are of this process alone; their `of` is its kind."""

    @property
    def time(self) -> Literal["none", "optional", "needed"]:
        """Whether the network is told the time, 0 for clean and 1 for all noise."""
        return "none"

    @property
    def needs_hollow(self) -> bool:
        """Whether the network's output at a position must not depend on the letter there."""
        return False

    @property
    def needs_sight(self) -> bool:
        """Whether the network's output at a position must depend on the letter there."""
        return False

    @property
    def needs_left_to_right(self) -> bool:
        """Whether the network's output at a position must depend on the letters before it alone."""
        return False

    @property
    def needs_blocks(self) -> int | None:
        """The block length of a network that sees clean blocks before a noised one; None of any other."""
        return None

    @property
    def predicts_mask(self) -> bool:
        """Whether the network says how probable it is that a mask stays one: K + 1 logits."""
        return False

    @property
    def fills_masks(self) -> bool:
        """Whether the network guesses masked letters from those on both sides: what infilling, variants, mutants and
        most questions ask of it."""
        return True

    @property
    def bounds_likelihood(self) -> bool:
        """Whether the loss is, on average, an upper bound on -log p, or -log p itself."""
        return True

    @property
    def exact(self) -> bool:
        """Whether `bound` gives -log p itself, without an error."""
        return False

    @property
    def given(self) -> Literal["all", "left", "right", "earlier"]:
        """Which of the other letters `bound` gives a stretch of a row: all, or those before it in the row (`left`),
        after it (`right`), or earlier in an order of the process's own."""
        return "all"

    @property
    def reads_visible(self) -> bool:
        """Whether the network learns to answer at letters that it sees."""
        return False

    def learned(self, symbols: int) -> nn.Module | None:
        """What the process learns itself, freshly initialised; it is kept with the network."""
        return None

    @abstractmethod
    def loss(self, network: Denoise, batch: Batch, rng: Streams) -> Loss:
        """Nats and weight summed over the batch, with gradient. Masks and pads of the source are never scored or
        changed; letters of weight 0 are treated like all others, but not scored."""

    def ignorance(self, symbols: int) -> float:
        """Nats a letter that the loss of a fresh network is, which holds all letters alike: ln K of most processes."""
        return math.log(symbols)

    def time_at(self, share: Float[Tensor, "*B"]) -> Float[Tensor, "*B"]:
        """The time at which this share of the letters is masked on average."""
        return share

    def filling(self, network: Denoise) -> Denoise:
        """The network as samplers and likelihoods of masked diffusion ask it: logits of K symbols at masks, no time.

        Raises ValueError where it does not fill masks.
        """
        if not self.fills_masks:
            raise ValueError(f"process {self.kind!r} does not learn to fill masks")
        return TimeFree(network, self.time_at) if takes_time(network) or self.predicts_mask else network

    def bound(self, network: Denoise, *, strata: int, replicates: int) -> Bound:
        """What estimates -log p of rows, or the bound on it that the process optimises, from `replicates` independent
        repeats of `strata` passes. One replicate says no error."""
        return partial(elbo, self.filling(network), strata=strata, replicates=replicates)

    def row_sums(
        self, network: Denoise, tokens: Int[Tensor, "B L"], scored: Bool[Tensor, "B L"], rng: Streams
    ) -> tuple[Float[Tensor, "B"], Float[Tensor, "B"]]:
        """Nats of each row and the letters that they are of, for validation: of the bound, or of the loss where it is
        none. One stream a row."""
        bound = self.bound(network, strata=VALIDATION_STRATA, replicates=1)
        score = bound(tokens, scored, rng, batch_size=32)
        return score.nats.double(), score.positions.double()

    def sampler(self) -> Sampler:
        """What samples from it where nothing else is asked for."""
        return Ancestral()

    def logged(self, network: Denoise) -> dict[str, list[float]]:
        """What the process has learned, a number of each symbol, for the log of a run."""
        return {}
