"""Images beside one another, each value of theirs a square of pixels, so that what is seen is what was drawn."""

import math

import numpy as np
from jaxtyping import Bool, UInt8

SMALLEST = 64
"""Pixels that the longer side of an image takes at least, to be seen."""
PAPER = 255
HIDDEN = (86, 180, 233)
"""The colour of what is not known of an image: sky blue of Okabe and Ito's palette, which no grey image has."""


def grid(images: UInt8[np.ndarray, "N H W C"], columns: int | None = None) -> UInt8[np.ndarray, "rows columns C"]:
    """Images in rows of `columns` (default: about as many as rows), enlarged by a whole number where they are small.

    >>> grid(np.zeros((3, 32, 32, 1), np.uint8), columns=2).shape
    (132, 132, 1)
    """
    number, height, width, channels = images.shape
    columns = columns or math.ceil(math.sqrt(number))
    scale = max(1, -(-SMALLEST // max(height, width)))
    gap = 4
    rows = -(-number // columns)
    shape = (rows * (height * scale + gap) - gap, columns * (width * scale + gap) - gap, channels)
    whole = np.full(shape, PAPER, np.uint8)
    for place, image in enumerate(images):
        top, left = (place // columns) * (height * scale + gap), (place % columns) * (width * scale + gap)
        large = image.repeat(scale, 0).repeat(scale, 1)
        whole[top : top + height * scale, left : left + width * scale] = large
    return whole


def covered(image: UInt8[np.ndarray, "H W C"], hidden: Bool[np.ndarray, "H W"]) -> UInt8[np.ndarray, "H W 3"]:
    """An image in colour whose hidden pixels are blue."""
    found = coloured(image).copy()
    found[hidden] = HIDDEN
    return found


def coloured(image: UInt8[np.ndarray, "H W C"]) -> UInt8[np.ndarray, "H W 3"]:
    """An image with three channels."""
    return np.broadcast_to(image, (*image.shape[:2], 3))
