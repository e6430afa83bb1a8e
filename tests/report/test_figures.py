import copy
import struct

import pytest

from seqdiff.errors import DataError
from seqdiff.evaluate import QUESTIONS
from seqdiff.report import draw, training_figure
from seqdiff.report.schedules import schedules_figure


def size(path) -> tuple[int, int]:
    """Width and height from the header of a PNG."""
    head = path.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", head[16:])


@pytest.mark.parametrize("question", list(QUESTIONS))
def test_same_numbers_same_picture_other_numbers_another(question, summaries, tmp_path):
    for name in ("one.png", "two.png"):
        draw(tmp_path / name, question, summaries[question])
    assert size(tmp_path / "one.png")[0] >= 800
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    other = copy.deepcopy(summaries[question])
    match question:
        case "likelihood":
            other["model"]["bits"] += 0.01
        case "recovery":
            other["gaps"][2]["model"]["accuracy"]["value"] += 0.02
        case "calibration":
            other["reliability"][3]["observed"]["value"] += 0.05
        case "samplers":
            other["samplers"][2]["bits"]["value"] += 0.05
        case "assay":
            other["points"][3][0] += 1
        case "spectra":
            other["spectra"][3]["samples"]["value"] += 0.05
        case "couplings":
            other["pairs"][3]["i"] += 1
        case "probe":
            other["results"]["k-mers"]["mcc"]["high"] += 0.05
        case "variants":
            other["classes"][0]["markov"]["auprc"]["high"] += 0.02
    draw(tmp_path / "other.png", question, other)
    assert (tmp_path / "other.png").read_bytes() != (tmp_path / "one.png").read_bytes()


def test_unknown_errors_are_drawn_without_bars(summaries, tmp_path):
    for question, summary in summaries.items():
        draw(tmp_path / "x.png", question, _without_errors(summary))
        assert size(tmp_path / "x.png")


def test_no_class_that_can_be_judged_is_an_empty_figure(summaries, tmp_path):
    draw(tmp_path / "x.png", "variants", summaries["variants"] | {"classes": summaries["variants"]["classes"][2:]})
    assert size(tmp_path / "x.png")


def test_training_curve_of_any_length(metrics, tmp_path):
    for number, rows in enumerate(([], metrics[:1], metrics[:25], metrics)):
        training_figure(tmp_path / f"{number}.png", rows)
        assert size(tmp_path / f"{number}.png")


def test_a_training_curve_that_is_no_bound_says_so(metrics, tmp_path):
    names = {"nats_per_symbol": "nats_per_selected", "valid_nats_per_symbol": "valid_nats_per_selected"}
    training_figure(tmp_path / "bound.png", metrics)
    training_figure(tmp_path / "other.png", [{names.get(key, key): row[key] for key in row} for row in metrics])
    first, second = ((tmp_path / name).read_bytes() for name in ("bound.png", "other.png"))
    assert first != second
    training_figure(tmp_path / "nothing.png", [])
    assert len(second) > 1.2 * len((tmp_path / "nothing.png").read_bytes())


def test_what_stood_there_stays_when_drawing_fails(summaries, tmp_path):
    (tmp_path / "x.png").write_bytes(b"before")
    broken = {key: value for key, value in summaries["likelihood"].items() if key != "difference"}
    with pytest.raises(KeyError):
        draw(tmp_path / "x.png", "likelihood", broken)
    assert [p.name for p in tmp_path.iterdir()] == ["x.png"]
    assert (tmp_path / "x.png").read_bytes() == b"before"


def test_a_folder_that_cannot_be_written_is_said(summaries, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        draw(tmp_path / "file" / "x.png", "likelihood", summaries["likelihood"])


def test_global_state_of_matplotlib_is_left_alone(summaries, tmp_path):
    import matplotlib

    before = dict(matplotlib.rcParams)
    draw(tmp_path / "x.png", "likelihood", summaries["likelihood"])
    assert dict(matplotlib.rcParams) == before


def _without_errors(value):
    if isinstance(value, dict):
        return {key: None if key in ("se", "low", "high") else _without_errors(item) for key, item in value.items()}
    return [_without_errors(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("symbols", ["ACGT", "ACDEFGHIKLMNPQRSTVWY", [str(level) for level in range(256)]])
def test_learned_schedules_with_and_without_their_history(symbols, tmp_path):
    ends = {symbol: 0.8 + 0.4 * i / len(symbols) for i, symbol in enumerate(symbols)}
    rows = [
        {"step": step, "nats_per_symbol": 1.0, "powers": {s: 1 + (end - 1) * step / 100 for s, end in ends.items()}}
        for step in range(0, 101, 10)
    ]
    rows.insert(3, {"step": 20, "valid_nats_per_symbol": 1.0})
    schedules_figure(tmp_path / "both.png", ends, rows)
    schedules_figure(tmp_path / "alone.png", ends, rows[3:4])
    assert size(tmp_path / "both.png") == size(tmp_path / "alone.png")
    assert (tmp_path / "both.png").read_bytes() != (tmp_path / "alone.png").read_bytes()
    schedules_figure(tmp_path / "other.png", ends | {symbols[0]: 2.0}, rows)
    assert (tmp_path / "both.png").read_bytes() != (tmp_path / "other.png").read_bytes()
