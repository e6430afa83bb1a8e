"""What a model of images draws for its page: new images, and held-out ones with their middle filled."""

from typing import TYPE_CHECKING, Any

from seqdiff.cli import options

if TYPE_CHECKING:
    from seqdiff.model import Model
    from seqdiff.report.page import Picture

SAMPLES = 16
EACH = 8
"""New images of a class, in a row."""
HELD_OUT = 4
LABELS = 10
"""Classes that are shown."""
FILLINGS = 4


def pictures_of(model: "Model", data: Any, seed: int, quiet: bool) -> "list[Picture]":
    """New images, of each class where there are classes; and for a model that fills masks, held-out images whose middle
    is hidden, each with several fillings."""
    import numpy as np

    from seqdiff.data.image_files import written
    from seqdiff.diffusion.samplers import PRESETS
    from seqdiff.report.grid import grid
    from seqdiff.report.page import Picture

    sampler = PRESETS["fast"] if model.fills_masks else None
    told = [model.labelled(label) for label in model.labels[:LABELS]]
    with options.progress("images", "row", quiet, len(told) or 1) as advance:
        if told:
            rows = []
            for one in told:
                rows.append(one.sample_images(EACH, sampler, seed=seed))
                advance(1)
            drawn, columns = np.concatenate(rows), EACH
            of = f"A row each of the classes {', '.join(model.labels[:LABELS])}: images drawn where the class was told."
        else:
            drawn, columns = model.sample_images(SAMPLES, sampler, seed=seed), 4
            of = "Images that the model drew."
            advance(1)
    how = f"sampler {sampler.kind}, {sampler.steps} steps" if sampler else f"sampler {model.sampler().kind}"
    found = [Picture(f"{of} ({how}, seed {seed})", f"A grid of {len(drawn)} images.", written(grid(drawn, columns)))]
    if model.fills_masks:
        found.append(Picture(*_inpainted(model, data, sampler, seed)))
    return found


def _inpainted(model: "Model", data: Any, sampler: Any, seed: int) -> tuple[str, str, bytes]:
    import numpy as np

    from seqdiff.data.image_files import written
    from seqdiff.inference.images import hidden_by
    from seqdiff.report.grid import coloured, covered, grid

    canvas = model.canvas
    tokens = data.test.batch(np.arange(min(HELD_OUT, len(data.test)))).tokens.numpy()
    images = np.stack([model.alphabet.values(row).reshape(canvas.grid) for row in tokens])
    hidden = hidden_by("center", canvas.grid)
    filled = model.infill_images(images, hidden, sampler, seed=seed, samples=FILLINGS)
    shown: list[np.ndarray] = []
    for image, fillings in zip(images, filled, strict=True):
        shown += [coloured(image), covered(image, hidden), *(coloured(one) for one in fillings)]
    return (
        f"Held-out images, their middle hidden (blue), and {FILLINGS} fillings of it",
        f"{len(images)} rows: an image, the same with its middle covered, {FILLINGS} with the middle filled.",
        written(grid(np.stack(shown), FILLINGS + 2)),
    )
