"""The page of a table of filled letters: what stands in it, summed in one pass, its gaps as logos.

`FilledTable` -> `Tally` (exact sums, a bounded choice of gaps) -> figures and tables -> a page
"""

from seqdiff.report.filled.page import filled_page
from seqdiff.report.filled.tally import Tally

__all__ = ["Tally", "filled_page"]
