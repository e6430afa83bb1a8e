"""A world whose right answers are known: DNA drawn from an order-1 chain, and the denoiser that knows the chain."""

import numpy as np
import pytest
import torch

from seqdiff.alphabet import DNA
from seqdiff.modalities.dna import Dna, Splits

TRANSITION = np.array([[0.7, 0.1, 0.1, 0.1], [0.05, 0.6, 0.05, 0.3], [0.3, 0.2, 0.4, 0.1], [0.1, 0.1, 0.4, 0.4]])


class Chain:
    """The order-1 chain of `TRANSITION`, started from its stationary law."""

    def __init__(self, transition: np.ndarray = TRANSITION):
        self.transition = transition
        values, vectors = np.linalg.eig(transition.T)
        stationary = np.real(vectors[:, np.argmax(np.real(values))])
        self.stationary = stationary / stationary.sum()

    def draw(self, length: int, seed: int) -> np.ndarray:
        uniforms = np.random.default_rng(seed).random(length)
        steps = self.transition.cumsum(1)
        tokens = np.empty(length, np.uint8)
        tokens[0] = np.searchsorted(self.stationary.cumsum(), uniforms[0])
        for i in range(1, length):
            tokens[i] = np.searchsorted(steps[tokens[i - 1]], uniforms[i])
        return tokens

    def nats(self, tokens: np.ndarray) -> np.ndarray:
        """-log p of each row, (N, L) known tokens."""
        return -np.log(self.stationary[tokens[:, 0]]) - np.log(
            self.transition[tokens[:, :-1], tokens[:, 1:]]
        ).sum(-1)


class OracleModel:
    """A model whose marginals are the exact posteriors of a chain, by forward-backward."""

    alphabet = DNA

    def __init__(self, chain: Chain, sharpness: float = 1.0, batch_tokens: int = 4096):
        self.chain, self.sharpness, self.batch_tokens = chain, sharpness, batch_tokens

    def denoise(self, tokens: torch.Tensor, time: torch.Tensor | None = None) -> torch.Tensor:
        x = tokens.numpy()
        evidence = np.where((x < 4)[..., None], np.eye(4)[np.minimum(x, 3)], 1.0)
        ahead, behind = np.empty_like(evidence), np.empty_like(evidence)
        ahead[:, 0], behind[:, -1] = self.chain.stationary, 1.0
        for i in range(1, x.shape[1]):
            ahead[:, i] = (ahead[:, i - 1] * evidence[:, i - 1]) @ self.chain.transition
            ahead[:, i] /= ahead[:, i].sum(-1, keepdims=True)
            j = x.shape[1] - 1 - i
            behind[:, j] = (behind[:, j + 1] * evidence[:, j + 1]) @ self.chain.transition.T
            behind[:, j] /= behind[:, j].sum(-1, keepdims=True)
        return torch.from_numpy(self.sharpness * np.log(ahead * behind)).float()


@pytest.fixture(scope="session")
def chain() -> Chain:
    return Chain()


@pytest.fixture(scope="session")
def data(chain, tmp_path_factory):
    """60,000 letters of the chain in windows of 128, with a few unknown ones among the test windows."""
    letters = bytearray(DNA.decode(chain.draw(60_000, seed=1)))
    letters[50_100:50_104] = b"NNNN"
    path = tmp_path_factory.mktemp("genome") / "chain.fa"
    path.write_bytes(b">c\n" + bytes(letters) + b"\n")
    splits = Splits(valid=["c:40,001-50,000"], test=["c:50,001-60,000"])
    return Dna(fasta=path, context=128, splits=splits).open()


@pytest.fixture
def oracle(chain) -> OracleModel:
    return OracleModel(chain)
