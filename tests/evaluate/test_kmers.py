import numpy as np

from seqdiff.alphabet import DNA, PROTEIN
from seqdiff.evaluate.kmers import frequencies


def counted(text: bytes, k: int) -> dict[str, float]:
    """By hand: a word or its reverse complement, whichever comes first."""
    words = [text[i : i + k].decode() for i in range(len(text) - k + 1)]
    words = [w for w in words if "N" not in w]
    both = [min(w, w[::-1].translate(str.maketrans("ACGT", "TGCA"))) for w in words]
    return {word: both.count(word) / len(both) for word in set(both)}


def test_dna_is_counted_on_both_strands():
    rng = np.random.default_rng(0)
    text = bytes(rng.choice(list(b"ACGTN"), 200, p=[0.24] * 4 + [0.04]).tolist())
    other = DNA.decode(DNA.reverse_complement(DNA.encode(text)))
    for k in (1, 2, 3, 5):
        found = frequencies([text, other, text.lower()], DNA, k).toarray()
        names = ["".join("ACGT"[i // 4**p % 4] for p in range(k)[::-1]) for i in range(4**k)]
        assert {n: f for n, f in zip(names, found[0], strict=True) if f} == counted(text, k)
        np.testing.assert_array_equal(found[1], found[0])
        np.testing.assert_array_equal(found[2], found[0])


def test_short_and_unknown_sequences_have_none():
    found = frequencies([b"", b"MK", b"XXX", b"MKV"], PROTEIN, 3)
    assert found.shape == (4, 8000)
    assert found.sum(1).tolist() == [0, 0, 0, 1]
