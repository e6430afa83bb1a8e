import copy

from seqdiff.report.spectra import composition_figure, spectra_figure


def test_letters_and_gc_content_are_drawn(summaries, tmp_path):
    summary = summaries["spectra"]
    composition_figure(tmp_path / "one.png", summary)
    other = copy.deepcopy(summary)
    other["gc"]["samples"]["counts"][10] += 9
    composition_figure(tmp_path / "other.png", other)
    assert (tmp_path / "one.png").read_bytes() != (tmp_path / "other.png").read_bytes()


def test_alphabets_without_complement_and_with_many_odd_symbols(summaries, tmp_path):
    summary = {key: value for key, value in summaries["spectra"].items() if key not in ("gc", "cpg")}
    symbols = [*"\n\t $", *(chr(0xC0 + i) for i in range(60))]
    rows = [dict(summary["composition"][0], symbol=symbol) for symbol in symbols]
    composition_figure(tmp_path / "x.png", summary | {"composition": rows})
    assert (tmp_path / "x.png").stat().st_size > 10_000


def test_words_that_are_nowhere_and_divergences_of_nothing(summaries, tmp_path):
    summary = copy.deepcopy(summaries["spectra"])
    summary["words"]["rows"][3][1:] = [0.0, 0.01, 0.0]
    for row in summary["spectra"]:
        row["samples"] = row["train"] = {"value": 0.0, "se": None}
    spectra_figure(tmp_path / "x.png", summary)
    assert (tmp_path / "x.png").stat().st_size > 10_000
