"""How many bits does a held-out letter cost the model, and the best Markov chain on the same sequences?"""

import math
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int
from pydantic import Field
from torch import Tensor

from seqdiff.config import Config
from seqdiff.diffusion.categorical import lowest
from seqdiff.diffusion.denoise import Denoise, symbols
from seqdiff.diffusion.likelihood.passes import masked_nats, scattered
from seqdiff.evaluate import heldout
from seqdiff.evaluate.answer import Answer, Progress, Table, silent
from seqdiff.evaluate.costs import costs
from seqdiff.evaluate.markov import MarkovModel
from seqdiff.evaluate.statistics import Estimate, ratio
from seqdiff.streams import Streams

MASKED_DRAWS = 4
"""Masks a sequence that the masked-token perplexity is taken from."""


class Likelihood(Config):
    """Bits a base on test windows: the diffusion bound beside Markov orders 0..`order`, window by window.

    The model's value is an upper bound on its cost (`seqdiff.diffusion.likelihood.elbo`), the Markov values are
    exact. All letters of a window are scored from that window alone; a protein is a window, or several where it is
    longer than the context. Standard errors take the windows as the sample (neighbours resemble one another, so for
    other regions of the genome they are too small; the paired difference suffers least), or the clusters of proteins;
    the model's contains the Monte-Carlo error, which is also given by itself. The rival in the paired difference is the
    order that does best on these very windows: the choice favours it. A family has a stronger rival beside them, its
    profile: the frequencies of each column by itself; so have images, of each place of theirs.
    """

    question: Literal["likelihood"] = "likelihood"
    bases: int = Field(200_000, ge=1)
    """Test letters to read, in whole windows drawn at random; the whole split where it has fewer."""
    strata: int = Field(4, ge=1)
    """Masks a replicate, their numbers from strata of 1..n (`seqdiff.diffusion.likelihood.design`)."""
    replicates: int = Field(2, ge=2)
    """Independent repetitions, from which the Monte-Carlo error comes."""
    order: int = Field(11, ge=0)
    """Highest Markov order; less where there are too many words of that length (4 for proteins)."""
    masked_draws: int | None = Field(None, ge=0)
    """Masks a window for the masked-token perplexity (`masked_tokens`), which is no bound. Default: 4 for proteins,
    none for DNA."""
    seed: int = 0

    def ask(self, model: heldout.Asked, data: heldout.HeldOut, progress: Progress = silent) -> Answer:
        """Raises DataError if a split holds no known letter."""
        items = heldout.draw(data.test, self.bases, self.seed)
        unit = heldout.units(data.test, items)
        chain = heldout.markov(data, self.order)
        found = costs(
            model, data, items, strata=self.strata, replicates=self.replicates, seed=self.seed,
            progress=lambda done: progress(0.9 * done),
        )  # fmt: skip
        nats, scored = found.nats, found.scored
        rivals = np.zeros((chain.order + 1, len(items)))
        extra, of_profile = np.zeros((2, len(items))), np.zeros(len(items))
        profile = heldout.profile(data)
        with_extra = self._masked_draws(model)
        for part, tokens in heldout.batches(data.test, items, model.batch_tokens):
            rivals[:, part] = -chain.log_prob(tokens).sum(-1)
            if profile is not None:
                of_profile[part] = -profile[np.arange(tokens.shape[1]), tokens].sum(-1)
            if with_extra:
                x, names = torch.from_numpy(tokens), heldout.names(tokens, model.alphabet.pad)
                streams = Streams.of(self.seed, [(name, "masked tokens") for name in names])
                known = x < model.alphabet.size
                extra[:, part] = masked_tokens(model.denoise, x, known, streams, with_extra).numpy()
            progress(0.9 + 0.1 * min(1.0, part.stop / len(items)))

        def bits(totals: Float64[np.ndarray, "N"], counts: np.ndarray = scored) -> Estimate:
            return ratio(np.bincount(unit, totals) / math.log(2), np.bincount(unit, counts))

        own = bits(nats)
        markov = [bits(of_order) for of_order in rivals]
        best = int(np.argmin([m.value for m in markov]))
        difference = bits(nats - rivals[best])
        unbroken = _unbroken(chain, data) if len(items) == len(data.test) else None
        summary = {
            "question": self.question,
            "settings": self.model_dump(),
            "unit": model.alphabet.unit,
            "windows": len(items),
            "examples": heldout.what(data.test),
            "window_length": int(data.test.sizes[items].max()),
            "sample": int(unit.max()) + 1,
            "scored": int(scored.sum()),
            "model": own.of("bits")
            | {
                "se_monte_carlo": found.monte_carlo,
                "perplexity": 2**own.value,
                "forward_passes": int(found.calls.max()),
            },
            "markov": [
                {"order": k, **m.of("bits"), "unbroken": None if unbroken is None else float(unbroken[k])}
                for k, m in enumerate(markov)
            ],
            "best_markov": best,
            "difference": difference.of("bits"),
        }
        if profile is not None:
            summary["profile"] = bits(of_profile).of("bits") | {"difference": bits(nats - of_profile).of("bits")}
        if with_extra:
            of_masked = bits(*extra)
            summary["masked_token"] = of_masked.of("bits") | {"perplexity": 2**of_masked.value, "draws": with_extra}
        if model.labels:
            summary["classes"] = list(model.labels)
        summary["exact"] = model.exact
        return Answer(self.question, summary, _table(summary, markov, difference, heldout.described(data.test, items)))

    def _masked_draws(self, model: heldout.Asked) -> int:
        """Masks a window for the masked-token perplexity; none by default of DNA, of models that are told classes, and
        of those that do not fill masks."""
        if self.masked_draws is not None:
            return self.masked_draws
        return 0 if model.alphabet.complementary or model.labels or not model.fills_masks else MASKED_DRAWS


