"""`Model`: what a user holds. A trained network with its alphabet, context and recipe, and the verbs.

>>> model = load()
>>> [len(filled) for filled in model.infill(["ACGTNNNNACGT", "NNNN"], seed=1)]
[12, 4]
"""

import logging
from pathlib import Path

from seqdiff import devices, resources
from seqdiff.checkpoint import RunFolder
from seqdiff.model.embedding import Embeds
from seqdiff.model.imaging import Images

logger = logging.getLogger("seqdiff")

SHIPPED = Path(__file__).parents[1] / "pretrained" / "human-chr20"
"""The small model that comes with the package, so that every command runs right after installation."""


class Model(Images, Embeds):
    """A trained network ready for use; `load` makes one. Results are reproducible from `seed` alone."""


def load(run: str | Path | None = None, device: str = "auto") -> Model:
    """The model of a run directory, or of one that ships, by name; without either, the small model of human DNA."""
    folder = RunFolder(SHIPPED if run is None else resources.run_folder(run))
    recipe = folder.read_recipe()
    denoiser = recipe.network()
    provenance = folder.read_weights(denoiser)
    if run is None:
        logger.info(
            "using the model that ships with seqdiff, %s: %s (%s), trained on %s; it is for trying things out, not for "
            "science: give your own with --model RUN",
            SHIPPED.name, recipe.name, provenance.written_by, provenance.data,
        )  # fmt: skip
    return Model(denoiser, recipe, provenance, devices.find(device))
