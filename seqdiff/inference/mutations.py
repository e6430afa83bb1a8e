"""How much more probable a protein is with mutations than without: log p(mutant) - log p(wild type), nats.

    mutants -> plans: which letter is read in which context -> contexts, asked for once (`landscape.py`) -> effects

One substitution: its masked marginal, exact for a network whose conditionals agree (math.md 6.5). Several: the chain
rule over their sites given the rest, averaged over orders. What changes the length: the difference of the bounds of
both whole sequences, through masks that are common to all mutants, with a standard error.

A protein longer than the context is read in windows around the sites. Sites that no window could hold with half of it
left to look at are read in windows of their own, and what they contribute is added.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Annotated, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Integer
from pydantic import Field, field_validator

from seqdiff.alphabet import Alphabet
from seqdiff.config import Config
from seqdiff.data.mutations import Mutant, Reason
from seqdiff.diffusion.denoise import Denoise, is_hollow
from seqdiff.diffusion.likelihood.alternates import alternates
from seqdiff.diffusion.likelihood.score import stratified
from seqdiff.errors import UsageError
from seqdiff.inference.landscape import Landscape
from seqdiff.inference.mutation_plans import Method, Plan, Planner, Sites
from seqdiff.streams import Streams

AT_ONCE = 1 << 14
"""Mutants that are planned together, ..."""
GAP = "-"
CONTEXTS_AT_ONCE = 1 << 15
"""... unless they have more contexts than so many."""
BOUNDS_AT_ONCE = 64
"""Mutants whose bounds are drawn together: the wild type's is drawn again for each such group."""
REPLICATES = 4
"""Independent repeats of the masks of a bound; its standard error is their spread."""

METHODS = ("auto", "wt-marginal", "masked-marginal", "masked-marginal-single", "chain", "elbo")


class MutationScorer(Config):
    """By which method mutants are scored, and how much is drawn for it."""

    method: Literal["auto", "wt-marginal", "masked-marginal", "masked-marginal-single", "chain", "elbo"] = "auto"
    """`wt-marginal`: every site as the network answers with the wild type in full view, which a network has only
    learned if it leaves each letter out by itself, or was trained by masked language modelling. `masked-marginal`: all
    sites of a mutant hidden at once. `masked-marginal-single`: each hidden alone; the sum over sites. `chain`: the
    chain rule over the sites. `elbo`: the difference of two bounds, for insertions and deletions as well. `auto`:
    `masked-marginal` for one substitution, `chain` for several, `elbo` for the rest."""
    orders: Annotated[int, Field(ge=2)] = 4
    """Random orders of the chain rule."""
    draws: Annotated[int, Field(ge=2 * REPLICATES)] = 32
    """Random masks of a bound."""

    @field_validator("draws")
    @classmethod
    def _whole_replicates(cls, draws: int) -> int:
        if draws % REPLICATES:
            raise ValueError(f"a multiple of {REPLICATES}, like {draws - draws % REPLICATES}")
        return draws


class MutationEffect(NamedTuple):
    """log p(mutant) - log p(wild type) in nats, with its standard error, or the reason why there is none."""

    llr: float | None = None
    se: float | None = None
    """Of what was drawn: masks, or orders of the chain rule. 0 where nothing was."""
    method: Method | None = None
    """None for the wild type itself, whose llr is 0."""
    per_residue: float | None = None
    """log p(mutant) / its length - log p(wild type) / its length, nats: of one length this is llr / length. Of a
    protein longer than the context, what lies outside the window of a change of length is taken to cost as much a
    residue as what is in it."""
    reason: Reason | None = None


