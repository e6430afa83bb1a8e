"""Models of proteins whose right answers are known, made without training."""

import torch
from oracles import Constant

from seqdiff import recipe
from seqdiff.alphabet import ALIGNED, PROTEIN
from seqdiff.checkpoint import Provenance
from seqdiff.model import Model


def protein_model(denoise=None, context=64, facts=None, alphabet=PROTEIN, settings=()):
    """A model of a fresh small network, or of any `denoise`."""
    data = recipe.load("protein-demo", [f"data.context={context}", "denoiser.width=8", "denoiser.depth=1", *settings])
    provenance = Provenance(alphabet.name, context, "nothing", "", 0, facts=facts or {})
    model = Model(data.network(), data, provenance, torch.device("cpu"))
    if denoise is not None:
        model.denoise = denoise
    return model


def constant(alphabet=PROTEIN):
    """A network that gives letter i a share that grows with i, whatever the context, and these shares."""
    shares = torch.arange(1, alphabet.size + 1, dtype=torch.float64)
    network = Constant(shares / shares.sum())
    network.hollow = True
    return network, dict(zip(alphabet.symbols, (shares / shares.sum()).log().tolist(), strict=True))


class Aligned(Model):
    """A model of a family, by its alphabet."""

    alphabet = ALIGNED


def family_model(denoise, query, first=1):
    """A model of the family of a query."""
    model = protein_model(denoise, len(query), {"query": {"name": "query/1-9", "first": first, "sequence": query}})
    model.__class__ = Aligned
    return model
