"""Pages of scored variants, of a genome (`variants_page`) and of a protein (`mutants_page`).

A scored file, read once -> sums by class, extremes, what lies where -> figures and tables -> a page
"""

from seqdiff.report.scored.mutants_page import mutants_page
from seqdiff.report.scored.variants_page import variants_page

__all__ = ["mutants_page", "variants_page"]
