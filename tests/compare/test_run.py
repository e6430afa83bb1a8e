"""Comparisons from one end to the other: tiny, and trained in this process."""

import json
from pathlib import Path

import numpy as np
import pytest

from seqdiff import model as models
from seqdiff.checkpoint import RunFolder
from seqdiff.compare import launch, measure, pace, run, table
from seqdiff.compare.launch import Place
from seqdiff.compare.pace import Pace
from seqdiff.errors import ConfigError, TrainingError
from seqdiff.evaluate import Likelihood, heldout
from seqdiff.evaluate.statistics import ratio

PLACE = Place(device="cpu", quiet=True)


@pytest.fixture(autouse=True)
def known_pace(monkeypatch):
    """No trial: every network reads 1,024 letters a second."""

    def measured(recipe, data, device, processes=1):
        parameters = sum(p.numel() for p in recipe.network().parameters())
        return Pace(1024.0, parameters, device.type, 1, processes)

    monkeypatch.setattr(pace, "measured", measured)


class Launches:
    """Trains in this process, and remembers what it trained."""

    def __init__(self):
        self.names = []

    def __call__(self, recipe, folder, place):
        self.names.append(f"{folder.parent.name}/{folder.name}")
        launch.here(recipe, folder, place)


@pytest.fixture
def launches():
    return Launches()


@pytest.fixture
def compare(tmp_path, launches):
    def compare(comparison, **options):
        return run.compare(comparison, tmp_path / "out", **{"place": PLACE, "launch": launches} | options)

    return compare


def rows(summary, half=0):
    return {row["name"]: row for row in summary["halves"][half]["rows"]}


def kept_nats(path):
    return np.array(json.loads(path.read_text())["measured"]["costs"]["answer"]["nats"])


def test_a_table_of_two_systems(compare, load, launches, tmp_path):
    comparison = load()
    summary = compare(comparison)
    assert launches.names == ["tokens/masked-1", "tokens/hollow-1"]
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    found = rows(summary)
    assert list(found)[:3] == ["masked", "hollow", "markov-0"]
    assert list(found)[-1] == "held-out"
    masked, hollow = found["masked"], found["hollow"]
    assert (masked["state"], masked["steps"], masked["letters"]) == ("measured", 12, 8 * 32 * 12)
    assert masked["minutes"] == pytest.approx(8 * 32 * 12 / 1024 / 60)
    assert "difference" not in masked
    assert hollow["difference"]["value"] == pytest.approx(hollow["bits"]["value"] - masked["bits"]["value"])
    assert [point["tokens"] for point in masked["curve"]] == [6 * 256, 12 * 256]
    assert [point["seconds"] for point in masked["curve"]] == [1.5, 3.0]
    # What is in the table is what evaluate says of the run, on windows of its own drawing.
    question = Likelihood(bases=400, strata=2, replicates=2, order=2)
    model = models.load(tmp_path / "out/tiny/tokens/masked-1", "cpu")
    answer = question.ask(model, model.recipe.data.open()).summary
    assert masked["bits"]["value"] == pytest.approx(answer["model"]["bits"])
    assert masked["bits"]["se"] == pytest.approx(answer["model"]["se"])
    assert masked["se_monte_carlo"] == pytest.approx(answer["model"]["se_monte_carlo"])
    best = answer["best_markov"]
    if best:
        assert found[f"markov-{best}"]["bits"]["value"] == pytest.approx(answer["markov"][best]["bits"])
    assert found["markov-0"]["bits"]["value"] == pytest.approx(answer["markov"][0]["bits"])
    assert summary["remarks"] == [
        f"the network of hollow has {hollow['parameters']:,} parameters, "
        f"{abs(hollow['parameters'] / masked['parameters'] - 1):.0%} "
        f"{'more' if hollow['parameters'] > masked['parameters'] else 'less'} than the reference's "
        f"{masked['parameters']:,}"
    ]


def test_differences_are_paired_by_window(compare, load, tmp_path):
    comparison = load()
    found = rows(compare(comparison))
    nats = {}
    for name in ("masked", "hollow"):
        nats[name] = kept_nats(tmp_path / f"out/tiny/tokens/{name}-1.json")
    data, _ = run.opened(comparison)
    items = heldout.draw(data.test, 400, 0)
    letters = (heldout.tokens(data.test, items) < 4).sum(1)
    exact = ratio((nats["hollow"] - nats["masked"]) / np.log(2), letters)
    assert found["hollow"]["difference"]["se"] == pytest.approx(exact.se)
    assert exact.se != pytest.approx(np.hypot(found["hollow"]["bits"]["se"], found["masked"]["bits"]["se"]), rel=0.01)


