"""Words that must not appear on either strand: IUPAC letters, or the site of a restriction enzyme by its name."""

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from seqdiff.alphabet import DNA
from seqdiff.diffusion.constraints import Word
from seqdiff.errors import UsageError

SETS = {symbol: symbol for symbol in DNA.symbols} | dict(DNA.ambiguity) | {DNA.unknown: DNA.symbols}
COMPLEMENT = str.maketrans("ACGTRYSWKMBDHVN", "TGCAYRSWMKVHDBN")


@dataclass(frozen=True)
class Motif:
    """`sites`: distinct words in IUPAC letters, those of the other strand among them."""

    name: str
    sites: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> "Motif":
        """A word in IUPAC letters, or the name of an enzyme that Biopython knows (REBASE), in any case. `DRDV` is a
        word, and the enzyme DrdV, which alone can be read as both, if it is written so.

        >>> Motif.parse("GGTCTC").sites, Motif.parse("bsai").sites, Motif.parse("GRTC").sites
        (('GGTCTC', 'GAGACC'), ('GGTCTC', 'GAGACC'), ('GRTC', 'GAYC'))
        """
        name, words = text.strip(), [text.strip().upper().replace("U", "T")]
        if not name or set(words[0]) - set(SETS) or _is_enzyme(name):
            name, site = _enzyme(name)
            words = site.split("|")
        if any(set(word) == {"N"} for word in words):
            raise UsageError(f"--forbid {text}: any letters at all are such a word; name some of A, C, G, T")
        both = [side for word in words for side in (word, word.translate(COMPLEMENT)[::-1])]
        return cls(name, tuple(dict.fromkeys(both)))

    @property
    def words(self) -> list[Word]:
        """As sets of tokens."""
        return [tuple(frozenset(map(DNA.symbols.index, SETS[letter])) for letter in site) for site in self.sites]

    @cached_property
    def _patterns(self) -> list[tuple[re.Pattern[bytes], int]]:
        classes = [("".join(f"[{SETS[letter]}]" for letter in site), len(site)) for site in self.sites]
        return [(re.compile(f"(?={pattern})".encode()), length) for pattern, length in classes]

    def found(self, text: bytes) -> Iterator[tuple[int, int]]:
        """Where it stands in upper-case text, start and end, overlapping ones too; other letters than ACGT are none."""
        for pattern, length in self._patterns:
            for match in pattern.finditer(text):
                yield match.start(), match.start() + length


def _is_enzyme(name: str) -> bool:
    from Bio.Restriction.Restriction_Dictionary import rest_dict

    return name in rest_dict


def _enzyme(name: str) -> tuple[str, str]:
    """An enzyme's name, as it is written, and its site."""
    from Bio.Restriction.Restriction_Dictionary import rest_dict

    known = {enzyme.lower(): enzyme for enzyme in rest_dict}
    if name.lower() in known:
        enzyme = known[name.lower()]
        return enzyme, rest_dict[enzyme]["site"]
    near = difflib.get_close_matches(name.lower(), list(known), n=3, cutoff=0.7)
    hint = f"; did you mean {', '.join(known[guess] for guess in near)}?" if near else ""
    raise UsageError(
        f"--forbid {name}: neither a word of the letters {''.join(SETS)} nor an enzyme that Biopython knows{hint}"
    )
