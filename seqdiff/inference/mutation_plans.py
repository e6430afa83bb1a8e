"""Which letter is read in which context to score the substitutions of a mutant, by each of the methods."""

from itertools import permutations
from typing import Literal, NamedTuple

from seqdiff.diffusion.likelihood.ratio import all_orders, orders_of
from seqdiff.inference.landscape import Context, Landscape
from seqdiff.streams import Streams

Method = Literal["wt-marginal", "masked-marginal", "masked-marginal-single", "chain", "elbo"]

Sites = tuple[tuple[int, int], ...]
"""(place, token) of the letters that a mutant has at places of the row where the wild type has others."""


class Term(NamedTuple):
    """A letter that is read at a place in a context; its log mu counts so many times."""

    context: Context
    place: int
    token: int
    sign: int


class Plan(NamedTuple):
    """The terms of each order, whose mean is taken."""

    orders: list[list[Term]]
    drawn: bool
    """Whether the orders are some of more, so that the mean has an error."""


class Planner:
    """Plans for the mutants of one wild type: those of the same sites share their contexts."""

    def __init__(self, landscape: Landscape, mask: int, hollow: bool, orders: int, seed: int):
        self.landscape, self.mask, self.hollow, self.orders, self.seed = landscape, mask, hollow, orders, seed

    def groups(self, sites: Sites) -> list[Sites]:
        """Sites that are read in one window: all of them where the protein fits, else within half a context."""
        if self.landscape.width == len(self.landscape.tokens):
            return [sites]
        groups: list[list[tuple[int, int]]] = []
        for site in sites:
            if groups and site[0] - groups[-1][0][0] < max(1, self.landscape.width // 2):
                groups[-1].append(site)
            else:
                groups.append([site])
        return [tuple(group) for group in groups]

    def plan(self, method: Method, sites: Sites) -> Plan:
        """What is read for the sites of one window."""
        letters, around = self.landscape.letters, self.landscape.around
        if method == "chain" and len(sites) > 1:
            return self._chain(sites)
        start = around(sites[0][0], sites[-1][0])
        terms = []
        for place, token in sites:
            if method == "wt-marginal" or (self.hollow and (method == "masked-marginal-single" or len(sites) == 1)):
                context = Context(self.landscape.tile(place))  # it leaves the letter out by itself
            elif method == "masked-marginal-single":
                context = Context(around(place, place), ((place, self.mask),))
            else:
                context = Context(start, tuple((each, self.mask) for each, _ in sites))
            terms += [Term(context, place, token, 1), Term(context, place, letters[place], -1)]
        return Plan([terms], False)

    def _chain(self, sites: Sites) -> Plan:
        """The chain rule over sites of one window, in orders that all mutants of these sites share."""
        letters, alternate = self.landscape.letters, dict(sites)
        places = sorted(alternate)
        start = self.landscape.around(places[0], places[-1])
        orders = []
        for order in self._orders(places):
            terms = []
            for step, place in enumerate(order):
                for sign in (1, -1):
                    seen = {site: alternate[site] if sign > 0 else letters[site] for site in order[:step]}
                    hidden = dict.fromkeys(order[step:], self.mask)
                    if self.hollow and len(order) == 2:
                        hidden[place] = letters[place]  # so that the context is one of many pairs
                    elif self.hollow and (step + len(order)) % 2 == 0:
                        hidden[place] = alternate[place] if sign > 0 else letters[place]  # it serves the next step
                    here = seen | hidden
                    changed = tuple((site, here[site]) for site in places if here[site] != letters[site])
                    token = alternate[place] if sign > 0 else letters[place]
                    terms.append(Term(Context(start, changed), place, token, sign))
            orders.append(terms)
        return Plan(orders, not all_orders(len(places), self.orders))

    def _orders(self, places: list[int]) -> list[tuple[int, ...]]:
        """Orders of sites that depend on these alone."""
        if all_orders(len(places), self.orders):
            return list(permutations(places))
        return orders_of(places, Streams.of(self.seed, [("orders", *places)]), self.orders)
