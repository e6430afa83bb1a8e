"""Honest numbers on held-out sequence: a question a file, each beside the rival that it has to beat.

A question is a frozen config with `question` and `ask(model, data, progress) -> Answer`; a new one is a file
here and its name in `QuestionConfig`.
"""

from typing import Annotated

from pydantic import Field

from seqdiff.config import members
from seqdiff.evaluate.answer import Answer, Progress, Table
from seqdiff.evaluate.assay import Assay
from seqdiff.evaluate.calibration import Calibration
from seqdiff.evaluate.couplings import Couplings
from seqdiff.evaluate.likelihood import Likelihood
from seqdiff.evaluate.probe import Probe
from seqdiff.evaluate.recovery import Recovery
from seqdiff.evaluate.samplers import Samplers
from seqdiff.evaluate.spectra import Spectra
from seqdiff.evaluate.variants import Variants

QuestionConfig = Annotated[
    Likelihood | Recovery | Calibration | Samplers | Spectra | Variants | Assay | Probe | Couplings,
    Field(discriminator="question"),
]
"""Any question."""

QUESTIONS = members(QuestionConfig, "question")
"""By name, in the order in which they are asked."""

DEFAULT = ("likelihood", "recovery", "calibration")
"""The questions that are asked where none is named: those that need no more than the run, in minutes."""

WITHOUT_DATA = ("assay", "probe")
"""Those that ask nothing of the data that the model was trained on, which need not be there."""

__all__ = [
    "DEFAULT",
    "QUESTIONS",
    "WITHOUT_DATA",
    "Answer",
    "Assay",
    "Calibration",
    "Couplings",
    "Likelihood",
    "Probe",
    "Progress",
    "QuestionConfig",
    "Recovery",
    "Samplers",
    "Spectra",
    "Table",
    "Variants",
]
