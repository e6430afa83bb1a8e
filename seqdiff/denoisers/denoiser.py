"""What every network is: a function from tokens to logits over the K real symbols."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Self

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from seqdiff.config import Config
from seqdiff.errors import ConfigError


class Network(Config):
    """Settings of a network, and what may be asked of it. A member has a `kind` and `build(symbols, context) ->
    Denoiser`; only a network with weights by position needs the context, the length of its longest row."""

    if TYPE_CHECKING:

        @property
        def kind(self) -> str: ...

    def resolved(self, context: int) -> Self:
        """The same settings with what the context of the data says filled in: a run keeps what its weights are for."""
        return self

    @property
    def takes_time(self) -> bool:
        """Whether the network is told the time."""
        return False

    @property
    def takes_labels(self) -> bool:
        """Whether rows may be told to be of a class."""
        return True

    @property
    def gives_mask_logit(self) -> bool:
        """Whether the mask can be given a logit too, which takes a head of its own."""
        return not getattr(self, "tie_embedding", False)

    @property
    def blocks(self) -> int | None:
        """The length of the blocks of a network that sees clean blocks before a noised one; None of any other."""
        return None

    @property
    def equivariant(self) -> bool:
        """Whether the reverse complement of a sequence gets the reverse complement of its logits, exactly."""
        return False

    @property
    def hollow(self) -> bool:
        """Whether the logits at a position never depend on the letter there, visible or not."""
        return self.left_to_right

    @property
    def left_to_right(self) -> bool:
        """Whether the logits at a position depend on the letters before it alone, which a setting `causal` asks for."""
        return False


class Denoiser(nn.Module, ABC):
    """Tokens in, logits over the symbols out; a network says in `trunk` what happens between.

    Input ids: 0..K-1 symbols, K mask, K+1 pad. Only the K symbols have logits, so a mask or a pad cannot
    be predicted. Pads and the other rows of a batch never change the logits of a real position; what comes
    out at pads means nothing. The head starts at zero: the first loss is ln K a symbol, exactly.
    """

    takes_time = False
    hollow = False
    left_to_right = False
    """Whether the logits at a position depend on the letters before it alone. Its trunk is given each position as the
    letter before, and a state of its own to begin with: what it makes of a position may depend on all up to there."""
    equivariant = False
    """Whether, outside training, the reverse complement of a sequence gets the reverse complement of its logits."""
    reach: int | None = None
    """How many positions to each side can change a prediction; None: all."""
    labels = 0
    """How many classes a row may be told to be of; 0: it takes no labels."""
    pads_leave_no_trace = False
    """Whether pads do not even change how what stands before them is rounded, on a CPU under `alone.Alone`."""
    columns: int | None = None
    """The one length of sequence that a network with weights by position is for; None: any."""
    activation_checkpointing = False
    """Of each layer only the input is kept for the backward pass, which computes the layer again (Chen et al. 2016,
    arXiv:1604.06174). It changes memory and time, no result."""

    def __init__(
        self,
        symbols: int,
        width: int,
        *,
        tie_embedding: bool = False,
        left_to_right: bool = False,
        columns: int | None = None,
    ):
        super().__init__()
        self.symbols = symbols
        self.embedding_width = width
        self.learned: nn.Module | None = None
        """What the process learns besides the network (`attach`)."""
        self.embedding = nn.Embedding(symbols + 2, width)
        if left_to_right:
            self.left_to_right = self.hollow = True
            self.begin_embedding = nn.Embedding(1, width)
        if columns is not None:
            self.columns = columns
            self.position_embedding = nn.Embedding(columns, width)
        self.head = None if tie_embedding else Head(width, symbols)

    def attach(self, *, learned: nn.Module | None = None, labels: int = 0, mask_logit: bool = False) -> Self:
        """Give the network what its recipe asks for besides: a place for what the process learns, labels of so many
        classes, or a logit for the mask after those of the symbols. Fresh weights of these are zeros, so the function
        is the same until they are trained. Returns the network."""
        self.learned = learned
        if labels:
            self.labels = labels
            self.label_embedding = nn.Embedding(labels + 1, self.embedding_width)
            nn.init.zeros_(self.label_embedding.weight)
        if mask_logit:
            if self.head is None:
                raise ConfigError("a network with tied embeddings has no logit for the mask: untie them")
            self.head = Head(self.head.weight.shape[1], self.symbols + 1)
        return self

    @property
    def pad(self) -> int:
        """The input id of a place past the end."""
        return self.symbols + 1

    def hidden(
        self,
        tokens: Int[Tensor, "B L"],
        time: Float[Tensor, "B"] | None = None,
        labels: Int[Tensor, "B"] | None = None,
    ) -> Float[Tensor, "B L D"]:
        """What the network knows of each position, before the head. Without `labels` the rows of a network that takes
        them are of no class that it is told.

        Raises ValueError when time is given to a network without, or missing where it is needed; labels likewise.
        """
        self.check_time(time)
        label = self.label_of(labels, len(tokens), tokens.device)
        if not self.left_to_right:
            h = self.placed(self.embedding(tokens))
            return self.trunk(h if label is None else h + label, tokens != self.pad, time)
        # Rows that start with pads are turned around to end with them: there they have no way to a letter.
        length = tokens.shape[1]
        before = (tokens == self.pad).cumprod(1).sum(1, keepdim=True)
        place = torch.arange(length, device=tokens.device)
        tokens = tokens.take_along_dim((place + before) % max(1, length), 1)
        begin = self.begin_embedding.weight.expand(len(tokens), -1, -1)[:, :length]
        h = torch.cat([begin, self.embedding(tokens)[:, :-1]], 1)
        h = self.placed(h)
        h = self.trunk(h if label is None else h + label, tokens != self.pad, time)
        return h.take_along_dim(((place - before) % max(1, length)).unsqueeze(-1), 1)

    def check_time(self, time: Float[Tensor, "B"] | None) -> None:
        """Raises ValueError when time is given to a network without, or missing where it is needed."""
        if (time is not None) != self.takes_time:
            name = type(self).__name__
            raise ValueError(
                f"{name} needs the time of each row" if self.takes_time else f"{name} takes no time, but was given one"
            )

    def label_of(
        self, labels: Int[Tensor, "B"] | None, rows: int, device: torch.device
    ) -> Float[Tensor, "B 1 D"] | None:
        """The learned vector of each row's class, which is added to all of its letters; None of a network without."""
        if not self.labels:
            if labels is not None:
                raise ValueError(f"{type(self).__name__} takes no labels, but was given some")
            return None
        if labels is None:
            labels = torch.full((rows,), self.labels, device=device)
        return self.label_embedding(labels).unsqueeze(1)

    def placed(self, h: Float[Tensor, "B L D"], first: int = 0) -> Float[Tensor, "B L D"]:
        """With the learned vector of each column added, where there is one, from the first column of a row on."""
        if not hasattr(self, "position_embedding"):
            return h
        end = first + h.shape[1]
        if end > self.columns:
            raise ValueError(f"this network is for rows of {self.columns:,} columns, not of {end:,}")
        return h + self.position_embedding.weight[first:end]

    def through(self, layer: nn.Module, *inputs: Any) -> Any:
        """What the layer makes of its inputs; a trunk calls each of its layers so."""
        if self.activation_checkpointing and torch.is_grad_enabled():
            return checkpoint(layer, *inputs, use_reentrant=False)
        return layer(*inputs)

    def precisions(self) -> Iterator[tuple[nn.Parameter, float]]:
        """Parameters that have a normal prior around 0, with its precision: precision / 2 times the sum of squares is
        what they cost in nats, once for all of the training data. None here."""
        yield from ()

    def step(
        self, h: Float[Tensor, "B n D"], place: int, memories: Mapping[int, Any], time: Float[Tensor, "B"] | None
    ) -> Float[Tensor, "B n D"]:
        """The trunk of a left-to-right network at n positions from `place` on, with a `reader.Memory` of the positions
        before for each of its layers by number."""
        raise NotImplementedError(f"{type(self).__name__} does not read left to right")

    def unstranded(self, hidden: Float[Tensor, "B L D"]) -> Float[Tensor, "B L D"]:
        """Hidden states of an equivariant network without their strand: the reverse complement of a sequence has the
        same, in reverse order."""
        return hidden

    @abstractmethod
    def trunk(
        self, h: Float[Tensor, "B L D"], present: Bool[Tensor, "B L"], time: Float[Tensor, "B"] | None
    ) -> Float[Tensor, "B L D"]:
        """From embedded tokens to hidden states; `present` is false at pads."""

    def logits(self, hidden: Float[Tensor, "B L D"]) -> Float[Tensor, "B L K"]:
        """The head, whatever the autocast in float32 (float64 in a float64 network)."""
        if self.head is not None:
            return self.head(hidden)
        return linear_in_full(hidden, self.embedding.weight[: self.symbols])

    def forward(
        self,
        tokens: Int[Tensor, "B L"],
        time: Float[Tensor, "B"] | None = None,
        labels: Int[Tensor, "B"] | None = None,
    ) -> Float[Tensor, "B L K"]:
        """Logits of the symbols at every position, masked or not; after them one for the mask, where it is attached."""
        return self.logits(self.hidden(tokens, time, labels))


def columns_of(context: int | None, kind: str) -> int:
    """The columns of a network with weights by position. Raises ConfigError where nothing says how many there are."""
    if context is None:
        raise ConfigError(f"this {kind!r} network has weights for every column: data.context says how many there are")
    return context


class Head(nn.Module):
    """A linear map to logits that starts at zero."""

    def __init__(self, width: int, symbols: int):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(symbols, width))

    def forward(self, hidden: Float[Tensor, "B L D"]) -> Float[Tensor, "B L K"]:
        return linear_in_full(hidden, self.weight)


def linear_in_full(x: Float[Tensor, "*B D"], weight: Float[Tensor, "K D"]) -> Float[Tensor, "*B K"]:
    """x times the transposed weight, in float32 at least, also under autocast."""
    dtype = torch.promote_types(weight.dtype, torch.float32)
    with torch.autocast(x.device.type, enabled=False):
        return F.linear(x.to(dtype), weight.to(dtype))
