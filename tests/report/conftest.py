"""Plausible summaries, of the form that evaluations give."""

import math

import numpy as np
import pytest


@pytest.fixture(scope="session")
def summaries() -> dict[str, dict]:
    return {
        "likelihood": likelihood(),
        "recovery": recovery(),
        "calibration": calibration(),
        "variants": variants(),
        "samplers": samplers(),
        "assay": assay(),
        "probe": probe(),
        "couplings": couplings(),
        "spectra": spectra(),
    }


@pytest.fixture(scope="session")
def metrics() -> list[dict]:
    rng = np.random.default_rng(0)
    rows = []
    for step in range(10, 2001, 10):
        bits = 1.875 + 0.1 * math.exp(-step / 300) + rng.normal(0, 0.006)
        rate = 3e-3 * min(step / 100, 0.5 + 0.5 * math.cos(math.pi * step / 2000))
        rows.append({"step": step, "tokens": step * 8192, "nats_per_symbol": bits * math.log(2),
                     "learning_rate": rate, "gradient_norm": 0.4, "tokens_per_second": 35_000})  # fmt: skip
        if step % 200 == 0:
            rows.append(
                {"step": step, "valid_nats_per_symbol": (bits + 0.004) * math.log(2), "valid_standard_error": 0.002}
            )
    return rows


@pytest.fixture(scope="session")
def gap() -> dict:
    rng = np.random.default_rng(4)
    truth = "GGCTCACGCCTGTAATCCCAGCACTTTGGGAGG"
    sure = np.clip(rng.beta(4, 1.5, len(truth)), 0.3, 0.99)
    probabilities = rng.dirichlet(np.ones(4), len(truth)) * (1 - sure[:, None])
    probabilities[np.arange(len(truth)), ["ACGT".index(a) for a in truth]] += sure
    filled = "".join("ACGT"[i] for i in probabilities.argmax(-1))
    filled = filled[:9] + "T" + filled[10:]
    return {"left": "AAGGCCGGGCGCGGT", "right": "CCGAGGCGGGCGGAT", "probabilities": probabilities.tolist(),
            "symbols": "ACGT", "filled": filled, "truth": truth, "start": 1_203_417}  # fmt: skip


def likelihood() -> dict:
    bits = [1.9704, 1.9210, 1.9138, 1.9110, 1.9071, 1.9037, 1.8967, 1.8907, 1.8847, 1.8802, 1.8769, 1.8742]
    markov = [{"order": k, "bits": b, "se": 0.0015 + 0.0005 * k, "unbroken": b - 1e-3} for k, b in enumerate(bits)]
    return {"question": "likelihood", "unit": "base", "windows": 388, "window_length": 512, "scored": 198_656,
            "model": {"bits": 1.8691, "se": 0.0051, "se_monte_carlo": 0.0004, "perplexity": 3.653},
            "markov": markov, "best_markov": 11, "difference": {"bits": -0.0051, "se": 0.0021}}  # fmt: skip


def recovery() -> dict:
    def of(accuracy: float, bits: float, se: float) -> dict:
        return {"accuracy": {"value": accuracy, "se": se}, "log2_probability": {"value": bits, "se": 2 * se}}

    lengths = (1, 4, 16, 64, 256)
    model = zip((0.412, 0.378, 0.345, 0.325, 0.315), (-1.79, -1.86, -1.93, -1.955, -1.963), strict=True)
    markov = zip((0.389, 0.361, 0.327, 0.304, 0.301), (-1.833, -1.892, -1.951, -1.967, -1.970), strict=True)
    gaps = [
        {"length": n, "gaps": 1000, "model": of(*m, 0.012 / n**0.3), "markov": of(*r, 0.012 / n**0.3) | {"order": 6},
         "most_frequent": of(0.302, -1.971, 0.012 / n**0.3)}
        for n, m, r in zip(lengths, model, markov, strict=True)
    ]  # fmt: skip
    return {"question": "recovery", "unit": "base", "window_length": 512, "gaps": gaps, "skipped": []}


def calibration() -> dict:
    bins = []
    for b, count in enumerate((9000, 40000, 80000, 90000, 95000, 60000, 21000, 5000, 2000, 1200, 800, 500, 300, 250, 200, 150, 150, 200, 250, 900)):  # noqa: E501  # fmt: skip
        middle = (b + 0.5) / 20
        se = math.sqrt(middle * (1 - middle) / count) * 1.5
        bins.append({"from": b / 20, "to": (b + 1) / 20, "count": count, "forecast": middle,
                     "observed": {"value": middle - 0.04 * middle**3 + se * math.sin(b), "se": se}})  # fmt: skip
    return {"question": "calibration", "unit": "base", "sites": 99_521, "ece": 0.0041, "ece_of_noise": 0.0024,
            "reliability": bins}  # fmt: skip


def variants() -> dict:
    def areas(auroc: float, auprc: float, spread: float) -> dict:
        return {"auroc": {"value": auroc, "low": auroc - spread, "high": auroc + 0.9 * spread},
                "auprc": {"value": auprc, "low": auprc - spread, "high": auprc + 0.9 * spread}}  # fmt: skip

    classes = [
        {"class": "all", "positives": 4000, "negatives": 9000, "judged": True, "chance": 0.308, "blocks": 90,
         "model": areas(0.64, 0.47, 0.02), "markov": areas(0.61, 0.43, 0.02), "difference": areas(0.03, 0.04, 0.01)},
        {"class": "transversion", "positives": 900, "negatives": 2500, "judged": True, "chance": 0.265, "blocks": 80,
         "model": areas(0.58, 0.33, 0.04), "markov": areas(0.59, 0.34, 0.04), "difference": areas(-0.01, 0.0, 0.02)},
        {"class": "deletion", "positives": 3, "negatives": 40, "judged": False},
    ]  # fmt: skip
    return {"question": "variants", "markov_order": 9, "classes": classes}


