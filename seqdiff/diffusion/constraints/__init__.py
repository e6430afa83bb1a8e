"""What a filled sequence must obey as a whole: forbidden words, allowed triplets, a share of some letters.

words, triplets -> `Memory`, a finite automaton over letters (`memory.py`)
Memory, a record's letters, its bounds on a share -> `Course` (`course.py`): how probable it is, from any state on,
that a way of filling what is left obeys everything -> `Guide`, by which particles are steered
"""

from seqdiff.diffusion.constraints.course import MOST_ENTRIES, Course, Guide, Rules, Share, TooLarge
from seqdiff.diffusion.constraints.memory import Memory, Word

__all__ = ["MOST_ENTRIES", "Course", "Guide", "Memory", "Rules", "Share", "TooLarge", "Word"]
