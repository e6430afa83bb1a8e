"""A world whose right answers are known: DNA drawn from an order-1 chain, and a model that knows the chain."""

import numpy as np
import pytest
import torch
from labelled import HEADER, substitutions
from oracles import MarkovChain
from questions import Bounded

from seqdiff.alphabet import DNA
from seqdiff.modalities.dna import Dna, Splits


class Chain(MarkovChain):
    """The oracle, able to draw one long stretch fast."""

    def draw(self, length: int, seed: int) -> np.ndarray:
        uniforms = np.random.default_rng(seed).random(length)
        start, steps = self.start.cumsum(0).numpy(), self.transition.cumsum(1).numpy()
        tokens = np.empty(length, np.uint8)
        tokens[0] = min(3, np.searchsorted(start, uniforms[0]))
        for i in range(1, length):
            tokens[i] = min(3, np.searchsorted(steps[tokens[i - 1]], uniforms[i]))
        return tokens


class OracleModel(Bounded):
    """A model whose marginals are the chain's exact posteriors; `sharpness` above 1 makes it too sure of itself."""

    alphabet = DNA

    def __init__(self, chain: Chain, sharpness: float = 1.0, batch_tokens: int = 4096):
        self.chain, self.sharpness, self.batch_tokens = chain, sharpness, batch_tokens

    def denoise(self, tokens: torch.Tensor, time: torch.Tensor | None = None) -> torch.Tensor:
        return (self.sharpness * self.chain(tokens)).float()


@pytest.fixture(scope="session")
def chain() -> Chain:
    return Chain(seed=3, concentration=1.0)


@pytest.fixture(scope="session")
def data(chain, tmp_path_factory):
    """60,000 letters of the chain in windows of 128, with a few unknown ones among the test windows."""
    letters = bytearray(DNA.decode(chain.draw(60_000, seed=1)))
    letters[50_100:50_104] = b"NNNN"
    path = tmp_path_factory.mktemp("genome") / "chain.fa"
    path.write_bytes(b">c\n" + bytes(letters) + b"\n")
    splits = Splits(valid=["c:40,001-50,000"], test=["c:50,001-60,000"])
    return Dna(fasta=path, context=128, splits=splits, reverse_complement=False).open()


@pytest.fixture(scope="session")
def variants(data, chain, tmp_path_factory) -> dict:
    """Settings of the question about variants, for three hundred substitutions of the test split."""
    path = tmp_path_factory.mktemp("variants") / "x.vcf"
    lines = substitutions(data.genome, chain.transition.numpy(), range(50_200, 59_900, 31))
    path.write_text(HEADER + "\n".join(lines) + "\n")
    return {"vcf": path, "fasta": data.genome.path, "label": "BAD", "block": 500, "order": 2}


@pytest.fixture(scope="session")
def oracle(chain) -> OracleModel:
    return OracleModel(chain)


@pytest.fixture(scope="session")
def overconfident(chain) -> OracleModel:
    return OracleModel(chain, sharpness=2.0)
