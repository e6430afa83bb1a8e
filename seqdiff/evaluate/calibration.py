"""When the model says 70 %, is it right seven times in ten?"""

from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int
from pydantic import Field

from seqdiff.config import Config
from seqdiff.diffusion.likelihood.passes import scattered
from seqdiff.evaluate import heldout
from seqdiff.evaluate.answer import Answer, Progress, Table, silent
from seqdiff.evaluate.statistics import Estimate, ratio
from seqdiff.streams import Streams, seed_of


class Calibration(Config):
    """Reliability of the first-pass marginals at masked places, at mask rates spread over (0, 1].

    Every one of the K probabilities at a masked place is a forecast of "this letter stands here".
    `reliability` has them in bins of equal width (for the diagram); `ece`, the expected calibration error, is
    the mean distance between forecast and frequency over bins of equal mass (the adaptive one of
    Nixon et al. 2019, arXiv 1904.01685, over the letters together). A perfect model's is above 0 by the noise of
    the bins: `ece_of_noise` is what it would get on average from these very forecasts. `brier` is
    sum_a (p_a - y_a)^2 (Brier 1950, from 0 to 2) and `log_loss` is in bits, also by mask rate.
    """

    question: Literal["calibration"] = "calibration"
    bases: int = Field(200_000, ge=1)
    """Test letters to read, in whole windows drawn at random."""
    bins: int = Field(20, ge=2)
    seed: int = 0

    def ask(self, model: heldout.Asked, data: heldout.HeldOut, progress: Progress = silent) -> Answer:
        """Masks exactly k known letters of each window, k stratified over 1..n."""
        items = heldout.draw(data.test, self.bases, self.seed)
        tokens, unit = heldout.tokens(data.test, items), heldout.units(data.test, items)
        hidden, rate = self._masks(tokens, model.alphabet.size)
        forecasts, hits = [], []
        for part, probabilities in heldout.marginals(model, np.where(hidden, model.alphabet.mask, tokens)):
            here = hidden[part, : probabilities.shape[1]]
            forecasts.append(probabilities[here])
            hits.append(tokens[part][hidden[part]])
            progress(min(1.0, part.stop / len(tokens)))
        row = np.nonzero(hidden)[0]
        summary = self._summary(np.concatenate(forecasts), np.concatenate(hits), row, rate, unit)
        summary = {
            "question": self.question,
            "settings": self.model_dump(),
            "unit": model.alphabet.unit,
            "windows": len(tokens),
            "window_length": tokens.shape[1],
            "sites": len(row),
        } | summary
        return Answer(self.question, summary, _table(summary, heldout.described(data.test, items)))

    def _masks(
        self, tokens: Int[np.ndarray, "N L"], symbols: int
    ) -> tuple[Bool[np.ndarray, "N L"], Float64[np.ndarray, "N"]]:
        """Which letters are masked, and the share of the known ones that this is."""
        scored = torch.from_numpy(tokens < symbols)
        rank = scattered(Streams.of(self.seed, heldout.names(tokens, symbols + 1)), scored, 1)[:, 0].numpy()
        rank[tokens >= symbols] = 2.0
        known = (tokens < symbols).sum(-1)
        rng = np.random.Generator(np.random.Philox(seed_of(self.seed, "mask rates")))
        share = (rng.permutation(len(tokens)) + rng.random(len(tokens))) / len(tokens)
        masks = 1 + np.floor(known * share).astype(np.int64)
        order = rank.argsort(-1).argsort(-1)
        return order < np.minimum(masks, known)[:, None], masks / np.maximum(known, 1)

    def _summary(
        self,
        forecast: Float64[np.ndarray, "S K"],
        letters: Int[np.ndarray, "S"],
        row: Int[np.ndarray, "S"],
        rate: Float64[np.ndarray, "N"],
        unit: Int[np.ndarray, "N"],
    ) -> dict[str, Any]:
        hit = np.eye(forecast.shape[1])[letters]
        windows = int(unit.max()) + 1

        def by_window(value: Float64[np.ndarray, "S"], chosen: Bool[np.ndarray, "S"]) -> Estimate:
            groups = unit[row[chosen]]
            return ratio(np.bincount(groups, value[chosen]), np.bincount(groups))

        with np.errstate(divide="ignore"):
            loss = -np.log2(np.take_along_axis(forecast, letters[:, None], -1)[:, 0])
        brier = np.square(forecast - hit).sum(-1)
        everywhere = np.ones(len(row), bool)
        quarters = []
        for quarter in range(4):
            low, high = quarter / 4, (quarter + 1) / 4
            chosen = ((rate > low) & (rate <= high))[row]
            if chosen.any():
                ece, noise = expected_error(forecast[chosen], hit[chosen], self.bins)
                quarters.append(
                    {
                        "from": low,
                        "to": high,
                        "sites": int(chosen.sum()),
                        "ece": ece,
                        "ece_of_noise": noise,
                        "brier": by_window(brier, chosen).of("value"),
                        "log_loss": by_window(loss, chosen).of("value"),
                    }
                )
        ece, noise = expected_error(forecast, hit, self.bins)
        frequency = hit.mean(0)
        return {
            "ece": ece,
            "ece_of_noise": noise,
            "brier": by_window(brier, everywhere).of("value"),
            "brier_of_frequencies": float(1 - np.square(frequency).sum()),
            "log_loss": by_window(loss, everywhere).of("value"),
            "mask_rates": quarters,
            "reliability": _reliability(forecast, hit, unit[row], windows, self.bins),
        }


