"""How many bits does a held-out base cost the model, and the best Markov chain on the same windows?"""

import math
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float64, Int
from pydantic import Field

from seqdiff.config import Config
from seqdiff.diffusion.likelihood import Elbo
from seqdiff.evaluate import heldout
from seqdiff.evaluate.answer import Answer, Progress, Table, silent
from seqdiff.evaluate.markov import MarkovModel
from seqdiff.evaluate.statistics import Estimate, ratio
from seqdiff.streams import Streams


class Likelihood(Config):
    """Bits a base on test windows: the diffusion bound beside Markov orders 0..`order`, window by window.

    The model's value is an upper bound on its cost (`seqdiff.diffusion.likelihood.elbo`), the Markov values are
    exact. All letters of a window are scored from that window alone. Standard errors take
    the windows as the sample (neighbours resemble one another, so for other regions of the genome they are too
    small; the paired difference suffers least); the model's contains the Monte-Carlo error, which is also given by
    itself. The rival in the paired difference is the order that does best on these very windows: the choice favours it.
    """

    question: Literal["likelihood"] = "likelihood"
    bases: int = Field(200_000, ge=1)
    """Test letters to read, in whole windows drawn at random; the whole split where it has fewer."""
    strata: int = Field(4, ge=1)
    """Masks a replicate, their numbers from strata of 1..n (`seqdiff.diffusion.likelihood.design`)."""
    replicates: int = Field(2, ge=2)
    """Independent repetitions, from which the Monte-Carlo error comes."""
    order: int = Field(11, ge=0)
    """Highest Markov order."""
    seed: int = 0

    def ask(self, model: heldout.Asked, data: heldout.HeldOut, progress: Progress = silent) -> Answer:
        """Raises DataError if a split holds no known letter."""
        items = heldout.draw(data.test, self.bases, self.seed)
        tokens = data.test.batch(items).tokens.numpy()
        scored = (tokens < model.alphabet.size).sum(-1)
        chain = heldout.markov(data, self.order)
        rivals = -chain.log_prob(tokens).sum(-1)
        nats, se, calls = self._nats(model, tokens, progress)

        bits = ratio(nats / math.log(2), scored)
        markov = [ratio(of_order / math.log(2), scored) for of_order in rivals]
        best = int(np.argmin([m.value for m in markov]))
        difference = ratio((nats - rivals[best]) / math.log(2), scored)
        monte_carlo = float(np.sqrt(np.square(se).sum()) / scored.sum() / math.log(2))
        unbroken = _unbroken(chain, data) if len(items) == len(data.test) else None
        summary = {
            "question": self.question,
            "settings": self.model_dump(),
            "unit": model.alphabet.unit,
            "windows": len(items),
            "window_length": tokens.shape[1],
            "scored": int(scored.sum()),
            "model": bits.of("bits")
            | {"se_monte_carlo": monte_carlo, "perplexity": 2**bits.value, "forward_passes": int(calls.max())},
            "markov": [
                {"order": k, **m.of("bits"), "unbroken": None if unbroken is None else float(unbroken[k])}
                for k, m in enumerate(markov)
            ],
            "best_markov": best,
            "difference": difference.of("bits"),
        }
        return Answer(self.question, summary, _table(summary, markov, difference))

    def _nats(
        self, model: heldout.Asked, tokens: Int[np.ndarray, "N L"], progress: Progress
    ) -> tuple[Float64[np.ndarray, "N"], Float64[np.ndarray, "N"], Int[np.ndarray, "N"]]:
        """The bound of each window and its Monte-Carlo error, nats, and the network passes that it took."""
        found = []
        scorer = Elbo(strata=self.strata, replicates=self.replicates)
        rows = max(1, model.batch_tokens // tokens.shape[1])
        for first in range(0, len(tokens), rows):
            part = torch.from_numpy(tokens[first : first + rows])
            score = scorer(
                model.denoise,
                part,
                part < model.alphabet.size,
                Streams.of(self.seed, heldout.names(part.numpy())),
                batch_size=rows,
            )
            found.append((score.nats.numpy(), score.se.numpy(), score.calls.numpy()))
            progress(min(1.0, (first + rows) / len(tokens)))
        nats, se, calls = (np.concatenate(column) for column in zip(*found, strict=True))
        return nats, se, calls


def _unbroken(chain: MarkovModel, data: heldout.HeldOut) -> Float64[np.ndarray, "orders"]:
    """Bits a letter of the whole test intervals, with contexts that reach across window borders."""
    total, count = np.zeros(chain.order + 1), 0
    for piece in heldout.pieces(data, "test"):
        total -= chain.log_prob(piece[None]).sum((1, 2))
        count += int((piece < chain.symbols).sum())
    return total / count / math.log(2)


def _table(summary: dict[str, Any], markov: list[Estimate], difference: Estimate) -> Table:
    unit, best = summary["unit"], summary["best_markov"]
    model = Estimate(summary["model"]["bits"], summary["model"]["se"])
    rows = [(f"Markov, order {k}" + (" (best)" if k == best else ""), str(m), f"{2**m.value:.3f}")
            for k, m in enumerate(markov)]  # fmt: skip
    rows.append((f"this model (at most; Monte Carlo ± {summary['model']['se_monte_carlo']:.4f})", str(model),
                 f"{2**model.value:.3f}"))  # fmt: skip
    rows.append((f"this model minus order {best}", difference.format(sign=True), ""))
    title = (
        f"Held-out likelihood: {summary['scored']:,} {unit}s in {summary['windows']:,} test windows "
        f"of {summary['window_length']:,}"
    )
    return Table(title, ("", f"bits per {unit}", "perplexity"), tuple(rows))