class MutantScorer:
    """Scores mutants of one wild type; results do not depend on which others they are scored with.

    `tokens` is the row that the network sees: the protein, or the columns of its family. `place` says where in it each
    residue stands, -1 for those that have no column; by default the row is the protein. `reads_visible`: the network
    has learned to answer at letters that it sees. Raises UsageError for a wt-marginal of one that has not.
    """

    def __init__(
        self,
        denoise: Denoise,
        tokens: Integer[np.ndarray, " L"],
        alphabet: Alphabet,
        context: int,
        settings: MutationScorer | None = None,
        *,
        place: Integer[np.ndarray, " R"] | None = None,
        reads_visible: bool = False,
        seed: int = 0,
        batch_tokens: int = 16_384,
    ):
        self.settings, self.alphabet, self.seed = settings or MutationScorer(), alphabet, seed
        self.landscape = Landscape(denoise, tokens, context, batch_tokens)
        hollow = is_hollow(denoise)
        self.planner = Planner(self.landscape, alphabet.mask, hollow, self.settings.orders, seed)
        place, self.in_columns = np.arange(len(tokens)) if place is None else place, place is not None
        self.residues = max(1, int((tokens[place[place >= 0]] < alphabet.size).sum()))
        self.place: list[int] = place.tolist()
        self.far_apart = 0
        """Mutants whose sites were read in several windows."""
        if self.settings.method == "wt-marginal" and not (hollow or reads_visible):
            raise UsageError(
                "wt-marginal reads the network at letters that it sees, where masked diffusion never taught it to "
                "answer: use masked-marginal (a pass a site), or a network that is hollow or was trained with "
                "process.kind: mlm"
            )

    def effects(
        self, mutants: "Iterable[Mutant | Reason]", *, progress: Callable[[float], None] | None = None
    ) -> Iterator[MutationEffect]:
        """Effects in the order of the mutants; reasons are passed on. `progress` gets the number that is new, or what
        of one is done."""
        progress = progress or (lambda done: None)
        mutants = iter(mutants)
        while some := list(islice(mutants, AT_ONCE)):
            found: dict[Mutant, MutationEffect] = {}
            changed: dict[str, dict[Mutant, Sites]] = {}
            for mutant in some:
                if isinstance(mutant, str) or mutant in found:
                    continue
                effect, sites, method = self._sorted(mutant)
                if effect is None:
                    changed.setdefault(method, {})[mutant] = sites
                else:
                    found[mutant] = effect
            different = sum(map(len, changed.values()))
            progress(float(len(some) - different))
            for method, each in changed.items():
                if method == "elbo":
                    found |= self._bounds(each, progress)
                else:
                    found |= self._marginals(method, each, progress)
            yield from (MutationEffect(reason=one) if isinstance(one, str) else found[one] for one in some)
            self.landscape.forget()

    def _sorted(self, mutant: Mutant) -> tuple[MutationEffect | None, Sites, str]:
        """The effect of a mutant if it is known without the network, else its sites and its method."""
        chosen = self.settings.method
        if not mutant.changes:
            return MutationEffect(0.0, 0.0, None, 0.0), (), ""
        alternates = [change.alt for change in mutant.changes]
        if self.in_columns and GAP in self.alphabet.symbols:  # what is left out of a family is a gap in its column
            alternates = [change.alt or GAP.encode() * len(change.ref) for change in mutant.changes]
        if any(len(alt) != len(change.ref) for alt, change in zip(alternates, mutant.changes, strict=True)):
            if self.in_columns:
                return MutationEffect(reason="indel"), (), ""
            return (None, (), "elbo") if chosen in ("auto", "elbo") else (MutationEffect(reason="other_method"), (), "")
        letters = self.alphabet.encode(b"".join(alternates)).tolist()
        places = [self.place[i] for change in mutant.changes for i in range(change.start, change.end)]
        if min(places) < 0:
            return MutationEffect(reason="outside_the_alignment"), (), ""
        tokens = self.landscape.letters
        if any(tokens[place] >= self.alphabet.mask for place in places):
            return MutationEffect(reason="unknown_reference"), (), ""
        sites = tuple((place, token) for place, token in zip(places, letters, strict=True) if tokens[place] != token)
        if chosen == "auto":
            chosen = "masked-marginal" if len(sites) == 1 else "chain"
        return None, sites, chosen

    def _marginals(
        self, method: Method, mutants: dict[Mutant, Sites], progress: Callable[[float], None]
    ) -> dict[Mutant, MutationEffect]:
        """By the answers of the network at single letters, some contexts at a time."""
        found: dict[Mutant, MutationEffect] = {}
        planned: dict[Mutant, list[Plan]] = {}
        contexts = 0
        for number, (mutant, sites) in enumerate(mutants.items(), 1):
            groups = self.planner.groups(sites)
            self.far_apart += len(groups) > 1
            planned[mutant] = [self.planner.plan(method, group) for group in groups]
            contexts += sum(len(order) for plan in planned[mutant] for order in plan.orders)
            if contexts < CONTEXTS_AT_ONCE and number < len(mutants):
                continue
            terms = (term for plans in planned.values() for plan in plans for order in plan.orders for term in order)
            wanted = ((term.context, term.place) for term in terms)
            self.landscape.ask(wanted, lambda share, of=len(planned): progress(share * of))
            found |= {mutant: self._effect(method, plans) for mutant, plans in planned.items()}
            planned.clear()
            contexts = 0
        return found

    def _effect(self, method: Method, plans: Sequence[Plan]) -> MutationEffect:
        log_mu = self.landscape.log_mu
        nats, variance = 0.0, 0.0
        for plan in plans:
            of_orders = [
                math.fsum(sign * log_mu(context, place)[token] for context, place, token, sign in order)
                for order in plan.orders
            ]
            mean, se, _ = stratified([[one] for one in of_orders], [1.0])
            nats += mean
            variance += se**2 if plan.drawn else 0.0
        return MutationEffect(nats, math.sqrt(variance), method, nats / self.residues)

    def _bounds(self, mutants: dict[Mutant, Sites], progress: Callable[[float], None]) -> dict[Mutant, MutationEffect]:
        """By the bounds of the wild type and of each mutant, whole or in a window around what changes."""
        found: dict[Mutant, MutationEffect] = {}
        windows: dict[tuple[int, int], dict[Mutant, torch.Tensor]] = {}
        for mutant, sites in mutants.items():
            if (window := self._stretch(mutant)) is None:
                found[mutant] = MutationEffect(reason="too_long")
            else:
                windows.setdefault(window, {})[mutant] = self._changed(mutant, sites, *window)
        progress(float(len(found)))
        for window, each in sorted(windows.items()):
            in_order = sorted(each, key=lambda mutant: len(each[mutant]))
            for first in range(0, len(in_order), BOUNDS_AT_ONCE):
                some = in_order[first : first + BOUNDS_AT_ONCE]
                found |= self._differences(some, [each[mutant] for mutant in some], *window)
                progress(float(len(some)))
        return found

    def _differences(
        self, mutants: list[Mutant], tokens: list[torch.Tensor], start: int, end: int
    ) -> dict[Mutant, MutationEffect]:
        """The bounds of mutants less that of the wild type, through masks that do not depend on which mutants."""
        rng = Streams.of(self.seed, [("bound", start, end), *(("bound", *mutant.changes) for mutant in mutants)])
        differences = alternates(
            self.landscape.denoise, self.landscape.tokens[start:end], tokens, rng,
            strata=self.settings.draws // REPLICATES, replicates=REPLICATES, batch_size=self.landscape.batch,
        )  # fmt: skip
        self.landscape.passes += differences.calls
        found = {}
        for mutant, *values in zip(mutants, *(values.tolist() for values in differences[:3]), strict=True):
            nats, per_letter, se = values
            grown = sum(len(change.alt) - len(change.ref) for change in mutant.changes)
            inside = (end - start + grown) / max(1, len(self.landscape.tokens) + grown)
            per_residue = nats / self.residues if self.in_columns else per_letter * inside
            found[mutant] = MutationEffect(nats, se, "elbo", per_residue)
        return found

    def _stretch(self, mutant: Mutant) -> tuple[int, int] | None:
        """What of the row is compared: all that fits the context with the mutant's, or a window around its changes."""
        length, context = len(self.landscape.tokens), self.landscape.context
        grown = sum(len(change.alt) - len(change.ref) for change in mutant.changes)
        if length + max(0, grown) <= context:
            return 0, length
        begin, end = mutant.changes[0].start, mutant.changes[-1].end
        width = context - max(0, grown)
        if self.in_columns:
            return 0, length
        if end - begin + max(0, grown) > context // 2:
            return None
        start = min(max(0, (begin + end) // 2 - width // 2), max(0, length - width))
        return start, min(length, start + width)

    def _changed(self, mutant: Mutant, sites: Sites, start: int, end: int) -> torch.Tensor:
        """The mutant's letters in place of the wild type's from `start` to `end`."""
        tokens = self.landscape.tokens
        if mutant.same_length or self.in_columns:
            changed = tokens.clone()
            for place, token in sites:
                changed[place] = token
            return changed[start:end]
        parts, at = [], start
        for change in mutant.changes:
            parts += [tokens[at : change.start], torch.from_numpy(self.alphabet.encode(change.alt)).long()]
            at = change.end
        return torch.cat([*parts, tokens[at:end]])
