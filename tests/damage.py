"""Sequence files bent in every way: cut, flipped, repeated, compressed and bent again."""

import gzip
import random

from hypothesis import strategies as st

from seqdiff.data.output import bgzf_block
from seqdiff.data.source import BGZF_END

GOOD = [
    b">a first\nACGTNacgtn\nACGT\n>b\nRYKM\n\n>c\n",
    b">a\r\nACGT\r\n>b|\xe9\r\nNNNN\r\n",
    b"@r1\nACGT\n+\nIIII\n@r2\nAC\nGT\n+r2\nII\nII\n",
    b"chr1\t10\t20\nchr1\t30\t40\tname\n",
    b">m\n" + b"ACGT" * 50 + b"\n",
]
BYTES = st.sampled_from([b"\0", b"\r", b"\n", b">", b"@", b"+", b" ", b"\t", b"\xff", b"\x1f\x8b", b"N", b"-", b"7"])


@st.composite
def damaged(draw) -> bytes:
    """A good file, bent, perhaps compressed, and bent again."""
    data = bend(draw, draw(st.sampled_from(GOOD)))
    match draw(st.sampled_from(["plain", "gzip", "bgzip", "members"])):
        case "gzip":
            data = gzip.compress(data, mtime=0)
        case "bgzip":
            data = bgzf_block(data) + draw(st.sampled_from([BGZF_END, b""]))
        case "members":
            data = gzip.compress(data[:9], mtime=0) + gzip.compress(data[9:], mtime=0)
        case _:
            return data
    return bend(draw, data) if draw(st.booleans()) else data


def bend(draw, data: bytes) -> bytes:
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(data)))
        match draw(st.sampled_from(["cut", "insert", "flip", "drop", "repeat", "noise"])):
            case "cut":
                data = data[:at]
            case "insert":
                data = data[:at] + draw(BYTES) + data[at:]
            case "flip":
                data = data[:at] + bytes(b ^ 1 << draw(st.integers(0, 7)) for b in data[at : at + 1]) + data[at + 1 :]
            case "drop":
                data = data[:at] + data[at + draw(st.integers(1, 9)) :]
            case "repeat":
                data = data[:at] + data
            case "noise":
                data = data[:at] + random.Random(at).randbytes(draw(st.integers(1, 30))) + data[at:]
    return data
