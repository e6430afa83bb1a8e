"""A comparison of two tiny systems on a tiny genome, trained in this process."""

import copy

import pytest
import yaml
from stories import SETTINGS, write_genome

from seqdiff.compare import settings


@pytest.fixture
def values(tmp_path):
    """The plain values of a comparison that takes a second."""
    base = copy.deepcopy(SETTINGS)
    base["name"] = "base"
    base["data"] = {
        "kind": "dna", "fasta": str(write_genome(tmp_path / "genome.fa")), "context": 32,
        "splits": {"valid": 0.1, "test": 0.1},
    }  # fmt: skip
    return {
        "kind": "compare", "schema": 1, "name": "tiny", "base": base,
        "systems": [
            {"name": "masked", "label": "MD4"},
            {"name": "hollow", "set": {
                "process": {"kind": "masked", "estimator": "hollow"},
                "denoiser": {"kind": "hollow-convolution", "width": 8, "depth": 2, "radius": 2, "cycle": 2},
            }},
        ],
        "budget": {"tokens": 8 * 32 * 12},
        "evaluation": {"letters": 400, "order": 2, "strata": 2},
        "samples": {"number": 4, "word": 2},
    }  # fmt: skip


@pytest.fixture
def write(tmp_path, values):
    """Writes the comparison with some of its values changed; returns the file's path."""

    def write(**changed):
        path = tmp_path / "tiny.yaml"
        path.write_text(yaml.safe_dump(values | changed))
        return str(path)

    return write


@pytest.fixture
def load(write):
    """The comparison with some of its values changed."""
    return lambda **changed: settings.load(write(**changed))
