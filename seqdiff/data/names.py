"""Names that came before, and where: sixteen bytes a name, so that a file of millions of reads can be checked.

    name -> BLAKE2b, 12 bytes -> the first two choose one of 65,536 drawers, the other ten stand in it with the place

Two names with the same 12 bytes would pass for one: for a billion names the odds are 1 in 10^11.
"""

from hashlib import blake2b

_KEY, _PLACE = 10, 6
_ENTRY = _KEY + _PLACE


class Names:
    """A mapping of names to whole numbers below 2^48 that can be asked and added to, but not listed.

    >>> names = Names()
    >>> names["chr1"] = 7
    >>> "chr1" in names, names["chr1"], "chr2" in names, len(names)
    (True, 7, False, 1)
    """

    def __init__(self) -> None:
        self._drawers: dict[bytes, bytearray] = {}
        self._number = 0

    def __len__(self) -> int:
        return self._number

    def __contains__(self, name: str) -> bool:
        drawer, key = _parts(name)
        return self._find(drawer, key) >= 0

    def __getitem__(self, name: str) -> int:
        drawer, key = _parts(name)
        if (at := self._find(drawer, key)) < 0:
            raise KeyError(name)
        return int.from_bytes(self._drawers[drawer][at + _KEY : at + _ENTRY], "big")

    def __setitem__(self, name: str, place: int) -> None:
        drawer, key = _parts(name)
        if (at := self._find(drawer, key)) >= 0:
            self._drawers[drawer][at + _KEY : at + _ENTRY] = place.to_bytes(_PLACE, "big")
            return
        self._drawers.setdefault(drawer, bytearray()).extend(key + place.to_bytes(_PLACE, "big"))
        self._number += 1

    def _find(self, drawer: bytes, key: bytes) -> int:
        """Where the entry of a key begins, -1 where there is none."""
        entries = self._drawers.get(drawer, b"")
        at = entries.find(key)
        while at >= 0 and at % _ENTRY:  # the same bytes across two entries
            at = entries.find(key, at + 1)
        return at


def _parts(name: str) -> tuple[bytes, bytes]:
    digest = blake2b(name.encode("utf-8", "surrogateescape"), digest_size=2 + _KEY).digest()
    return digest[:2], digest[2:]