def probe() -> dict:
    def row(*values: float) -> dict:
        names = ("accuracy", "mcc", "f1", "auroc")
        return {n: {"value": v, "low": v - 0.04, "high": v + 0.03} for n, v in zip(names, values, strict=True)}

    results = {"embeddings": row(0.7, 0.4, 0.69, 0.77), "k-mers": row(0.75, 0.5, 0.75, 0.83)}
    return {"question": "probe", "task": "classification", "rows": {"train": 4904, "test": 613},
            "chosen": {"k-mers": {"k": 4}}, "results": results}  # fmt: skip


def samplers() -> dict:
    def row(name: str | None, calls: float, recovered: float, bits: float, distance: float) -> dict:
        return {"name": name, "calls": calls, "recovered": {"value": recovered, "se": 0.01},
                "bits": {"value": bits, "se": 0.03}, "distance": {"value": distance, "se": 0.004}}  # fmt: skip

    names = ("fast", "exact", "ancestral", "confident", "bounded", "remask", "correct")
    calls, bits = (9.5, 64, 41, 64, 22, 64, 96), (1.93, 1.87, 1.88, 1.52, 1.9, 1.8, 1.88)
    rows = [row(n, c, 0.32 - 0.02 * (b - 1.87), b, 0.08 + abs(b - 1.87) / 3) for n, c, b in zip(names, calls, bits)]
    return {"question": "samplers", "unit": "base", "settings": {"word": 3, "gap": 64}, "samplers": rows,
            "true": row(None, 0, 1.0, 1.87, 0.07), "halves": 0.01}  # fmt: skip


def assay() -> dict:
    def of(values: tuple[float, ...], spread: float) -> dict:
        names = ("spearman", "auc", "mcc", "ndcg", "top_recall")
        return {n: {"value": v, "low": v - spread, "high": v + spread} for n, v in zip(names, values, strict=True)}

    rng = np.random.default_rng(6)
    fitness = rng.normal(size=600)
    points = np.stack([3 * fitness - 4 + rng.normal(0, 2, 600), fitness], 1).round(3).tolist()
    results = {
        "model": of((0.71, 0.86, 0.55, 0.78, 0.3), 0.04), "BLOSUM62": of((0.33, 0.66, 0.2, 0.6, 0.16), 0.03),
        "site-independent": of((0.597, 0.79, 0.46, 0.71, 0.22), 0.05), "minus BLOSUM62": of((0.4,) * 5, 0.04),
    }  # fmt: skip
    return {"question": "assay", "protein": "BLAT_ECOLX", "score": "llr", "settings": {"score_column": "DMS_score"},
            "classes": [{"class": "all", "mutants": 4807, "judged": True, "fit": 2404, "sites": 253,
                         "results": results}], "points": points}  # fmt: skip


def couplings() -> dict:
    rng = np.random.default_rng(7)
    pairs = [
        {"i": 24 + i, "j": 24 + i + apart, "residues": [f"A{24 + i}", f"C{24 + i + apart}"], "score": 1 / rank,
         "deviations": 9 / rank}
        for rank, (i, apart) in enumerate(zip(rng.integers(0, 60, 100).tolist(), rng.integers(6, 40, 100).tolist()), 1)
    ]  # fmt: skip
    return {"question": "couplings", "columns": 100, "first": 24, "pairs": pairs}


def spectra() -> dict:
    rng = np.random.default_rng(8)
    sets = ("test", "samples", "train")
    test = np.sort(rng.dirichlet(np.ones(136)))[::-1]
    words = [[f"W{i:03}", share, *(share * rng.lognormal(0, 0.1, 2)).tolist()] for i, share in enumerate(test.tolist())]
    of = lambda value, se: {"value": value, "se": se}  # noqa: E731
    rows = [{"k": k, "words": 4**k, "samples": of(2e-4 * 3**k, 1e-4 * 2**k), "train": of(1e-4 * 3**k, 1e-4 * 2**k),
             "independent": 0.012 * (k - 1)} for k in range(1, 7)]  # fmt: skip
    shares = {"A": 0.29, "C": 0.21, "G": 0.21, "T": 0.29}
    gc = {name: {"mean": of(0.4, 0.01), "deviation": 0.06, "counts": rng.poisson(6, 25).tolist()} for name in sets}
    return {"question": "spectra", "unit": "base", "examples": "windows", "window_length": 512, "both_strands": True,
            "sampler": {"kind": "ancestral", "steps": 32}, "sequences": {"test": 192, "samples": 64, "train": 64},
            "letters": dict.fromkeys(sets, 32_768), "settings": {"samples": 64}, "spectra": rows,
            "words": {"k": 4, "columns": list(sets), "rows": words}, "gc": gc,
            "composition": [{"symbol": a} | {name: of(p, 0.004) for name in sets} for a, p in shares.items()],
            "cpg": {name: of(0.2, 0.02) for name in sets}}  # fmt: skip
