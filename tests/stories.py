"""A tiny run that tests share: a small genome with structure to learn, a small network, a few steps."""

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from seqdiff import recipe
from seqdiff.checkpoint import RunFolder
from seqdiff.recipe import Recipe

SETTINGS = {
    "schema": 1,
    "name": "tiny",
    "seed": 3,
    "process": {"kind": "masked"},
    "denoiser": {"kind": "convolution", "width": 16, "hidden": 16, "depth": 2},
    "training": {
        "steps": 12, "batch_size": 8, "learning_rate": 1e-2, "warmup_steps": 2, "validate_every": 6,
        "validation_windows": 4, "save_every": 4, "log_every": 1, "ema": 0.5,
    },
}  # fmt: skip


def write_genome(path: Path, length: int = 6000) -> Path:
    """A FASTA of a repeated motif with a little noise: learnable in seconds."""
    rng = np.random.default_rng(0)
    letters = np.frombuffer(b"ACGTTGCA" * (length // 8), np.uint8).copy()
    noisy = rng.random(len(letters)) < 0.05
    letters[noisy] = rng.choice(np.frombuffer(b"ACGT", np.uint8), noisy.sum())
    text = letters.tobytes().decode()
    path.write_text(">chrA\n" + "\n".join(text[i : i + 60] for i in range(0, len(text), 60)) + "\n")
    return path


def tiny_recipe(fasta: Path, **training: object) -> Recipe:
    values = SETTINGS | {
        "data": {"kind": "dna", "fasta": str(fasta), "context": 32, "splits": {"valid": 0.1, "test": 0.1}},
        "training": SETTINGS["training"] | training,
    }
    return recipe.parse(values, "tiny")


def curve(folder: Path) -> list[dict[str, object]]:
    """The metrics of a run, but for its speed."""
    return [{k: v for k, v in row.items() if k != "tokens_per_second"} for row in RunFolder(folder).read_metrics()]


def same_weights(a: Path, b: Path) -> bool:
    """Whether the models of two runs are the same to the last bit."""
    first, second = load_file(RunFolder(a).weights_file), load_file(RunFolder(b).weights_file)
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)
