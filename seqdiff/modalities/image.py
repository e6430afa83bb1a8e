"""Images: every value of every channel of every pixel is a token, row by row from the top left.

a source -> Images -> by the hash of an image, or as the source says -> Pictures
"""

import hashlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from jaxtyping import Float64, Integer, UInt8
from pydantic import Field, model_validator

from seqdiff.config import Config
from seqdiff.data.classes import DROPOUT
from seqdiff.data.image_batches import PictureLoader, Pictures
from seqdiff.data.image_sources import SPLITS
from seqdiff.data.images import DIGIT_LEVELS, DIGIT_SHAPE, DIGITS, Images
from seqdiff.data.levels import Levels
from seqdiff.errors import ConfigError, DataError
from seqdiff.modalities.modality import Modality

log = logging.getLogger("seqdiff")

AT_ONCE = 1024
"""Images that are turned into tokens together."""
COUNTED = 50_000
"""Training images that a profile is counted from, at most."""


class ImageSplits(Config):
    """Shares of the images that are held out. Which ones, their values choose: the same image is never on two sides."""

    valid: float = Field(0.05, gt=0, lt=1)
    """Of the training images; where the source has validation and test images of its own, those are taken."""
    test: float | None = Field(None, gt=0, lt=1)
    """Default: the test images of the source, where it has some, else 0.1."""

    @model_validator(mode="after")
    def _some_left(self) -> "ImageSplits":
        if self.valid + (self.test or 0) >= 1:
            raise ValueError("shares leave something to train on: valid + test < 1")
        return self


class Image(Modality):
    """Images of one size from a folder of PNG or JPEG, IDX, .npz, a table, CIFAR's batches, or `digits`.

    >>> data = Image(source="digits", size=(8, 8), levels=17).open()
    >>> data.alphabet.size, data.config.context, len(data.train), len(data.test)
    (17, 64, 1550, 156)
    """

    kind: Literal["image"] = "image"
    source: Literal["digits"] | Path | None = None
    """Where they are (`seqdiff.data.image_sources`); `digits` come with scikit-learn: 8 x 8, 17 levels."""
    size: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]]
    """Rows and columns of pixels."""
    channels: Literal[1, 3] = 1
    """1: grey; 3: red, green, blue."""
    levels: int = Field(256, ge=2, le=256)
    """Values that are told apart; 256 of 8 bits are all, 2 are black and white."""
    crop: bool = False
    """Whether images of another size are cut to these proportions, from the middle, and resized; else they are
    refused."""
    flip: bool = False
    """Whether training exchanges left and right in half of the images."""
    splits: ImageSplits = ImageSplits()
    conditional: bool = False
    """Whether the network is told the class of an image: the digit, the folder it lies in, its label."""
    label_dropout: float | None = Field(None, ge=0, lt=1)
    """Share of training images whose class is not told, so that the network can do without. Default: 0.1."""
    classes: tuple[str, ...] | None = None
    """The names of the classes, which the source says."""

    @model_validator(mode="after")
    def _consistent(self) -> "Image":
        if self.source == DIGITS:
            if (*self.size, self.channels) != DIGIT_SHAPE:
                raise ValueError("digits have size: [8, 8] and channels: 1")
            if self.levels > DIGIT_LEVELS:
                raise ValueError(f"digits have {DIGIT_LEVELS} levels: set levels: {DIGIT_LEVELS} (or fewer)")
            if self.crop:
                raise ValueError("digits all have one size: leave crop out")
        if not self.conditional and self.label_dropout is not None:
            raise ValueError("label_dropout is for conditional: true")
        if not self.conditional and self.classes is not None:
            raise ValueError("classes are for conditional: true")
        return self

    @property
    def alphabet(self) -> Levels:
        return Levels.of(self.levels)

    @property
    def grid(self) -> tuple[int, int, int]:
        return (*self.size, self.channels)

    @property
    def context(self) -> int:
        """Values of an image: what the network looks at together."""
        return self.size[0] * self.size[1] * self.channels

    @property
    def labels(self) -> tuple[str, ...]:
        return self.classes or ()

    def resolved(self) -> "Image":
        """With the classes of the source, where they are told. Raises ConfigError where it has none, or others than
        those that are named, DataError as `open` does."""
        if not self.conditional:
            return self
        found = self._read().names
        if found is None:
            raise ConfigError(
                f"data.conditional: {self.source} says nothing of classes: put the images into folders by class, give "
                "labels along, or leave it out"
            )
        if self.classes not in (None, found):
            raise ConfigError(f"data.classes: {self.source} has {', '.join(found)}: leave data.classes out")
        return self.model_copy(update={"classes": found})

    def open(self) -> "ImageData":
        """The images, encoded if need be.

        Raises ConfigError without a source; DataError: no such file, damage, another size, a split without an image.
        """
        config = self.resolved()
        data = ImageData(config, config._read())
        for split in SPLITS:
            if not len(getattr(data, split)):
                raise DataError(
                    f"{data.images.path}: no image falls to {split!r} of {len(data.images):,}: give more, or larger "
                    "shares (data.splits)"
                )
        shared = np.isin(data.images.keys[data.test.items], data.images.keys[data.train.items]).sum()
        if shared:
            log.warning(
                "%s: %s of %s test images are in the training images as well, value for value",
                data.images.path, f"{shared:,}", f"{len(data.test):,}",
            )  # fmt: skip
        return data

    def _read(self) -> Images:
        if self.source is None:
            raise ConfigError("data.source: give images: --set data.source=PATH, a folder or a file, or digits")
        path = self.source if isinstance(self.source, str) else self.source.expanduser()
        return Images.open(path, self.grid, crop=self.crop)


