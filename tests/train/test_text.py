"""A run on text: it learns, resumes, is used without its file, and is evaluated beside Markov models."""

import pytest

from seqdiff import model as models
from seqdiff import recipe
from seqdiff.errors import TrainingError
from seqdiff.evaluate.likelihood import Likelihood
from seqdiff.train import loop

VALUES = """
schema: 1
name: small
seed: 3
process: {kind: masked}
denoiser: {kind: convolution, width: 16, depth: 2, kernel: 3}
training: {steps: 40, batch_size: 8, learning_rate: 0.01, ema: 0.8, validate_every: 20, validation_windows: 16,
           save_every: 20}
data: {kind: text, context: 32, file: words.txt, splits: {valid: 0.1, test: 0.1}}
"""
WORDS = ["ça va bien", "où est-il", "là-bas au café", "été comme hiver", "dis donc"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = [f"{WORDS[i * i % 5]} {WORDS[i * i * i % 5]} {i % 97}" for i in range(400)]
    (tmp_path / "words.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (tmp_path / "small.yaml").write_text(VALUES)
    return tmp_path


@pytest.mark.parametrize("mode", ["stream", "documents"])
def test_a_run_on_text_learns_and_is_used_without_the_file(folder, mode):
    given = recipe.load("small.yaml", [f"data.mode={mode}"])
    stopped = loop.train(given, "run", device="cpu", quiet=True)
    model = models.load("run", device="cpu")
    symbols = model.alphabet.symbols
    assert symbols == "".join(sorted(set((folder / "words.txt").read_text()) - set("\n" * (mode == "documents"))))
    assert stopped.nats_per_symbol < 3.0  # of ln 27 = 3.3 and more
    assert loop.train(given, "run", resume=True, device="cpu", quiet=True).step == 40

    answer = Likelihood(bases=1000, order=2).ask(model, model.recipe.data.open())
    assert answer.summary["unit"] == "character"
    assert answer.summary["model"]["bits"] < 4.5
    assert len(answer.summary["markov"]) == 3

    (folder / "words.txt").unlink()
    again = models.load("run", device="cpu")
    filled = again.infill(["ça va ����"], seed=1)[0]
    assert filled.startswith("ça va ")
    assert set(filled) <= set(symbols)
    lengths = [length for length, _ in again.facts["lengths"]] if mode == "documents" else []
    assert bool(lengths) == (mode == "documents")


def test_another_text_does_not_resume_a_run(folder):
    given = recipe.load("small.yaml", ["training.steps=2", "training.validate_every=2"])
    loop.train(given, "run", device="cpu", quiet=True)
    with open("words.txt", "a") as file:
        file.write("dis donc\n")
    with pytest.raises(TrainingError, match="data or their splits have changed"):
        loop.train(given, "run", resume=True, device="cpu", quiet=True)
    with open("words.txt", "a") as file:
        file.write("zut!\n")
    with pytest.raises(TrainingError, match=r"data\.characters"):
        loop.train(given, "run", resume=True, device="cpu", quiet=True)
