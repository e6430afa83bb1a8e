"""EvoDiff-Seq of order-agnostic diffusion (Alamdari et al. 2023, doi 10.1101/2023.09.11.556673) and CARP, as published.

A file as torch saves it: `model_state_dict` with the weights of a ByteNet, beside an optimizer's state that is not
read. Both vocabularies, EvoDiff's of 31 and CARP's of 30, begin with the twenty letters in our order and have the mask
`#` at 28; the rest (B, Z, X, J, O, U, gap, stop, start, pad) are tokens that no record read here becomes.

Which way the weights were trained is not in the file. EvoDiff's D3PM networks have the very same tensors, but denoise
sequences of random letters and are told the time, which nothing here gives them: they are known by the name of the file
alone (`d3pm-...`) and refused. LR-AR, which reads from left to right, has other tensors.
"""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field
from torch import Tensor

from seqdiff.alphabet import PROTEIN
from seqdiff.config import Config
from seqdiff.denoisers import ByteNet
from seqdiff.diffusion.processes import Masked, Mlm
from seqdiff.errors import ConfigError, DataError
from seqdiff.imports import tensors
from seqdiff.imports.imported import Imported, proteins, run_name, source
from seqdiff.imports.tensors import Takeover
from seqdiff.recipe import Recipe, Training

VOCABULARIES = {"EvoDiff": "ACDEFGHIKLMNPQRSTVWYBZXJOU-*#@!", "CARP": "ACDEFGHIKLMNPQRSTVWYBZXJOU*-#@"}
INPUTS = [*range(PROTEIN.size), 28, 26]
"""Published ids of our input ids: the letters, `#`, and any token for the pad, which the network never sees."""

EMBEDDING, UP = "embedder.embedder.weight", "embedder.up_embedder.conv.weight"
CONV = "embedder.layers.0.conv.weight"
LAYER = re.compile(r"embedder\.layers\.(\d+)\.")


class EvodiffFile(Config):
    """A file of EvoDiff (oaar-38M.tar, oaar-640M.tar) or CARP (carp_38M.pt, ...), as torch saves it."""

    kind: Literal["evodiff"] = "evodiff"
    path: Path
    fasta: Path | None = None
    """Proteins that the run is to be evaluated on, and trained on."""
    context: Annotated[int, Field(ge=8)] | None = None
    """Residues in a window. None: 2,048, to which proteins were cropped in training."""
    activation: Literal["gelu", "relu"] | None = None
    """None: what the file says, as CARP's do, or GELU, which all published networks have."""
    max_dilation: Annotated[int, Field(ge=1)] | None = None
    """None: what the file says (`r`), or 128, which all published networks have."""

    def read(self) -> Imported:
        """The network and its weights.

        Raises DataError: the file is missing or damaged, holds code, or something else than a ByteNet over proteins.
        Raises ConfigError where an option contradicts the file.
        """
        if self.path.is_dir():
            raise DataError(f"{self.path}: is a folder; give the file with the weights, like oaar-38M.tar")
        if not self.path.is_file():
            raise DataError(f"{self.path}: no such file; give a file of EvoDiff, like oaar-38M.tar")
        if "d3pm" in self.path.name.lower():
            raise DataError(
                f"{self.path}: a D3PM network of EvoDiff denoises random letters, not masks, and is told the time, so "
                "nothing here can use it; import one of order-agnostic diffusion (oaar-38M, oaar-640M)"
            )
        about, weights = _parts(tensors.read(self.path), self.path)
        network, remarks = self._settings(weights, about)
        converted = convert(weights, network, self.path)
        context = self.context or 2048
        carp = len(weights[EMBEDDING]) == len(VOCABULARIES["CARP"])
        return Imported(
            Recipe(
                name=run_name(self.path.with_suffix(""), self.kind),
                data=proteins(context, self.fasta),
                process=Mlm() if carp else Masked(),
                denoiser=network,
                training=published_training(context),
            ),
            converted,
            source([self.path]),
            (
                "denoiser.width, hidden, depth, kernel and embedding_width are those of the tensors. " + remarks,
                f"data.context is {'from --context' if self.context else 'as published'}. The file says no more of how "
                "it was trained: training is like the published one, whose number of steps is not known.",
            ),
        )

    def _settings(self, weights: dict[str, Tensor], about: dict[str, Any]) -> tuple[ByteNet, str]:
        """The network that the tensors fit, and what it was known from."""
        width, inner, depth, kernel, narrow = _sizes(weights, self.path)
        activation, said = self._said("activation", about.get("activation"), "gelu")
        dilation, said_too = self._said("max_dilation", about.get("r"), 128)
        if activation not in ("gelu", "relu"):
            raise DataError(f"{self.path}: its activation is {activation!r}; only gelu and relu can be imported")
        if not isinstance(dilation, int) or dilation < 1:
            raise DataError(f"{self.path}: its largest dilation, r, is {dilation!r}; it should be a number from 1 on")
        network = ByteNet(
            width=width, hidden=inner, depth=depth, kernel=kernel, embedding_width=narrow, activation=activation,
            max_dilation=2 ** (dilation.bit_length() - 1),
        )  # fmt: skip
        return network, f"activation is {said}, max_dilation {said_too}."

    def _said(self, name: str, in_file: Any, published: Any) -> tuple[Any, str]:
        """The value of a setting that no tensor shows, and what said so."""
        given, option = getattr(self, name), f"--{name.replace('_', '-')}"
        if given is not None and in_file is not None and given != in_file:
            raise ConfigError(f"{option} {given}: {self.path} says that it is {in_file}")
        if given is not None:
            return given, f"from {option}"
        return (published, "as published") if in_file is None else (in_file, "from the file")