@dataclass(frozen=True)
class ImageData:
    """Opened images (see `seqdiff.modalities.opened`)."""

    config: Image
    images: Images

    @property
    def alphabet(self) -> Levels:
        return self.config.alphabet

    @cached_property
    def places(self) -> UInt8[np.ndarray, "N"]:
        """The split of each image, by its place in `SPLITS`.

        The source's own train, validation and test images where it has them and no share of test images is asked for;
        validation images where there are none of test are those of test, as the downsampled ImageNet's are.
        """
        said, shares = self.images.split, self.config.splits
        held_out = (said == SPLITS.index("valid")) | (said == SPLITS.index("test"))
        own = bool(held_out.any()) and shares.test is None
        if own and len(np.unique(said[held_out])) == 2:
            return np.where(held_out, said, 0).astype(np.uint8)
        point = self.images.keys.astype(np.uint64) / 2.0**64
        test = 0.0 if own else 0.1 if shares.test is None else shares.test
        drawn = np.where(point < test, 2, np.where(point < test + shares.valid, 1, 0))
        return np.where(held_out & own, 2, drawn).astype(np.uint8)

    @cached_property
    def train(self) -> Pictures:
        return self._pictures("train")

    @cached_property
    def valid(self) -> Pictures:
        return self._pictures("valid")

    @cached_property
    def test(self) -> Pictures:
        return self._pictures("test")

    @property
    def checksum(self) -> str:
        """Of the images, their levels and what is held out: another one means other data."""
        digest = hashlib.blake2b(self.images.checksum.encode(), digest_size=16)
        digest.update(str(self.config.levels).encode())
        digest.update(self.places)
        return digest.hexdigest()

    @property
    def source(self) -> str:
        """For people: where they are, how many, of which size."""
        rows, columns, channels = self.config.grid
        size = f"{rows} x {columns}" + (f" x {channels}" if channels > 1 else "")
        classes = f", {len(self.images.names)} classes" if self.images.names else ""
        return f"{self.images.path.name}, {len(self.images):,} images of {size}, {self.config.levels} levels{classes}"

    @property
    def contents(self) -> str:
        told = ", told their classes," if self.config.conditional else ""
        return f"{len(self.train):,} images of {self.config.context:,} values{told}"

    @property
    def facts(self) -> dict[str, Any]:
        """None: the size of an image is a setting."""
        return {}

    @property
    def both_strands(self) -> bool:
        return False

    def loader(self, seed: int, batch_size: int) -> PictureLoader:
        dropout = DROPOUT if self.config.label_dropout is None else self.config.label_dropout
        return PictureLoader(self.train, batch_size, seed, self.config.flip, dropout)

    def text(self, split: str) -> Iterator[Integer[np.ndarray, "_"]]:
        examples = getattr(self, split)
        for first in range(0, len(examples), AT_ONCE):
            yield from examples.tokens(np.arange(first, min(first + AT_ONCE, len(examples))))

    def profile(self) -> Float64[np.ndarray, "L K"]:
        """How often each place of an image has each level: the rival of all that know of more than one place.

        p_i(a) = (count of a at i + s q(a)) / (images + s), q the frequencies in all places and s that of highest
        likelihood on the validation images, of the powers of 2. Counted are at most 50,000 images, evenly spread.
        """
        counts = self._counts("train")
        background = (counts.sum(0) + 1) / (counts.sum() + counts.shape[1])
        valid = self._counts("valid")
        found = []
        for pseudocounts in 2.0 ** np.arange(-6, 13):
            profile = counts + pseudocounts * background
            profile /= profile.sum(1, keepdims=True)
            found.append(((valid * np.log(profile)).sum(), pseudocounts, profile))
        return max(found, key=lambda entry: entry[:2])[2]

    def _counts(self, split: str) -> Float64[np.ndarray, "L K"]:
        """How often each level stands at each place."""
        examples: Pictures = getattr(self, split)
        size, length = self.alphabet.size, self.config.context
        items = np.unique(np.linspace(0, len(examples) - 1, min(COUNTED, len(examples))).astype(np.int64))
        counts = np.zeros(length * size, np.int64)
        for part in np.array_split(items, -(-len(items) // AT_ONCE)):
            index = examples.tokens(part).astype(np.int64) + np.arange(length) * size
            counts += np.bincount(index.ravel(), minlength=len(counts))
        return counts.reshape(length, size).astype(np.float64)

    def _pictures(self, split: str) -> Pictures:
        return Pictures(
            self.images, np.flatnonzero(self.places == SPLITS.index(split)), self.alphabet, self.config.conditional
        )