def masked_tokens(
    denoise: Denoise, tokens: Int[Tensor, "B L"], known: Bool[Tensor, "B L"], rng: Streams, draws: int
) -> Float64[Tensor, "2 B"]:
    """Nats of the masked letters and their number, summed over `draws` masks of each row, t uniform in [0, 1).

    The number k of masks is uniform on 1..n (stratified over the draws), and each letter masked counts once, in the
    perplexity exp(sum nats / sum k) of EvoDiff's tables (Alamdari et al. 2023, doi:10.1101/2023.09.11.556673): masks
    of many letters weigh most, so that it is neither a likelihood nor a bound on one.
    """
    n = known.sum(1)
    totals = torch.zeros(2, len(tokens), dtype=torch.float64)
    share = (torch.arange(draws) + rng.rand(draws)) / draws
    keys = scattered(rng, known, draws)
    for draw in range(draws):
        k = torch.minimum((share[:, draw] * n).long() + 1, n)
        masked = lowest(k, known, keys[:, draw])
        mask = symbols(denoise, tokens)
        totals += torch.stack([masked_nats(denoise, tokens, masked, masked, mask, tokens.device), k.double()])
    return totals


def _unbroken(chain: MarkovModel, data: heldout.HeldOut) -> Float64[np.ndarray, "orders"]:
    """Bits a letter of the whole test intervals, with contexts that reach across window borders."""
    total, count = np.zeros(chain.order + 1), 0
    for piece in heldout.pieces(data, "test"):
        total -= chain.log_prob(piece[None]).sum((1, 2))
        count += int((piece < chain.symbols).sum())
    return total / count / math.log(2)


def _table(summary: dict[str, Any], markov: list[Estimate], difference: Estimate, read: str) -> Table:
    unit, best = summary["unit"], summary["best_markov"]
    model = Estimate(summary["model"]["bits"], summary["model"]["se"])
    rows = [(f"Markov, order {k}" + (" (best)" if k == best else ""), str(m), f"{2**m.value:.3f}")
            for k, m in enumerate(markov)]  # fmt: skip
    how = "exactly" if summary["exact"] else f"at most; Monte Carlo ± {summary['model']['se_monte_carlo']:.4f}"
    told = ", told the class" if "classes" in summary else ""
    rows.append((f"this model{told} ({how})", str(model), f"{2**model.value:.3f}"))
    rows.append((f"this model minus order {best}", difference.format(sign=True), ""))
    if profile := summary.get("profile"):
        own, less = (Estimate(part["bits"], part["se"]) for part in (profile, profile["difference"]))
        place = "place" if summary["examples"] == "images" else "column"
        rows.insert(-2, (f"profile (each {place} by itself)", str(own), f"{2**own.value:.3f}"))
        rows.append(("this model minus the profile", less.format(sign=True), ""))
    if extra := summary.get("masked_token"):
        name = "masked tokens of this model, t uniform (as in EvoDiff's tables; not a bound)"
        rows.append((name, str(Estimate(extra["bits"], extra["se"])), f"{extra['perplexity']:.3f}"))
    title = f"Held-out likelihood: {summary['scored']:,} {unit}s in {read}"
    return Table(title, ("", f"bits per {unit}", "perplexity"), tuple(rows))
