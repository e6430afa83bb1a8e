"""Places on a grid of pixels: what a network for images knows of the row, column and channel of a token.

The tokens of an image are its channel values, row by row, column by column, the channels of a pixel side by side.
"""

from typing import Annotated

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from seqdiff.errors import ConfigError

Size = Annotated[int, Field(ge=1)]
Grid = tuple[Size, Size, Size]
"""Rows, columns and channels."""

BASE = 100.0
"""Between the fastest and the slowest turn of an angle: images are tens of pixels wide, not thousands."""


def places_of(grid: Grid, context: int | None = None) -> int:
    """How many tokens an image has. Raises ConfigError where the context of the data is another number.

    >>> places_of((32, 32, 3))
    3072
    """
    rows, columns, channels = grid
    places = rows * columns * channels
    if context is not None and places != context:
        raise ConfigError(
            f"denoiser.grid: {rows} rows x {columns} columns x {channels} channels are {places:,} tokens, and a row of "
            f"the data has {context:,}"
        )
    return places


class GridEmbedding(nn.Module):
    """A learned vector for each row, each column and each channel, added up at each place.

    As in the image transformers of Parmar et al. 2018 (arXiv:1802.05751) and Child et al. 2019 (arXiv:1904.10509).
    """

    def __init__(self, grid: Grid, width: int):
        super().__init__()
        rows, columns, channels = grid
        self.row_embedding = nn.Embedding(rows, width)
        self.column_embedding = nn.Embedding(columns, width)
        self.channel_embedding = nn.Embedding(channels, width)

    def forward(self, first: int, end: int) -> Float[Tensor, "L D"]:
        """Of the places from `first` up to `end`, which an image must have."""
        row, column, channel = self.row_embedding.weight, self.column_embedding.weight, self.channel_embedding.weight
        image = row[:, None, None] + column[:, None] + channel
        image = image.flatten(0, 2)
        if end > len(image):
            raise ValueError(f"this network is for images of {len(image):,} tokens, not of {end:,}")
        return image[first:end]


def grid_angles(grid: Grid, length: int, width: int, like: Tensor) -> tuple[Float[Tensor, "L H"], Float[Tensor, "L H"]]:
    """Cosine and sine by which queries and keys turn at the first places of an image: of the H = width / 2 angles one
    half turn with the row and one half with the column (Heo et al. 2024, arXiv:2403.13298, eq. 9: axial RoPE).

    Products then see how many rows and columns two pixels are apart; computed in float32 at least.
    """
    dtype = torch.promote_types(like.dtype, torch.float32)
    _, columns, channels = grid
    pixel = torch.arange(length, device=like.device).div(channels, rounding_mode="floor")
    row, column = pixel.div(columns, rounding_mode="floor"), pixel.remainder(columns)
    frequency = BASE ** -(torch.arange(0, width, 4, device=like.device, dtype=dtype) / width)
    angle = torch.cat([row[:, None] * frequency, column[:, None] * frequency], 1)
    return angle.cos(), angle.sin()
