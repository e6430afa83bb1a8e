import json

import pytest
import torch
from pydantic import TypeAdapter

from seqdiff.evaluate import QUESTIONS, QuestionConfig
from seqdiff.report import draw


@pytest.mark.parametrize("name", list(QUESTIONS))
def test_questions_contract(name, oracle, data, variants, tmp_path):
    """Every question: found by name, refuses unknown settings, deterministic, JSON, a table without holes, a figure."""
    quick = {"bases": 4000, "order": 2, "gap": 4, "flank": 8} | (variants if name == "variants" else {})
    small = {setting: value for setting, value in quick.items() if setting in QUESTIONS[name].model_fields}
    question = TypeAdapter(QuestionConfig).validate_python({"question": name, **small})
    assert type(question) is QUESTIONS[name]
    with pytest.raises(ValueError, match="Extra inputs"):
        QUESTIONS[name](seeed=1)
    answer = question.ask(oracle, data)
    assert answer.question == answer.summary["question"] == name
    assert json.loads(json.dumps(answer.summary, allow_nan=False)) == answer.summary
    torch.manual_seed(1)
    assert question.ask(oracle, data).summary == answer.summary
    _, columns, rows = answer.table()
    assert rows
    assert all(len(row) == len(columns) and all(isinstance(cell, str) for cell in row) for row in rows)
    draw(tmp_path / "figure.png", name, answer.summary)
    assert (tmp_path / "figure.png").stat().st_size > 10_000
