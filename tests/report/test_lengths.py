from seqdiff.report.lengths import Lengths, lengths_figure


def test_a_picture_of_some_lengths(tmp_path):
    panels = [Lengths("one", range(3), [0.1, 0.7, 0.2], 1), Lengths("other", range(2), [0.5, 0.5], 7)]
    for name, some in (("a.png", panels), ("b.png", panels), ("c.png", panels[:1])):
        lengths_figure(tmp_path / name, some)
    a, b, c = ((tmp_path / name).read_bytes() for name in ("a.png", "b.png", "c.png"))
    assert a.startswith(b"\x89PNG")
    assert a == b != c
