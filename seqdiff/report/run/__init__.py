"""The page of a run: what was trained on what, how it went, and what it came to.

A `Run` (what is known, plain values) -> a Page; each section has a file.
"""

from seqdiff.report.run.page import run_page
from seqdiff.report.run.run import Run

__all__ = ["Run", "run_page"]
