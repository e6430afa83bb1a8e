"""Several processes train what one trains with the whole batch: whole networks and networks in shards."""

import numpy as np
import pytest
from processes import trained
from safetensors import safe_open
from safetensors.torch import load_file
from stories import tiny_recipe, write_genome

from seqdiff import recipe as recipes
from seqdiff.alphabet import ALIGNED, PROTEIN
from seqdiff.checkpoint import RunFolder

SHARDED = "training.sharding=full"


def proteins(folder):
    """Rows of each bucket that four processes cannot share alike."""
    rng = np.random.default_rng(0)
    fasta = folder / "proteins.fa"
    made = ["".join(rng.choice(list(PROTEIN.symbols), n)) for n in rng.integers(17, 41, 100)]
    fasta.write_text("".join(f">p{i}\n{protein}\n" for i, protein in enumerate(made)))
    return {"kind": "protein", "fasta": str(fasta), "context": 40, "splits": {"valid": 0.1, "test": 0.1}}


def species(folder):
    """Windows of two genomes, which the network is told apart."""
    genomes = {name: {"fasta": str(write_genome(folder / f"{name}.fa")), "splits": SPLITS} for name in ("a", "b")}
    return {"kind": "species", "genomes": genomes, "context": 32}


def family(folder):
    rng = np.random.default_rng(0)
    rows = np.repeat(rng.integers(0, 20, (30, 24)), 4, 0)
    moved = rng.random(rows.shape) < 0.05
    rows[moved] = rng.integers(0, 20, moved.sum())
    fasta = folder / "family.fa"
    fasta.write_text("".join(f">s{i}\n{''.join(ALIGNED.symbols[j] for j in row)}\n" for i, row in enumerate(rows)))
    return {"kind": "family", "alignment": str(fasta)}


SPLITS = {"valid": 0.1, "test": 0.1}
CONVOLUTION = {"kind": "convolution", "width": 16, "hidden": 16, "depth": 2}
TRANSFORMER = {"kind": "transformer", "width": 16, "depth": 2, "heads": 2, "hidden": 16}
RECIPES = {
    "dna": {},
    "unclipped": {"training": {"clip": None}},
    "letters": {"process": {"kind": "genmasked"}, "denoiser": CONVOLUTION | {"time_conditioning": True}},
    "proteins": {"data": proteins, "training": {"micro_batch_size": 1}},
    "species": {"data": species, "denoiser": TRANSFORMER, "training": {
        "optimizer": "muon", "matrix_learning_rate": 0.01, "activation_checkpointing": True, "micro_batch_size": 1}},
    "family": {"data": family, "process": {"kind": "masked", "estimator": "hollow"}, "denoiser": {"kind": "pairwise"}},
    "caduceus": {"denoiser": {"kind": "caduceus", "width": 8, "depth": 2, "tie_embedding": True}},
}  # fmt: skip
RUNS = [
    *((name, 1, False) for name in RECIPES),
    *((name, 2, True) for name in RECIPES if name != "dna"),
    *((name, 2, False) for name in ("dna", "unclipped", "letters")),
    *((name, 4, sharded) for name in ("dna", "proteins") for sharded in (False, True)),
]


def written(folder, name):
    """The recipe of that name as a file."""
    changes = RECIPES[name]
    made = tiny_recipe(write_genome(folder / "genome.fa"), **changes.get("training", {}), steps=6, validate_every=3)
    values = made.model_dump(mode="json", by_alias=True) | {
        k: changes[k] for k in ("process", "denoiser") if k in changes
    }
    if "data" in changes:
        values["data"] = changes["data"](folder)
    file = folder / f"{name}.yaml"
    file.write_text(recipes.parse(values, name).to_yaml())
    return str(file)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The folder of each run of RUNS; all are trained by one process's children."""
    folder = tmp_path_factory.mktemp("runs")
    files = {name: written(folder, name) for name in RECIPES}
    out = {run: folder / "-".join(map(str, run)) for run in RUNS}
    jobs = [
        {"recipe": files[name], "out": str(out[name, world, sharded]), "world": world, "set": [SHARDED] * sharded}
        for name, world, sharded in RUNS
    ]
    codes, said = trained(jobs)
    for (_, world, _), code in zip(RUNS, codes, strict=True):
        assert code == [0] * world, said
    return {run: RunFolder(path) for run, path in out.items()}


