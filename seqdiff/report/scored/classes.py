"""What kind of change an allele is, by its letters alone."""

from functools import lru_cache

CLASSES = ("transition", "transversion", "MNV", "insertion", "deletion", "complex", "not letters")
"""MNV: several bases for as many. Complex: bases for another number of others. Not letters: <DEL>, * and the like."""
SUBSTITUTED = ("transition", "transversion", "MNV")
_TRANSITIONS = (frozenset("AG"), frozenset("CT"))


@lru_cache(maxsize=1 << 14)
def class_of(ref: str, alt: str) -> int:
    """The number of an allele's class in `CLASSES`.

    >>> [CLASSES[class_of(*pair)] for pair in (("A", "G"), ("A", "C"), ("CA", "C"), ("CAT", "CGG"), ("A", "<DEL>"))]
    ['transition', 'transversion', 'deletion', 'MNV', 'not letters']
    """
    if not alt.isalpha() or not ref.isalpha():
        return CLASSES.index("not letters")
    ref, alt = _trimmed(ref.upper().replace("U", "T"), alt.upper().replace("U", "T"))
    if len(ref) == len(alt):
        if len(ref) > 1:
            return CLASSES.index("MNV")
        return CLASSES.index("transition" if frozenset(ref + alt) in _TRANSITIONS else "transversion")
    if ref and alt:
        return CLASSES.index("complex")
    return CLASSES.index("insertion" if alt else "deletion")


def _trimmed(ref: str, alt: str) -> tuple[str, str]:
    """Without the letters that both have at an end."""
    if ref == alt:
        return ref[:1], alt[:1]
    while ref and alt and ref[-1] == alt[-1]:
        ref, alt = ref[:-1], alt[:-1]
    while ref and alt and ref[0] == alt[0]:
        ref, alt = ref[1:], alt[1:]
    return ref, alt