def convert(weights: dict[str, Tensor], network: ByteNet, file: Path) -> dict[str, Tensor]:
    """The weights under our names, in float32, from those under the published ones; DataError says what is wrong."""
    takeover = Takeover(weights, file)
    width, inner, narrow, letters = network.width, network.hidden, network.embedding_width, range(PROTEIN.size)
    found: dict[str, Tensor] = {}

    def linear(ours: str, theirs: str, into: int, out: int) -> None:
        if takeover.has(f"{theirs}.u"):  # a matrix of low rank, saved as its two factors
            rank = weights[f"{theirs}.u"].shape[-1]
            left, right = takeover.take(f"{theirs}.u", (out, rank)), takeover.take(f"{theirs}.v", (rank, into))
            found[f"{ours}.weight"] = left @ right if takeover.fits else left
            found[f"{ours}.bias"] = takeover.take(f"{theirs}.bias", (out,))
        else:
            found[f"{ours}.weight"] = takeover.take(f"{theirs}.conv.weight", (out, into, 1)).squeeze(-1)
            found[f"{ours}.bias"] = takeover.take(f"{theirs}.conv.bias", (out,))

    def norm(ours: str, theirs: str, channels: int) -> None:
        for part in ("weight", "bias"):
            found[f"{ours}.{part}"] = takeover.take(f"{theirs}.{part}", (channels,))

    found["embedding.weight"] = takeover.take(EMBEDDING, (len(INPUTS), narrow), INPUTS)
    linear("widen", "embedder.up_embedder", narrow, width)
    for i in range(network.depth):
        ours, theirs = f"blocks.{i}", f"embedder.layers.{i}"
        norm(f"{ours}.norm_in", f"{theirs}.sequence1.0", width)
        linear(f"{ours}.in_proj", f"{theirs}.sequence1.2", width, inner)
        norm(f"{ours}.norm_conv", f"{theirs}.sequence1.3", inner)
        found[f"{ours}.conv.weight"] = takeover.take(f"{theirs}.conv.weight", (inner, inner, network.kernel))
        found[f"{ours}.conv.bias"] = takeover.take(f"{theirs}.conv.bias", (inner,))
        norm(f"{ours}.norm_out", f"{theirs}.sequence2.0", inner)
        linear(f"{ours}.out_proj", f"{theirs}.sequence2.2", inner, width)
    norm("norm", "last_norm", width)
    found["head.weight"] = takeover.take("decoder.conv.weight", (len(letters), width, 1), letters).squeeze(-1)
    found["head_bias"] = takeover.take("decoder.conv.bias", (len(letters),), letters)
    takeover.finish("the structure of EvoDiff")
    return {name: tensor.contiguous() for name, tensor in found.items()}


def published_training(context: int) -> Training:
    """Like EvoDiff's, of its public configuration: Adam with 1e-4 after 16,000 steps, 40,000 tokens a GPU and step."""
    return Training(
        steps=500_000, batch_size=max(1, 40_000 // context), learning_rate=1e-4, final_learning_rate=1e-4,
        warmup_steps=16_000, clip=None, ema=0.0,
    )  # fmt: skip


def _parts(found: Any, path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What a file says about its weights, and those, without the prefix of the wrapper that trained them."""
    about = found if isinstance(found, dict) and "model_state_dict" in found else {}
    weights = tensors.by_name(about.get("model_state_dict", found), path)
    names = {name: name.removeprefix("module.") for name in weights}
    if len(set(names.values())) < len(names):
        raise DataError(f"{path}: holds tensors twice, with and without the prefix 'module.'")
    return {key: value for key, value in about.items() if key != "model_state_dict"}, {
        names[name]: tensor for name, tensor in weights.items()
    }


def _sizes(weights: dict[str, Tensor], path: Path) -> tuple[int, int, int, int, int]:
    """Width, inner width, depth, kernel and embedding width. DataError for what is no EvoDiff-Seq."""
    if "embedder.layers.0.conv.conv.weight" in weights:
        raise DataError(
            f"{path}: a network that reads from left to right alone (LR-AR); import one of order-agnostic diffusion "
            "(oaar-38M, oaar-640M) or CARP"
        )
    shapes = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    for name, axes in ((EMBEDDING, 2), (UP, 3), (CONV, 3)):
        if len(shapes.get(name, ())) != axes:
            raise DataError(f"{path}: has no {name} with {axes} axes, so this is no sequence model of EvoDiff")
    embedding, up, conv = shapes[EMBEDDING], shapes[UP], shapes[CONV]
    if embedding[0] not in map(len, VOCABULARIES.values()):
        known = " and ".join(f"{len(letters)} ({name})" for name, letters in VOCABULARIES.items())
        raise DataError(f"{path}: its vocabulary has {embedding[0]} tokens; those known here have {known}")
    depth = len({match[1] for match in map(LAYER.match, weights) if match})
    if conv[2] % 2 == 0:
        raise DataError(f"{path}: its kernels have {conv[2]} taps; only an odd number can be imported")
    return up[0], conv[0], depth, conv[2], embedding[1]
