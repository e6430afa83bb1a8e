import re
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from seqdiff.data.cut_lines import cut_lines

LINES = re.compile(rb"[^\r\n]*(?:\r\n|\n|\r)|[^\r\n]+")


@given(
    st.lists(st.sampled_from([b"a", b"\n", b"\r", b"\r\n", b">b"]), max_size=20).map(b"".join),
    st.sets(st.integers(0, 30)),
    st.sets(st.integers(2, 12)),
)
def test_every_line_is_in_its_piece_wherever_blocks_are_cut(text, edges, firsts):
    edges = sorted({0, *(edge for edge in edges if edge < len(text)), len(text)})
    firsts = [1, *sorted(firsts)]
    found = dict.fromkeys(range(len(firsts)), b"")
    for piece, part in cut_lines([text[a:b] for a, b in pairwise(edges)], firsts):
        found[piece] += part
    expected = dict.fromkeys(range(len(firsts)), b"")
    for number, line in enumerate(LINES.findall(text), 1):
        expected[max(i for i, first in enumerate(firsts) if first <= number)] += line
    assert found == expected
