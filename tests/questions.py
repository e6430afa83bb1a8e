"""What every question of an evaluation keeps to."""

import json
from functools import partial

import pytest
import torch
from pydantic import TypeAdapter

from seqdiff.diffusion.likelihood import Elbo
from seqdiff.diffusion.samplers import Ancestral
from seqdiff.evaluate import QUESTIONS, QuestionConfig
from seqdiff.report import draw


class Bounded:
    """What scores an oracle's sequences: the any-order bound."""

    labels, fills_masks, exact = (), True, False

    def bound(self, *, strata, replicates):
        return partial(Elbo(strata=strata, replicates=replicates), self.denoise)

    def sampler(self):
        return Ancestral()

    def asked_by(self, sampler):
        return self.denoise

    def labelled(self, label):
        raise AssertionError("this model is told no classes")


def keeps_the_contract(name, settings, model, data, folder):
    """Found by name, refuses unknown settings, deterministic, JSON, a table without holes, a figure."""
    question = TypeAdapter(QuestionConfig).validate_python({"question": name, **settings})
    assert type(question) is QUESTIONS[name]
    with pytest.raises(ValueError, match="Extra inputs"):
        QUESTIONS[name](seeed=1)
    answer = question.ask(model, data)
    assert answer.question == answer.summary["question"] == name
    assert json.loads(json.dumps(answer.summary, allow_nan=False)) == answer.summary
    torch.manual_seed(1)
    assert question.ask(model, data).summary == answer.summary
    _, columns, rows = answer.table()
    assert rows
    assert all(len(row) == len(columns) and all(isinstance(cell, str) for cell in row) for row in rows)
    draw(folder / "figure.png", name, answer.summary)
    assert (folder / "figure.png").stat().st_size > 10_000
