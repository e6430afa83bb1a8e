"""Scores of mutants that know nothing of context: BLOSUM62, and the site-independent profile of a family."""

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float64

from seqdiff.data.mutations import Mutant, Protein
from seqdiff.errors import DataError
from seqdiff.inference.columns import columns_of

log = logging.getLogger("seqdiff")

BLOSUM, PROFILE = "BLOSUM62", "site-independent"


def rivals(mutants: list[Mutant], protein: Protein, model: Any, data: Any) -> dict[str, Float64[np.ndarray, "N"]]:
    """Scores that know nothing of context, NaN for mutants that they cannot score."""
    from Bio.Align import substitution_matrices

    blosum = substitution_matrices.load("BLOSUM62")
    found = {BLOSUM: _summed(mutants, lambda place, a, b: blosum[a][b] - blosum[a][a])}
    if query := model.facts.get("query"):
        profile = _profile(model, data)
        if profile is not None:
            place = columns_of(protein, query, model.alphabet).place
            number = {letter: i for i, letter in enumerate(model.alphabet.symbols)}
            found[PROFILE] = _summed(
                mutants, lambda i, a, b: float(profile[place[i], number[b]] - profile[place[i], number[a]])
            )
    return found


def _summed(mutants: list[Mutant], cost: Callable[[int, str, str], float]) -> Float64[np.ndarray, "N"]:
    """Over the substitutions of each mutant: of the residue's place, the letter before and the letter after."""
    return np.array(
        [
            sum(
                cost(change.start + i, chr(before), chr(after))
                for change in mutant.changes
                for i, (before, after) in enumerate(zip(change.ref, change.alt, strict=True))
                if before != after
            )
            if mutant.same_length
            else np.nan
            for mutant in mutants
        ],
        np.float64,
    )


def _profile(model: Any, data: Any) -> Float64[np.ndarray, "L K"] | None:
    """The log frequencies of the columns of the alignment that a family model was trained on, if it is at hand."""
    try:
        opened = data if data is not None else model.recipe.data.open()
    except DataError as error:
        log.info("without the %s rival, for which the alignment is needed: %s", PROFILE, error)
        return None
    if opened.checksum != model.provenance.data_checksum:
        log.info("without the %s rival: %s is not the alignment that was trained on", PROFILE, opened.source)
        return None
    return np.log(opened.profile())
