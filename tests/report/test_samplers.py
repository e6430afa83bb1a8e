import pytest

from seqdiff.report.samplers import Panel, curves_figure


def rows(bits=1.9):
    found = [
        ("exact", "", 64, bits),
        ("ancestral", "8", 8, 1.95),
        ("ancestral", "32", 28, 1.91),
        ("remask", "8", 8, 2.0),
    ]
    return [
        {"family": family, "setting": setting, "calls": calls, "bits": {"value": value, "se": 0.01}}
        for family, setting, calls, value in found
    ]


def drawn(path, of, marked=("ancestral", "32")):
    panel = Panel("a title", "bits", of, "bits", ("exact", 1.9))
    curves_figure(path, [panel, panel], {"fast": marked})
    return path.read_bytes()


def test_same_numbers_same_picture_other_numbers_another(tmp_path):
    first = drawn(tmp_path / "a.png", rows())
    assert first.startswith(b"\x89PNG")
    assert first == drawn(tmp_path / "b.png", rows())
    assert first != drawn(tmp_path / "c.png", rows(bits=1.93))
    assert first != drawn(tmp_path / "d.png", rows(), marked=("exact", ""))


def test_what_was_not_measured_is_left_out_and_a_mark_needs_its_setting(tmp_path):
    without = [{**row, "bits": None} if row["family"] == "remask" else row for row in rows()]
    assert drawn(tmp_path / "a.png", without) != drawn(tmp_path / "b.png", rows())
    with pytest.raises(ValueError, match="unpack"):
        drawn(tmp_path / "c.png", rows(), marked=("ancestral", "99"))