def expected_error(
    forecast: Float64[np.ndarray, "S K"], hit: Float64[np.ndarray, "S K"], bins: int
) -> tuple[float, float]:
    """Expected calibration error over bins of equal mass, and what pure noise would give.

    Noise: a bin's frequency has variance sum p(1-p) / n^2 if the forecasts are right, and E|N(0, v)| is
    sqrt(2 v / pi).

    >>> error, noise = expected_error(np.array([[0.75, 0.25]] * 4), np.eye(2)[[0, 0, 0, 1]], bins=2)
    >>> error, round(noise, 3)
    (0.0, 0.173)
    """
    p, y = forecast.ravel(), hit.ravel()
    order = np.argsort(p, kind="stable")
    p, y = p[order], y[order]
    edges = np.unique(np.linspace(0, len(p), min(bins, len(p)) + 1).astype(np.int64))[:-1]
    gap = np.add.reduceat(p, edges) - np.add.reduceat(y, edges)
    variance = np.add.reduceat(p * (1 - p), edges)
    return float(np.abs(gap).sum() / len(p)), float(np.sqrt(2 * variance / np.pi).sum() / len(p))


def _reliability(
    forecast: Float64[np.ndarray, "S K"],
    hit: Float64[np.ndarray, "S K"],
    row: Int[np.ndarray, "S"],
    windows: int,
    bins: int,
) -> list[dict[str, Any]]:
    """Mean forecast and observed frequency in bins of equal width, with errors by window; empty bins are left out."""
    width = np.minimum((forecast * bins).astype(np.int64), bins - 1)
    cell = (width * windows + row[:, None]).ravel()
    count = np.bincount(cell, minlength=bins * windows).reshape(bins, windows)
    stated = np.bincount(cell, forecast.ravel(), bins * windows).reshape(bins, windows)
    came = np.bincount(cell, hit.ravel(), bins * windows).reshape(bins, windows)
    return [
        {
            "from": b / bins,
            "to": (b + 1) / bins,
            "count": int(count[b].sum()),
            "forecast": float(stated[b].sum() / count[b].sum()),
            "observed": ratio(came[b], count[b]).of("value"),
        }
        for b in np.flatnonzero(count.sum(-1))
    ]


def _table(summary: dict[str, Any], read: str) -> Table:
    def row(name: str, of: dict[str, Any], sites: int) -> tuple[str, ...]:
        brier, loss = (Estimate(of[what]["value"], of[what]["se"]) for what in ("brier", "log_loss"))
        return name, f"{sites:,}", f"{of['ece']:.4f}", f"{of['ece_of_noise']:.4f}", str(brier), str(loss)

    rows = [row(f"{q['from']:.0%} to {q['to']:.0%} masked", q, q["sites"]) for q in summary["mask_rates"]]
    rows.append(row("all", summary, summary["sites"]))
    columns = ("", "sites", "ECE", "ECE of noise", "Brier score", f"bits per {summary['unit']}")
    return Table(f"Calibration of the marginals: {read}", columns, tuple(rows))
