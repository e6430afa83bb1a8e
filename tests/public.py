"""Small protein networks with random weights, saved and answered by the public implementations: see make_public.py."""

import shutil
from pathlib import Path

import numpy as np
import torch

from seqdiff.alphabet import PROTEIN

FOLDER = Path(__file__).parent / "imports" / "public"
FILES = {"evodiff": "oaar-tiny.tar", "evodiff-rank": "oaar-rank.tar", "carp": "carp_tiny.pt"}
"""The names of those that are a file, not a folder."""


def path(name):
    """What is given to `seqdiff import`."""
    return FOLDER / name / FILES.get(name, "")


def copy(name, place):
    """The same, to be changed."""
    place.mkdir(parents=True, exist_ok=True)
    shutil.copytree(FOLDER / name, place / name)
    return place / name / FILES.get(name, "")


def answers(name, what="logits"):
    """The rows as tokens, and what the public implementation says of each: (length, columns)."""
    with np.load(FOLDER / name / "io.npz") as file:
        rows = [
            torch.from_numpy(PROTEIN.encode(str(row).replace("#", "X").encode()).astype(int)) for row in file["text"]
        ]
        return rows, [torch.from_numpy(file[f"{what}_{number}"]) for number in range(len(rows))]


def padded(rows):
    """The rows as one batch."""
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=PROTEIN.pad)


def change_weights(file, change):
    """Apply `change` to the tensors of a saved file by name, in place."""
    if file.suffix == ".safetensors":
        from safetensors.torch import load_file, save_file

        tensors = load_file(file)
        change(tensors)
        save_file(tensors, file)
    else:
        saved = torch.load(file, weights_only=True)
        change(saved.get("model_state_dict", saved))
        torch.save(saved, file)