@pytest.mark.parametrize("run", [run for run in RUNS if run[1] > 1], ids=str)
def test_many_processes_train_the_same_losses_as_one(runs, run):
    one, many = runs[run[0], 1, False], runs[run]
    first, second = one.read_metrics(), many.read_metrics()
    assert [row["step"] for row in first] == [row["step"] for row in second]
    for a, b in zip(first, second, strict=True):
        assert a.keys() == b.keys()
        for key in a.keys() - {"tokens_per_second"}:
            assert a[key] == pytest.approx(b[key], rel=5e-4, abs=1e-5), key
    alike(one.weights_file, many.weights_file)
    alike(one.state_file, many.state_file)


def alike(one, other, tolerance=1e-3):
    """Two files of the same tensors, up to rounding."""
    with safe_open(one, "pt") as a, safe_open(other, "pt") as b:
        assert set(a.keys()) == set(b.keys())
        for name in a.keys():  # noqa: SIM118
            first, second = a.get_tensor(name), b.get_tensor(name)
            assert first.dtype == second.dtype, name
            assert first.shape == second.shape, name
            assert (first - second).abs().max() < tolerance, name


def test_shards_are_saved_as_what_is_whole_is_to_the_last_bit(runs):
    """Where the arithmetic is the same: that of the mean of two gradients is, that of a norm to clip by is not."""
    whole, sharded = (load_file(runs["unclipped", 2, cut].state_file) for cut in (False, True))
    assert all(whole[name].equal(sharded[name]) for name in whole)


@pytest.fixture(scope="module")
def resumed(tmp_path_factory):
    """A run that was stopped three times and went on with another number of processes; and runs with dropout."""
    folder = tmp_path_factory.mktemp("resumed")
    file = written(folder, "dna")
    out = {name: str(folder / name) for name in ("chain", "whole", "dropout", "stopped")}
    dropout = ["denoiser.dropout=0.2"]

    def job(name, world, **more):
        return {"recipe": file, "out": out[name], "world": world, **more}

    codes, said = trained([
        job("whole", 1),
        job("chain", 1, stop=2),
        job("chain", 4, stop=2, set=[SHARDED], resume=True),
        job("chain", 2, stop=2, resume=True),
        job("chain", 1, resume=True, set=[SHARDED]),
        job("dropout", 2, set=dropout),
        job("stopped", 2, set=dropout, stop=3),
        job("stopped", 2, set=dropout, resume=True),
    ])  # fmt: skip
    assert all(code == 0 for each in codes for code in each), said
    return {name: RunFolder(path) for name, path in out.items()}


def test_it_resumes_with_any_number_of_processes_sharded_or_not(resumed):
    chain, whole = resumed["chain"].read_metrics(), resumed["whole"].read_metrics()
    assert [row["step"] for row in chain] == [row["step"] for row in whole]
    for a, b in zip(chain, whole, strict=True):
        assert {key: a[key] for key in a if key != "tokens_per_second"} == {
            key: pytest.approx(b[key], rel=5e-4) for key in b if key != "tokens_per_second"
        }
    alike(resumed["chain"].state_file, resumed["whole"].state_file)


def test_dropout_resumes_to_the_last_bit_on_as_many_processes(resumed):
    one, other = (load_file(resumed[name].state_file) for name in ("dropout", "stopped"))
    assert all(one[name].equal(other[name]) for name in one)


def test_an_error_of_all_is_one_message_and_not_a_hang(tmp_path):
    file, out = written(tmp_path, "dna"), tmp_path / "run"
    codes, said = trained([{"recipe": file, "out": str(out), "world": 3}])
    assert codes == [[1, 1, 1]]
    why = "training.batch_size 8 cannot be shared by 3 processes; make it a multiple"
    assert said.count(f"errors.ConfigError: {why}") >= 1
    assert said.count(f"heartbeat.ToldElsewhere: {why}") == 2
    assert not out.exists()
