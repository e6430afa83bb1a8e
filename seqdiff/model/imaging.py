"""What a model does with images."""

import numpy as np
from jaxtyping import Bool, UInt8

from seqdiff.data.levels import Levels
from seqdiff.diffusion.likelihood import ScorerConfig
from seqdiff.diffusion.samplers import Sampler
from seqdiff.errors import UsageError
from seqdiff.inference.images import Canvas, some
from seqdiff.inference.score import RecordScore
from seqdiff.model.filling import Fills
from seqdiff.model.scoring import Scores


class Images(Fills, Scores):
    """A model of images takes and gives arrays of values, 0 to 255: images x rows x columns x channels."""

    @property
    def canvas(self) -> Canvas:
        """The shape and levels of its images. Raises UsageError for a model of other things."""
        grid, levels = self.recipe.data.grid, self.alphabet
        if grid is None or not isinstance(levels, Levels):
            raise UsageError(f"{self.recipe.name} was trained on {self.alphabet.name}, not on images")
        return Canvas(grid, levels)

    def sample_images(
        self, count: int, sampler: Sampler | None = None, *, seed: int = 0
    ) -> UInt8[np.ndarray, "count H W C"]:
        """New images."""
        canvas, found = self.canvas, []
        for part in some((canvas.blank(f"sample{place}") for place in range(1, count + 1)), canvas.together):
            found += [canvas.values(result.record) for result in self.infill_records(part, sampler, seed=seed)]
        return np.array(found, np.uint8).reshape(count, *canvas.grid)

    def infill_images(
        self,
        images: UInt8[np.ndarray, "N H W C"],
        hidden: Bool[np.ndarray, "H W"] | Bool[np.ndarray, "N H W"],
        sampler: Sampler | None = None,
        *,
        seed: int = 0,
        samples: int = 1,
    ) -> UInt8[np.ndarray, "N samples H W C"]:
        """Images with their hidden pixels filled `samples` times, all others as they are to the last bit."""
        canvas, found = self.canvas, []
        self._check(images)
        hidden = np.broadcast_to(hidden, images.shape[:3])
        for part in some(range(len(images)), max(1, canvas.together // samples)):
            records = [canvas.record(f"image{item + 1}", images[item], hidden[item]) for item in part]
            for place, result in enumerate(self.infill_records(records, sampler, seed=seed, samples=samples)):
                item = part[place // samples]
                found.append(canvas.filled(images[item], hidden[item], result.record))
        return np.array(found, np.uint8).reshape(len(images), samples, *canvas.grid)

    def score_images(
        self, images: UInt8[np.ndarray, "N H W C"], scorer: ScorerConfig | None = None, *, seed: int = 0
    ) -> list[RecordScore]:
        """A bound on -log p of each image with its standard error, or what else `scorer` says of it."""
        canvas = self.canvas
        self._check(images)
        records = (canvas.record(f"image{number}", image) for number, image in enumerate(images, 1))
        return list(self.score_records(records, scorer, seed=seed))

    def _check(self, images: UInt8[np.ndarray, "N H W C"]) -> None:
        if images.shape[1:] != self.canvas.grid:
            raise UsageError(
                f"{self.recipe.name} is of images of {' x '.join(map(str, self.canvas.grid))} (rows x columns x "
                f"channels), not of {' x '.join(map(str, images.shape[1:]))}"
            )
