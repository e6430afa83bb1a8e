"""A U-Net that keeps every pixel: residual convolutions with skips, and attention in the middle. For images."""

from collections.abc import Callable
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from pydantic import Field, model_validator
from torch import Tensor, nn

from seqdiff.config import Config
from seqdiff.denoisers.denoiser import Denoiser, Network
from seqdiff.denoisers.grid import Grid, grid_angles, places_of
from seqdiff.denoisers.layers import TimeEmbedding, initialise
from seqdiff.denoisers.transformer import Block, Transformer

Through = Callable[..., Tensor]
"""`Denoiser.through`, which a layer made of layers calls each of them by."""


class Middle(Config):
    """A transformer in the middle of a U-Net, on patches of pixels, as MD4 has it for ImageNet 64 x 64."""

    depth: Annotated[int, Field(ge=1)] = 20
    width: Annotated[int, Field(ge=4)] = 768
    heads: Annotated[int, Field(ge=1)] = 12
    hidden: Annotated[int, Field(ge=1)] = 2048
    """Channels inside a feed-forward layer; 8/3 of the width costs what a plain one of 4 costs."""
    patch: Annotated[int, Field(ge=1)] = 2
    """Rows and columns of the pixels that it sees as one."""


class UNet(Network):
    """The U-Net of variational diffusion models (Kingma et al. 2021, arXiv:2107.00630, app. B: no down-sampling, since
    likelihood is in the details) over embedded channel values, as MD4 has it (Shi et al. 2024, arXiv:2406.04329).

    `depth` residual blocks, two with attention between them, and depth + 1 blocks that are given the outputs of the
    first ones too. It sees whole images: a row that ends early, or has pads, is an image of which the rest is masked.
    """

    kind: Literal["unet"] = "unet"
    grid: Grid
    """Rows, columns and channels of the images that are its data."""
    width: Annotated[int, Field(ge=1)] = 128
    """Channels of a pixel inside."""
    depth: Annotated[int, Field(ge=1)] = 32
    """Residual blocks on the way in; there is one more on the way out."""
    value_width: Annotated[int, Field(ge=1)] = 128
    """Channels of an embedded value; a pixel enters as those of its values side by side, and leaves so."""
    groups: Annotated[int, Field(ge=1)] = 32
    """Groups of channels that are normalised together, over all pixels (Wu & He 2018, arXiv:1803.08494)."""
    transformer: Middle | None = None
    """What stands in the middle in place of one attention layer."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of a block's inner channels that is dropped in training."""
    time_conditioning: bool = False
    """Whether the network is told the time, an embedding of which is added inside each block."""

    @property
    def takes_time(self) -> bool:
        return self.time_conditioning

    @model_validator(mode="after")
    def _sizes_fit(self) -> "UNet":
        rows, columns, _ = self.grid
        if self.width % self.groups:
            raise ValueError(f"width {self.width} does not divide into {self.groups} groups: set denoiser.groups")
        if self.transformer is not None:
            self.block_settings()
            if rows % self.transformer.patch or columns % self.transformer.patch:
                raise ValueError(f"{rows} x {columns} pixels do not divide into patches of {self.transformer.patch}")
        return self

    def block_settings(self) -> Transformer:
        """Of the blocks of the transformer in the middle, which is a valid one."""
        patch = self.transformer.patch
        inner = (self.grid[0] // patch or 1, self.grid[1] // patch or 1, 1)
        size = self.transformer.model_dump(exclude={"patch"})
        return Transformer(**size, grid=inner, dropout=self.dropout, time_conditioning=self.time_conditioning)

    def build(self, symbols: int, context: int | None = None) -> "UNetDenoiser":
        """A freshly initialised network over `symbols` symbols."""
        places_of(self.grid, context)
        return UNetDenoiser(self, symbols)


class UNetDenoiser(Denoiser):
    """The network of `UNet`."""

    def __init__(self, settings: UNet, symbols: int):
        super().__init__(symbols, settings.value_width)
        self.grid, self.columns, self.takes_time = settings.grid, places_of(settings.grid), settings.takes_time
        width, outside = settings.width, settings.grid[2] * settings.value_width
        self.time = TimeEmbedding(width) if self.takes_time else None
        self.conv_in = nn.Conv2d(outside, width, 3, padding=1)
        self.down = nn.ModuleList(Residual(settings, width) for _ in range(settings.depth))
        self.middle_in, self.middle_out = Residual(settings, width), Residual(settings, width)
        self.middle = PixelAttention(settings) if settings.transformer is None else PatchTransformer(settings)
        self.up = nn.ModuleList(Residual(settings, 2 * width) for _ in range(settings.depth + 1))
        self.norm = nn.GroupNorm(settings.groups, width)
        self.conv_out = nn.Conv2d(width, outside, 3, padding=1)
        initialise(self, 2 * settings.depth + 3)

    def trunk(
        self, h: Float[Tensor, "B L D"], present: Bool[Tensor, "B L"], time: Float[Tensor, "B"] | None
    ) -> Float[Tensor, "B L D"]:
        length, (rows, columns, _) = h.shape[1], self.grid
        if length > self.columns:
            raise ValueError(f"this network is for images of {self.columns:,} tokens, not of {length:,}")
        mask = self.embedding.weight[self.symbols]
        h = torch.where(present.unsqueeze(-1), h, mask)
        if length < self.columns:
            h = torch.cat([h, mask.expand(len(h), self.columns - length, -1)], 1)
        condition = None if time is None else F.silu(self.time(time))
        image = h.view(len(h), rows, columns, -1).permute(0, 3, 1, 2)
        x = self.conv_in(image.contiguous()).to(h.dtype)  # group norms make channels last slower, by 10 % on CPUs
        skips = [x]
        for block in self.down:
            x = self.through(block, x, condition)
            skips.append(x)
        x = self.through(self.middle_in, x, condition)
        x = self.middle(x, condition, self.through)
        x = self.through(self.middle_out, x, condition)
        for block in self.up:
            x = self.through(block, torch.cat([x, skips.pop()], 1), condition)
        image = self.conv_out(F.silu(self.norm(x))).to(h.dtype)
        return image.permute(0, 2, 3, 1).reshape(len(h), self.columns, -1)[:, :length]


class Residual(nn.Module):
    """x + conv(dropout(silu(norm(conv(silu(norm(x))) + time)))); x itself is projected where it is wider."""

    def __init__(self, settings: UNet, entering: int):
        super().__init__()
        width = settings.width
        self.norm_in, self.conv = nn.GroupNorm(settings.groups, entering), nn.Conv2d(entering, width, 3, padding=1)
        self.norm_out, self.out_proj = nn.GroupNorm(settings.groups, width), nn.Conv2d(width, width, 3, padding=1)
        self.skip = nn.Conv2d(entering, width, 1) if entering != width else nn.Identity()
        self.dropout = nn.Dropout(settings.dropout)
        self.modulation = nn.Linear(width, width) if settings.time_conditioning else None

    def forward(self, x: Float[Tensor, "B C H W"], condition: Float[Tensor, "B T"] | None) -> Float[Tensor, "B D H W"]:
        inner = self.conv(F.silu(self.norm_in(x)))
        if condition is not None:
            inner = inner + self.modulation(condition)[:, :, None, None]
        inner = self.out_proj(self.dropout(F.silu(self.norm_out(inner))))
        return self.skip(x).to(x.dtype) + inner  # the residual stream keeps full precision


class PixelAttention(nn.Module):
    """x + attention of one head among all pixels."""

    def __init__(self, settings: UNet):
        super().__init__()
        self.norm = nn.GroupNorm(settings.groups, settings.width)
        self.in_proj = nn.Linear(settings.width, 3 * settings.width)
        self.out_proj = nn.Linear(settings.width, settings.width)

    def forward(
        self, x: Float[Tensor, "B D H W"], condition: Float[Tensor, "B T"] | None, through: Through
    ) -> Float[Tensor, "B D H W"]:
        pixels = self.norm(x).flatten(2).mT
        query, key, value = self.in_proj(pixels).unsqueeze(1).chunk(3, -1)
        mixed = self.out_proj(F.scaled_dot_product_attention(query, key, value).squeeze(1))
        return x + mixed.mT.unflatten(2, x.shape[2:])


class PatchTransformer(nn.Module):
    """x + a transformer of the patches that the pixels make, whose places are those of their rows and columns."""

    def __init__(self, settings: UNet):
        super().__init__()
        inside, patch = settings.block_settings(), settings.transformer.patch
        self.grid, self.head_width = inside.grid, inside.width // inside.heads
        self.patches = nn.Conv2d(settings.width, inside.width, patch, stride=patch)
        self.time = nn.Linear(settings.width, inside.width) if settings.time_conditioning else None
        self.blocks = nn.ModuleList(Block(inside) for _ in range(inside.depth))
        self.norm = nn.RMSNorm(inside.width, eps=1e-5)
        self.pixels = nn.ConvTranspose2d(inside.width, settings.width, patch, stride=patch)

    def forward(
        self, x: Float[Tensor, "B D H W"], condition: Float[Tensor, "B T"] | None, through: Through
    ) -> Float[Tensor, "B D H W"]:
        h = self.patches(x).to(x.dtype).flatten(2).mT
        angles = grid_angles(self.grid, h.shape[1], self.head_width, h)
        seen = torch.ones(1, 1, 1, h.shape[1], dtype=torch.bool, device=h.device)
        told = None if condition is None else F.silu(self.time(condition))
        for block in self.blocks:
            h = through(block, h, seen, angles, told)
        return x + self.pixels(self.norm(h).mT.unflatten(2, self.grid[:2]))
