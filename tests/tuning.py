"""A small run to tune from, and labelled rows that are easy to learn."""

from pathlib import Path

import numpy as np
import torch
import yaml
from stories import SETTINGS

from seqdiff import recipe
from seqdiff.checkpoint import Provenance, RunFolder

QUICK = [
    "training.optimizer=adamw", "training.matrix_learning_rate=null",
    "training.epochs=4", "training.batch_size=32", "training.learning_rate=0.02", "training.head_learning_rate=0.02",
    "training.validations_per_epoch=1", "readout.hidden=8", "training.ema=0.5",
]  # fmt: skip
"""Settings of the recipe `probe` for networks that learn in a second."""

TINY = {"kind": "convolution", "width": 12, "hidden": 12, "depth": 2, "kernel": 3}


def base_run(folder: Path, denoiser: dict | None = None, context: int = 32) -> Path:
    """A run of fresh weights, as if it had been trained."""
    values = SETTINGS | {
        "data": {"kind": "dna", "fasta": "nowhere.fa", "context": context},
        "denoiser": denoiser or TINY,
    }
    made = recipe.parse(yaml.safe_load(yaml.safe_dump(values)), "base")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = made.network()
    run = RunFolder(folder)
    run.write_recipe(made)
    run.write_weights(network.state_dict(), Provenance("DNA", context, "nowhere", "", 1))
    return folder


def motif_rows(count: int, seed: int, motif: str = "GCGGCGGC", length: tuple[int, int] = (20, 32)) -> list[str]:
    """Sequences, every second of which has the motif somewhere."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(count):
        letters = "".join(rng.choice(list("ACGT"), rng.integers(*length), p=[0.35, 0.15, 0.15, 0.35]))
        if number % 2:
            at = rng.integers(0, len(letters) - len(motif))
            letters = letters[:at] + motif + letters[at + len(motif) :]
        rows.append(letters)
    return rows


def write_rows(path: Path, rows: list[str], label=lambda number, text: ("without", "with")[number % 2]) -> Path:
    """A table of sequences and labels."""
    lines = [f"{text},{label(number, text)}" for number, text in enumerate(rows)]
    path.write_text("sequence,label\n" + "\n".join(lines) + "\n")
    return path
