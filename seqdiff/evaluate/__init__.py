"""Honest numbers on held-out sequence: a question a file, each beside the rival that it has to beat.

A question is a frozen config with `question` and `ask(model, data, progress) -> Answer`; a new one is a file
here and its name in `QuestionConfig`.
"""

from typing import Annotated, get_args

from pydantic import Field

from seqdiff.evaluate.answer import Answer, Progress, Table
from seqdiff.evaluate.calibration import Calibration
from seqdiff.evaluate.likelihood import Likelihood
from seqdiff.evaluate.recovery import Recovery

QuestionConfig = Annotated[Likelihood | Recovery | Calibration, Field(discriminator="question")]
"""Any question."""

QUESTIONS = {kind.model_fields["question"].default: kind for kind in get_args(get_args(QuestionConfig)[0])}
"""By name, in the order in which they are asked."""

__all__ = ["QUESTIONS", "Answer", "Calibration", "Likelihood", "Progress", "QuestionConfig", "Recovery", "Table"]
