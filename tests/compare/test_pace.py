import pytest
import torch

from seqdiff.compare import pace
from seqdiff.compare.pace import Pace
from seqdiff.compare.settings import Budget


@pytest.fixture
def recipe(load):
    comparison = load()
    return comparison.recipe(comparison.systems[0], 1)


def test_budgets_are_spent(recipe):
    """8 rows of 32 letters a step."""
    of_mine = Pace(letters_per_second=640.0, parameters=1, device="cpu", threads=1)
    budget = Budget(tokens=2560, minutes=0.5)
    assert of_mine.steps(recipe, budget, "tokens") == 10
    assert of_mine.steps(recipe, budget, "minutes") == round(30 * 640 / 256)
    assert of_mine.steps(recipe, Budget(tokens=1), "tokens") == 1


def test_measured_counts_letters_and_parameters(recipe, monkeypatch):
    """With a clock that ticks once a step, letters a second are letters a step."""
    ticks = iter(range(1000))
    monkeypatch.setattr(pace, "_clock", lambda device: next(ticks))
    data = recipe.data.open()
    found = pace.measured(recipe, data, torch.device("cpu"), seconds=3.0)
    assert found.letters_per_second == pytest.approx(8 * 32)
    assert found.parameters == sum(p.numel() for p in recipe.network().parameters())
    ticks = iter(range(1000))
    assert pace.measured(recipe, data, torch.device("cpu"), 4, seconds=3.0).letters_per_second == pytest.approx(8 * 32)


def test_processor_time_passes(recipe):
    found = pace.measured(recipe, recipe.data.open(), torch.device("cpu"), seconds=0.05)
    assert 0 < found.letters_per_second < 1e8


def test_micro_batches_are_counted_whole(recipe, monkeypatch):
    ticks = iter(range(1000))
    monkeypatch.setattr(pace, "_clock", lambda device: next(ticks))
    small = recipe.model_copy(update={"training": recipe.training.model_copy(update={"micro_batch_size": 3})})
    assert pace.measured(small, small.data.open(), torch.device("cpu"), seconds=3.0).letters_per_second == 256


def test_what_goes_by_steps_keeps_its_share(recipe):
    training = pace.scaled(recipe, 30).training  # of 12, warm-up 2, validation 6, save 4, log 1
    assert (training.steps, training.warmup_steps, training.validate_every) == (30, 5, 15)
    assert (training.save_every, training.log_every) == (10, 3)
    assert pace.scaled(recipe, 12) == recipe
    assert pace.scaled(recipe, 1).training.warmup_steps <= 1
