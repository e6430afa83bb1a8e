"""Two gloo processes under torchrun train what one process trains with the whole batch."""

import os
import socket
import subprocess
import sys

import numpy as np
import pytest
from safetensors.torch import load_file
from stories import tiny_recipe, write_genome

from seqdiff import recipe
from seqdiff.alphabet import PROTEIN
from seqdiff.checkpoint import RunFolder
from seqdiff.train.loop import train


def torchrun(processes, arguments):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(processes),
        "--master-port", str(port), "-m", "seqdiff", *arguments,
    ]  # fmt: skip
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)


def of_dna(folder):
    return tiny_recipe(write_genome(folder / "genome.fa"))


def of_letters(folder):
    """A process that learns schedules with the network, used outside of its forward pass."""
    network = {"kind": "convolution", "width": 16, "hidden": 16, "depth": 2, "time_conditioning": True}
    learns = {"process": {"kind": "genmasked"}, "denoiser": network}
    return recipe.parse(of_dna(folder).model_dump(mode="json", by_alias=True) | learns, "tiny")


def of_proteins(folder):
    """Rows of each bucket that two processes cannot share alike, in pieces of other sizes."""
    rng = np.random.default_rng(0)
    proteins = ["".join(rng.choice(list(PROTEIN.symbols), n)) for n in rng.integers(17, 41, 100)]
    fasta = folder / "proteins.fa"
    fasta.write_text("".join(f">p{i}\n{protein}\n" for i, protein in enumerate(proteins)))
    data = {"kind": "protein", "fasta": str(fasta), "context": 40, "splits": {"valid": 0.1, "test": 0.1}}
    made = tiny_recipe(fasta, micro_batch_size=2)
    made = recipe.parse(made.model_dump(mode="json", by_alias=True) | {"data": data}, "tiny")
    loader = made.data.open().loader(made.seed, made.training.batch_size)
    assert {loader.rows(step) % 2 for step in range(1, made.training.steps)} == {0, 1}
    return made


@pytest.mark.parametrize("of", [of_dna, of_letters, of_proteins])
def test_two_processes_train_the_same_losses_as_one(tmp_path, of):
    trained = of(tmp_path)
    file = tmp_path / "tiny.yaml"
    file.write_text(trained.to_yaml())
    train(trained, tmp_path / "one", quiet=True, device="cpu")
    result = torchrun(2, ["train", str(file), "--out", str(tmp_path / "two"), "--device", "cpu"])
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("the model is in") == 1
    one, two = (RunFolder(tmp_path / name).read_metrics() for name in ("one", "two"))
    assert [row["step"] for row in one] == [row["step"] for row in two]
    for a, b in zip(one, two):
        assert a.keys() == b.keys()
        for key in a.keys() - {"tokens_per_second"}:
            assert a[key] == pytest.approx(b[key], rel=5e-4), key
    first, second = (load_file(RunFolder(tmp_path / name).weights_file) for name in ("one", "two"))
    for name, tensor in first.items():
        assert (tensor - second[name]).abs().max() < 1e-3, name


def test_an_error_is_one_message_from_every_rank_and_not_a_hang(tmp_path):
    file = tmp_path / "tiny.yaml"
    file.write_text(tiny_recipe(write_genome(tmp_path / "genome.fa"), batch_size=7).to_yaml())
    result = torchrun(2, ["train", str(file), "--out", str(tmp_path / "run"), "--device", "cpu"])
    assert result.returncode != 0
    assert "cannot be shared by 2 processes" in result.stderr
    assert not (tmp_path / "run").exists()
