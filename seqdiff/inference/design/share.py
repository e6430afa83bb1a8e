"""A range for the share of G and C among the letters that are filled."""

import re
from dataclasses import dataclass
from fractions import Fraction

from seqdiff.diffusion.constraints import Share
from seqdiff.errors import UsageError

NUMBER = re.compile(r"\d+(\.\d*)?|\.\d+")


@dataclass(frozen=True)
class GC:
    """From `low` to `high`, both included, exactly as written."""

    low: Fraction
    high: Fraction
    text: str

    @classmethod
    def parse(cls, text: str) -> "GC":
        """`0.4-0.6`, `40%-60%` or `40-60%`.

        >>> print(GC.parse("40-60%").low, GC.parse("0.4-0.6").high)
        2/5 3/5
        """
        parts = [part.strip() for part in text.split("-")]
        numbers = [part.removesuffix("%").strip() for part in parts]
        if len(parts) != 2 or not all(NUMBER.fullmatch(number) for number in numbers):
            raise UsageError(f"--gc {text}: write it as 0.4-0.6 or 40%-60%")
        percent = [part.endswith("%") or (part is parts[0] and parts[1].endswith("%")) for part in parts]
        low, high = (Fraction(number) / (100 if hundred else 1) for number, hundred in zip(numbers, percent))
        if not 0 <= low <= high <= 1:
            hint = "; with %, if these are percentages" if high > 1 and not any(percent) else ""
            raise UsageError(f"--gc {text}: from low to high, between 0 and 1 (0% and 100%){hint}")
        return cls(low, high, text)

    @property
    def share(self) -> Share:
        """Of tokens 1 and 2, C and G."""
        return Share(self.low, self.high, counted=(1, 2))