def test_again_does_nothing_and_gives_the_same(compare, load, launches, monkeypatch):
    first = compare(load())

    def never(*arguments, **settings):
        raise AssertionError("it is known already")

    for place, name in ((pace, "measured"), (measure, "measured"), (measure, "baselines")):
        monkeypatch.setattr(place, name, never)
    launches.names.clear()
    assert compare(load()) == first
    assert launches.names == []


def test_other_questions_are_asked_of_the_same_runs(compare, load, launches):
    first = rows(compare(load()))
    launches.names.clear()
    again = compare(load(samples=None, evaluation={"letters": 200, "order": 0, "strata": 2}))
    assert launches.names == []
    assert again["scored"] < 400
    assert rows(again)["masked"]["bits"] != first["masked"]["bits"]
    assert "distance" not in rows(again)["masked"]
    columns = table.tables(again)[0].columns
    assert not any("apart" in column or column == "calls" for column in columns)


def test_what_is_asked_besides_is_all_that_is_measured(compare, load, monkeypatch):
    compare(load(samples=None))
    asked = []
    real = measure.measured

    def measured(one, parts, *arguments):
        asked.append((one.path.name, list(parts)))
        return real(one, parts, *arguments)

    monkeypatch.setattr(measure, "measured", measured)
    compare(load())
    assert asked == [("masked-1", ["samples"]), ("hollow-1", ["samples"])]
    asked.clear()
    compare(load(evaluation={"letters": 400, "order": 1, "strata": 2}))
    assert asked == []  # another order concerns the Markov chains alone


def test_what_a_network_knows_beside_what_its_process_costs(compare, load):
    """Of masked diffusion both are one; scores cost what their scale is wrong by."""
    told = {"denoiser.time_conditioning": True}
    systems = [{"name": "masked"}, {"name": "score", "set": told | {"process": {"kind": "score"}}}]
    summary = compare(load(systems=systems, evaluation={"letters": 400, "order": 0, "as_masked": True}, samples=None))
    found = rows(summary)
    assert "as_masked" not in found["masked"]
    assert found["score"]["as_masked"]["value"] != pytest.approx(found["score"]["bits"]["value"])
    assert "as masked" in table.tables(summary)[0].columns


def test_a_killed_training_goes_on(compare, load, launches, monkeypatch, tmp_path):
    """It is stopped at step 6 of the second system; then that one goes on, and ends where it would have ended."""
    whole = run.compare(load(), tmp_path / "whole", place=PLACE, launch=launch.here)

    class Killed(BaseException):
        pass

    def killed(recipe, folder, place):
        if "hollow" in folder.name:
            from seqdiff.train.ema import MovingAverage

            update = MovingAverage.update

            def until_six(self, step):
                if step == 6:
                    raise Killed
                update(self, step)

            with monkeypatch.context() as patch:
                patch.setattr(MovingAverage, "update", until_six)
                launch.here(recipe, folder, place)
        launch.here(recipe, folder, place)

    with pytest.raises(Killed):
        compare(load(), launch=killed)
    assert RunFolder(tmp_path / "out/tiny/tokens/hollow-1").state_file.is_file()
    again = compare(load())
    assert launches.names == ["tokens/hollow-1"]
    assert again == whole


def test_one_that_fails_takes_no_other_along(compare, load, launches):
    """In training, in measuring, before it begins; and it is tried again."""

    def fails(recipe, folder, place):
        if folder.name == "masked-1":
            raise TrainingError("it\n  diverged")
        launches(recipe, folder, place)

    found = compare(load(), launch=fails)
    assert rows(found)["masked"]["state"] == "failed"
    assert rows(found)["hollow"]["state"] == "measured"
    assert "difference" not in rows(found)["hollow"]
    assert "MD4 failed: it diverged" in table.remarks(found)
    assert rows(compare(load()))["hollow"]["difference"]


