"""A toy family that tests share: columns that are coupled in pairs, relatives in groups, written as aligned FASTA."""

from pathlib import Path

import numpy as np

from seqdiff import recipe
from seqdiff.alphabet import ALIGNED
from seqdiff.recipe import Recipe

COLUMNS = 12
QUERY = "TOY_ECOLX/24-35"


def toy_rows(count: int = 400, seed: int = 0) -> list[str]:
    """Columns i and i + 6 are equal nine times out of ten, and A, D, K or W; the query is the first."""
    draw = np.random.default_rng(seed)
    left = draw.integers(0, 4, (count, COLUMNS // 2))
    right = np.where(draw.random(left.shape) < 0.9, left, draw.integers(0, 4, left.shape))
    return ["".join("ADKW"[i] for i in row) for row in np.hstack([left, right])]


def write_family(path: Path, rows: list[str] | None = None) -> Path:
    rows = rows or toy_rows()
    names = [QUERY, *(f"s{i}/1-{len(rows[0])}" for i in range(1, len(rows)))]
    path.write_text("".join(f">{name}\n{row}\n" for name, row in zip(names, rows, strict=True)))
    return path


def toy_recipe(alignment: Path, **parts: dict) -> Recipe:
    """The shipped recipe, made small."""
    loaded = recipe.load("family", [f"data.alignment={alignment}"])
    values = loaded.model_dump(mode="json", by_alias=True)
    small = {"steps": 60, "batch_size": 64, "learning_rate": 0.05, "warmup_steps": 5, "validate_every": 30,
             "validation_windows": 16, "save_every": 30, "ema": 0.9}  # fmt: skip
    values["training"] |= small
    for part, settings in parts.items():
        values[part] = settings if "kind" in settings else values[part] | settings
    return recipe.parse(values, "toy")


def text(row: np.ndarray) -> str:
    return ALIGNED.decode(row).decode()
