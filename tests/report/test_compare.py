"""The figure of a comparison."""

import numpy as np

from seqdiff.report.compare import compare_figure


def half(budget, amount):
    rows = [
        {
            "name": name, "title": name, "state": "measured", "exact": name == "forward", "letters": 1000,
            "bits": {"value": 1.9 + 0.01 * k, "se": 0.01}, "difference": {"value": 0.01 * k, "se": None},
            "curve": [{"tokens": t, "seconds": t / 10, "bits": 2 - t / 1e4, "se": 0.01} for t in (100, 500, 1000)],
        }
        for k, name in enumerate(("forward", "masked", "score"))
    ]  # fmt: skip
    rows += [
        {"name": "late", "title": "late", "state": "waiting"},
        {"name": "broken", "title": "broken", "state": "failed", "why": "it diverged"},
        {"name": "markov-0", "title": "Markov", "state": "measured", "exact": True, "bits": {"value": 2.0, "se": 0.1}},
        {"name": "held-out", "title": "held-out", "state": "measured"},
    ]
    return {"budget": budget, "amount": amount, "rows": rows}


def summary(*halves):
    return {"comparison": "small", "unit": "base", "reference": "forward", "halves": list(halves)}


def height(path):
    return int.from_bytes(path.read_bytes()[20:24], "big")


def test_a_line_of_panels_for_each_budget(tmp_path):
    one, two = tmp_path / "one.png", tmp_path / "two.png"
    compare_figure(one, summary(half("tokens", 1000)))
    compare_figure(two, summary(half("tokens", 1000), half("minutes", 1.5)))
    assert np.isclose(height(two), 2 * height(one), rtol=0.02)


def test_before_anything_is_known_there_is_a_figure_of_the_rivals(tmp_path):
    of_rivals = half("tokens", 1000)
    of_rivals["rows"] = of_rivals["rows"][3:]
    compare_figure(tmp_path / "a.png", summary(of_rivals) | {"reference": "late"})
    assert (tmp_path / "a.png").stat().st_size > 10_000
