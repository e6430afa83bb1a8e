"""What a model is, whatever it is asked: the network with its alphabet, context and recipe, told a class, or guided."""

import copy
import difflib
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property, partial
from typing import Any, Self

import torch

from seqdiff.alphabet import Alphabet
from seqdiff.checkpoint import Provenance
from seqdiff.data.fasta import Record, accepted
from seqdiff.data.source import bytes_of, name_of, shown
from seqdiff.denoisers import Denoiser
from seqdiff.diffusion.denoise import Denoise
from seqdiff.diffusion.guidance import Guided
from seqdiff.diffusion.labels import Labelled
from seqdiff.diffusion.likelihood import Elbo
from seqdiff.diffusion.processes import Bound
from seqdiff.diffusion.samplers import Ancestral, Sampler
from seqdiff.errors import DataError, UsageError
from seqdiff.inference.frozen import Frozen
from seqdiff.inference.lengths import Lengths
from seqdiff.recipe import Recipe


class Trained:
    """What the verbs of a `Model` have in common."""

    def __init__(self, denoiser: Denoiser, recipe: Recipe, provenance: Provenance, device: torch.device):
        self.frozen = Frozen(denoiser, device, recipe.process)
        self.denoiser: Denoise = self.frozen
        """The network as it was trained: what samplers and bounds of its own process ask."""
        self.recipe, self.provenance, self.device = recipe, provenance, device
        assert recipe.data.context is not None, "of a recipe that is resolved"
        self._context: int = recipe.data.context
        self.is_guided = False
        self.batch_tokens = 16_384 if device.type == "cpu" else 262_144

    def __repr__(self) -> str:
        numbers = sum(weights.numel() for weights in self.frozen.network.parameters())
        return (
            f"<seqdiff.Model {self.recipe.name}: {self.alphabet.name}, context {self.context:,}, "
            f"{numbers:,} parameters, on {self.device}>"
        )

    @cached_property
    def denoise(self) -> Denoise:
        """The network as one that fills masks, which is what most verbs ask.

        Raises UsageError for a model of a process that does not learn to.
        """
        if not self.fills_masks:
            raise UsageError(
                f"{self.recipe.name} was trained by process {self.recipe.process.kind}, which does not learn to fill "
                "masks from both sides, and this asks for it; it can be sampled, and sequences can be scored"
            )
        return self.recipe.process.filling(self.denoiser)

    @property
    def alphabet(self) -> Alphabet:
        return self.recipe.data.alphabet

    @property
    def context(self) -> int:
        """The longest piece of a sequence the network looks at, in letters."""
        return self._context

    @property
    def facts(self) -> Mapping[str, Any]:
        """What its training data say to its users: `lengths`, `query` (`seqdiff.modalities.opened.Opened.facts`)."""
        return self.provenance.facts

    @property
    def lengths(self) -> Lengths | None:
        """How long the training sequences were; None for a model of windows."""
        return Lengths.of(self.facts)

    @property
    def columns(self) -> int | None:
        """The one length of all sequences of a family; None of other models."""
        query = self.facts.get("query")
        return len(query["sequence"]) if query else None

    @property
    def fills_masks(self) -> bool:
        """Whether it fills masks, as infilling and most else asks (`denoise`)."""
        return self.recipe.process.fills_masks

    @property
    def exact(self) -> bool:
        """Whether `bound` gives -log p itself."""
        return self.recipe.process.exact

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes that a sequence can be told to be of; none of most models."""
        return self.recipe.data.labels

    def labelled(self, label: str) -> Self:
        """This model told that every sequence is of one class. Raises UsageError for a class that it does not know."""
        if not self.labels:
            raise UsageError(f"label {label}: {self.recipe.name} was trained without classes")
        if label not in self.labels:
            near = difflib.get_close_matches(label, self.labels, n=1)
            some = ", ".join(self.labels[:10]) + (", ..." if len(self.labels) > 10 else "")
            hint = f"did you mean {near[0]!r}?" if near else f"there are {some}"
            raise UsageError(f"label {label}: {self.recipe.name} knows no such class; {hint}")
        told = copy.copy(self)
        vars(told).pop("denoise", None)
        told.denoiser = Labelled(self.frozen, self.labels.index(label))
        return told

    def told(self, label: str | None, guidance: float | None = None, unconditional: "Trained | None" = None) -> Self:
        """This model told a class, leaning away by `guidance` from itself not told, or from an `unconditional` one; as
        it is where neither is asked for. See `labelled` and `guided`."""
        if unconditional is not None and guidance is None:
            raise UsageError("unconditional: it is what guidance leans away from, so give guidance as well")
        if guidance is not None and unconditional is None and label is None:
            raise UsageError("guidance: give a label, or the other model as unconditional")
        model = self if label is None else self.labelled(label)
        return model if guidance is None else model.guided(unconditional or self, guidance)

    def guided(self, unconditional: "Trained", weight: float) -> Self:
        """This model, leaning away from another of its alphabet: classifier-free guidance (`diffusion.guidance`).

        A model told a class leans away from itself when not told: `model.labelled("7").guided(model, 2.0)`.
        It looks at no more than the smaller of both contexts. Raises UsageError for two alphabets, a weight below 0,
        and two processes of which one does not fill masks.
        """
        if unconditional.alphabet != self.alphabet:
            raise UsageError(
                f"guidance needs two models of one alphabet, not of {self.alphabet.name} and "
                f"{unconditional.alphabet.name}"
            )
        fills = self.fills_masks and unconditional.fills_masks
        own, other = (model.recipe.process.kind for model in (self, unconditional))
        if not fills and own != other:
            raise UsageError(f"guidance needs two models that fill masks, or two of one process, not {own} and {other}")
        both = copy.copy(self)
        vars(both).pop("denoise", None)
        try:
            both.denoiser = Guided(self.denoiser, unconditional.denoiser, weight)
            if fills:
                both.denoise = Guided(self.denoise, unconditional.denoise, weight)
        except ValueError as error:
            raise UsageError(str(error)) from error
        both.is_guided = True
        both._context = min(self.context, unconditional.context)
        return both

    def sampler(self) -> Sampler:
        """What samples where nothing else is asked for: the sampler of its process, or of a guided model's masks."""
        return Ancestral() if self.is_guided and self.fills_masks else self.recipe.process.sampler()

    def asked_by(self, sampler: Sampler) -> Denoise:
        """What a sampler is given: one of a process alone gets the network as it was trained, and that process's only.

        Raises UsageError for the sampler of another process.
        """
        if sampler.of is None:
            return self.denoise
        if sampler.of != self.recipe.process.kind:
            raise UsageError(
                f"the sampler {sampler.kind} is of process {sampler.of}, and {self.recipe.name} was trained by "
                f"{self.recipe.process.kind}"
            )
        if self.is_guided and not sampler.guides:
            cure = ": give --sampler of one that fills masks" if self.fills_masks else ""
            raise UsageError(f"the sampler {sampler.kind} takes no guidance{cure}")
        return self.denoiser

    def bound(self, *, strata: int = 16, replicates: int = 4) -> Bound:
        """What estimates -log p of rows of tokens, or the bound on it, from `replicates` repeats of `strata` passes."""
        if self.is_guided:
            return partial(Elbo(strata=strata, replicates=replicates), self.denoise)
        return self.recipe.process.bound(self.denoiser, strata=strata, replicates=replicates)

    def checked(self, records: Iterable[Record], source: str) -> Iterator[Record]:
        for record in records:
            record = accepted(record, self.alphabet, source)
            if self.columns not in (None, len(record.sequence)):
                raise DataError(
                    f"{name_of(source)}: record {shown(bytes_of(record.name))} has {len(record.sequence):,} columns, "
                    f"and the family of {self.facts['query']['name']} has {self.columns:,}: give it aligned to the "
                    "query, without insertions and with '-' for gaps, as `mafft --add FILE --keeplength` makes it"
                )
            yield record
            del record  # before the next is read: they may be chromosomes
