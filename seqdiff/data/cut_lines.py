"""A text cut where some of its lines begin, byte for byte: the pieces joined again are the text."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from jaxtyping import Int64


def cut_lines(blocks: Iterable[bytes], firsts: Sequence[int]) -> Iterator[tuple[int, bytes]]:
    """Stretches of text, each with the number of the piece that it belongs to; piece i begins with line `firsts[i]`.

    `firsts` ascend from 1; lines are counted from 1 and end in LF, CRLF or CR. Blocks may be cut anywhere. Pieces past
    the end of the text do not come.

    >>> list(cut_lines([b"a\\r\\nb\\n", b"c"], [1, 2, 3]))
    [(0, b'a\\r\\n'), (1, b'b\\n'), (2, b'c')]
    """
    piece, line, held = 0, 1, b""
    for block in blocks:
        block = held + block
        held = b"\r" if block.endswith(b"\r") else b""  # its LF may come
        block = block[: len(block) - len(held)]
        ended = block.count(b"\n") + block.count(b"\r") - block.count(b"\r\n")
        at = 0
        if piece + 1 < len(firsts) and firsts[piece + 1] <= line + ended:
            ends = _line_ends(block)
            while piece + 1 < len(firsts) and firsts[piece + 1] <= line + ended:
                end = int(ends[firsts[piece + 1] - line - 1]) + 1
                yield piece, block[at:end]
                piece, at = piece + 1, end
        if at < len(block):
            yield piece, block[at:]
        line += ended
    if held:
        yield piece, held


def _line_ends(block: bytes) -> Int64[np.ndarray, " n"]:
    """Where lines end: at LF, and at CR without one."""
    letters = np.frombuffer(block, np.uint8)
    ends = letters == ord("\n")
    if b"\r" in block:
        ends |= (letters == ord("\r")) & ~np.append(ends[1:], False)
    return np.flatnonzero(ends)
