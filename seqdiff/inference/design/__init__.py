"""What is asked of designed DNA, from what people write to the constraints of `seqdiff.diffusion.constraints` and back.

--gc 40%-60%, --forbid EcoRI, --translate proteins.fa -> `Design` -> `Task` of a record: the course of its letters
filled record -> `Design.verify`: every constraint checked once more, by reading the letters
"""

from seqdiff.inference.design.coding import Coding, GeneticCode, read_codings
from seqdiff.inference.design.design import PARTICLES, Design, Task
from seqdiff.inference.design.motifs import Motif
from seqdiff.inference.design.share import GC

__all__ = ["GC", "PARTICLES", "Coding", "Design", "GeneticCode", "Motif", "Task", "read_codings"]
