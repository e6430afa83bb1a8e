"""The networks: functions from tokens to logits over the K real symbols. They know tensors, not diffusion.

A new network is one file with a config class (a `Network` with `kind` and `build(symbols)`) and a `Denoiser`, and
one line in the union below; the contract tests pick it up from here.
"""

from typing import Annotated

from pydantic import Field

from seqdiff.denoisers.bytenet import ByteNet
from seqdiff.denoisers.caduceus import Caduceus
from seqdiff.denoisers.convolution import Convolution
from seqdiff.denoisers.denoiser import Denoiser, Network
from seqdiff.denoisers.esm2 import Esm2
from seqdiff.denoisers.hollow import HollowConvolution
from seqdiff.denoisers.hyena import Hyena
from seqdiff.denoisers.mamba import Mamba
from seqdiff.denoisers.pairwise import Pairwise
from seqdiff.denoisers.transformer import Transformer
from seqdiff.denoisers.unet import UNet

__all__ = [
    "ByteNet",
    "Caduceus",
    "Convolution",
    "Denoiser",
    "DenoiserConfig",
    "Esm2",
    "HollowConvolution",
    "Hyena",
    "Mamba",
    "Network",
    "Pairwise",
    "Transformer",
    "UNet",
]

DenoiserConfig = Annotated[
    Convolution
    | HollowConvolution
    | ByteNet
    | Transformer
    | Esm2
    | Hyena
    | Mamba
    | Caduceus
    | Pairwise
    | UNet,
    Field(discriminator="kind"),
]  # fmt: skip
"""Every network a recipe can name, told apart by `kind`."""