def test_one_that_cannot_be_measured_fails_alone(compare, load, launches, monkeypatch):
    real = measure.measured

    def measured(one, *arguments):
        if one.path.name == "masked-1":
            raise RuntimeError("out of memory")
        return real(one, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(measure, "measured", measured)
        found = rows(compare(load()))
    assert (found["masked"]["state"], found["masked"]["why"]) == ("failed", "RuntimeError: out of memory")
    launches.names.clear()
    assert rows(compare(load()))["masked"]["state"] == "measured"
    assert launches.names == []  # it was trained


def test_one_that_cannot_begin_fails_alone(compare, load, monkeypatch):
    real = pace.measured

    def measured(recipe, *arguments):
        if recipe.name == "masked":
            raise MemoryError("too large")
        return real(recipe, *arguments)

    monkeypatch.setattr(pace, "measured", measured)
    found = rows(compare(load()))
    assert (found["masked"]["state"], found["masked"]["why"]) == ("failed", "MemoryError: too large")
    assert found["hollow"]["state"] == "measured"


def test_only_some_now_and_others_later(compare, load, launches):
    found = compare(load(), only=["hollow"])
    assert launches.names == ["tokens/hollow-1"]
    assert rows(found)["masked"]["state"] == "waiting"
    assert "difference" not in rows(found)["hollow"]
    assert table.tables(found)[0].rows[0][1] == "not run"
    compare(load(), only=["masked"])
    assert launches.names == ["tokens/hollow-1", "tokens/masked-1"]


def test_two_budgets_and_two_seeds(compare, load, launches):
    """Half a second at 1,024 letters a second is two steps of 256."""
    comparison = load(
        systems=[{"name": "masked"}], budget={"tokens": 1024, "minutes": 0.5 / 60}, seeds=[1, 2],
        samples={"number": 4, "word": 2, "length": 8},
    )  # fmt: skip
    summary = compare(comparison)
    assert launches.names == [f"{kind}/masked-{seed}" for kind in ("tokens", "minutes") for seed in (1, 2)]
    by_tokens, by_minutes = (rows(summary, half)["masked"] for half in (0, 1))
    assert (by_tokens["steps"], by_minutes["steps"]) == (4, 2)
    assert by_tokens["seeds_sd"] > 0
    assert [half["amount"] for half in summary["halves"]] == [1024, 0.5 / 60]
    assert len(table.tables(summary)) == 2


def test_the_mean_of_seeds_is_of_the_same_windows(compare, load, tmp_path):
    comparison = load(systems=[{"name": "masked"}], seeds=[1, 2], samples=None)
    row = rows(compare(comparison))["masked"]
    nats = [kept_nats(tmp_path / f"out/tiny/tokens/masked-{seed}.json") for seed in (1, 2)]
    letters = len(nats[0]) * 32
    bits = [n.sum() / letters / np.log(2) for n in nats]
    assert row["bits"]["value"] == pytest.approx(np.mean(bits))
    assert row["seeds_sd"] == pytest.approx(np.std(bits, ddof=1))
    assert row["bits"]["se"] == pytest.approx(ratio(np.mean(nats, 0) / np.log(2), np.full(len(nats[0]), 32)).se)


def test_runs_of_other_settings_are_not_mixed_in(compare, load, launches, tmp_path):
    compare(load())
    launches.names.clear()
    with pytest.raises(ConfigError, match=r"masked-1 was trained with other settings(.|\n)*training.steps: 12 -> 24"):
        compare(load(budget={"tokens": 2 * 8 * 32 * 12}))
    assert launches.names == []


def test_runs_on_data_that_have_changed_since_are_not_measured_on_the_new(compare, load, launches, values):
    comparison = load()
    compare(comparison)
    fasta = Path(values["base"]["data"]["fasta"])
    fasta.write_text(fasta.read_text().replace("TTGCA", "TTGCC"))
    launches.names.clear()
    with pytest.raises(ConfigError, match=r"masked-1 was trained on other data or splits: what is held out now may"):
        compare(comparison)
    assert launches.names == []


def test_a_plan_trains_nothing(compare, load, launches, tmp_path):
    summary = compare(load(), train=False)
    assert launches.names == []
    assert rows(summary)["masked"]["state"] == "waiting"
    assert rows(summary)["masked"]["minutes"] == pytest.approx(0.05)
    assert not (tmp_path / "out/tiny/tokens").exists()


def test_trained_weights_that_are_gone_are_trained_again(compare, load, launches, tmp_path):
    import shutil

    compare(load())
    shutil.rmtree(tmp_path / "out/tiny/tokens/masked-1")
    launches.names.clear()
    compare(load())
    assert launches.names == ["tokens/masked-1"]
