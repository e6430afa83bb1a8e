"""The published ESM-2 (Lin et al. 2023, doi 10.1126/science.ade2574) and its relatives, as transformers saves them.

ESM-1b and ESM-1v are read too (learned positions), and DPLM (Wang et al. 2024, arXiv:2402.18567), whose public code
inherits all of ESM-2 and trains it by a diffusion loss. Of the vocabulary of 33 our input ids take the twenty letters,
<mask> for an unknown letter, <pad> past the end, and <cls> and <eos>, which the network puts around each sequence
itself. X, B, Z, U and O are tokens of their own there; in a FASTA they are letters to be guessed, so here they are
<mask>.

`token_dropout` scales a row by its share of masks. The share is of the row's own letters here, as in the authors' code;
transformers 4.57 counts the pads of a batch as well, so its logits of a padded row depend on what shares its batch.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from seqdiff.alphabet import PROTEIN
from seqdiff.config import Config
from seqdiff.denoisers import Esm2
from seqdiff.diffusion.processes import Masked, Mlm
from seqdiff.errors import ConfigError, DataError
from seqdiff.imports import huggingface
from seqdiff.imports.huggingface import flag, size
from seqdiff.imports.imported import Imported, proteins, run_name, source
from seqdiff.imports.tensors import Takeover
from seqdiff.recipe import Recipe, Training

VOCABULARY = ["<cls>", "<pad>", "<eos>", "<unk>", *"LAGVSERTIDPKQNFYMHWCXBUZO.-", "<null_1>", "<mask>"]
LETTERS = [VOCABULARY.index(letter) for letter in PROTEIN.symbols]
"""Published id of each symbol."""
INPUTS = [*LETTERS, *(VOCABULARY.index(token) for token in ("<mask>", "<pad>", "<cls>", "<eos>"))]
"""Published id of each row of our embedding."""
BESIDE = 2
"""<cls> and <eos>."""

HEADS = ("EsmForMaskedLM", "EsmForDPLM")
FIXED = {
    "vocab_size": 33, "mask_token_id": VOCABULARY.index("<mask>"), "pad_token_id": VOCABULARY.index("<pad>"),
    "is_decoder": False, "add_cross_attention": False, "is_folding_model": False, "rope_theta": 1e4,
}  # fmt: skip
"""What every published checkpoint has, where config.json says anything of it."""


class Esm2Folder(Config):
    """A folder with config.json and model.safetensors or pytorch_model.bin, as transformers saves an EsmForMaskedLM."""

    kind: Literal["esm2"] = "esm2"
    path: Path
    fasta: Path | None = None
    """Proteins that the run is to be evaluated on, and trained on."""
    context: Annotated[int, Field(ge=8)] | None = None
    """Residues in a window. None: what it was trained on, 1,022 for all that is published. Rotary positions go on
    beyond; learned ones do not."""

    def read(self) -> Imported:
        """The network and its weights.

        Raises DataError: a file is missing or damaged, this is no ESM or one that is built in another way, tensors are
        missing, unknown, of another shape or not finite. Raises ConfigError for a context beyond learned positions.
        """
        config, file = huggingface.read_config(self.path)
        head = huggingface.require_kind(config, file, "esm", HEADS, "ESM")
        network = settings(config, file)
        _check_vocabulary(config, self.path)
        trained = _trained_length(config, file)
        context = self.context or trained
        if network.longest is not None and context > network.longest:
            raise ConfigError(
                f"--context {context}: {self.path} has learned positions for {network.longest:,} residues and no more"
            )
        files = huggingface.weights_files(self.path)
        weights = convert(huggingface.read_tensors(files), network, files[0])
        said = "--context" if self.context else "max_position_embeddings in config.json"
        return Imported(
            Recipe(
                name=run_name(self.path, self.kind),
                data=proteins(context, self.fasta),
                process=Masked() if head == "EsmForDPLM" else Mlm(),
                denoiser=network,
                training=published_training(context),
            ),
            weights,
            source(files),
            (
                f"denoiser is from config.json, data.context from {said}.",
                "Nothing there says how it was trained: process and training are as published for ESM-2, with a cosine "
                "for its linear decay of the learning rate.",
            ),
        )


def settings(config: dict[str, Any], file: Path) -> Esm2:
    """Our settings of the network that a config.json describes. DataError names what cannot be imported."""
    huggingface.require(config, FIXED, file)
    kind = config.get("position_embedding_type", "absolute")
    if kind not in ("rotary", "absolute"):
        raise DataError(
            f"{file}: position_embedding_type is {kind!r}; only networks with 'rotary' or 'absolute' can be imported"
        )
    for name in ("rope_scaling", "rope_parameters"):
        rope = config.get(name) or {}
        plain = isinstance(rope, dict) and rope.get("rope_type", rope.get("type", "default")) == "default"
        if not plain or rope.get("rope_theta", 1e4) != 1e4:
            raise DataError(f"{file}: {name} is {rope!r}; only rotary positions as ESM has them can be imported")
    epsilon = config.get("layer_norm_eps", 1e-12)  # the default of transformers
    if isinstance(epsilon, bool) or not isinstance(epsilon, int | float) or not 0 < epsilon < 1:
        raise DataError(f"{file}: layer_norm_eps is {epsilon!r}; it should be a small number above 0")
    width, heads = size(config, "hidden_size", None, file), size(config, "num_attention_heads", None, file)
    if width % (2 * heads):
        raise DataError(f"{file}: hidden_size {width} does not divide into {heads} heads of even width")
    return Esm2(
        width=width,
        depth=size(config, "num_hidden_layers", None, file),
        heads=heads,
        hidden=size(config, "intermediate_size", None, file),
        token_dropout=flag(config, "token_dropout", False, file),
        positions="rotary" if kind == "rotary" else "learned",
        longest=_trained_length(config, file) if kind == "absolute" else None,
        norm_embedding=config.get("emb_layer_norm_before") is not None
        and flag(config, "emb_layer_norm_before", False, file),
        norm_epsilon=epsilon,
        tie_embedding=flag(config, "tie_word_embeddings", True, file),
    )


def convert(tensors: dict[str, Tensor], network: Esm2, file: Path) -> dict[str, Tensor]:
    """The weights under our names, in float32, from those under the published ones; DataError says what is wrong."""
    esm = "esm." if any(name.startswith("esm.") for name in tensors) else ""
    takeover = Takeover(tensors, file)
    takeover.ignore(lambda name: _not_of_the_function(name, network))
    width, depth = network.width, min(network.depth, len(tensors))  # more layers than tensors are missed soon enough
    found: dict[str, Tensor] = {}

    def linear(ours: str, theirs: str, into: int, out: int) -> None:
        found[f"{ours}.weight"] = takeover.take(f"{theirs}.weight", (out, into))
        found[f"{ours}.bias"] = takeover.take(f"{theirs}.bias", (out,))

    def norm(ours: str, theirs: str) -> None:  # transformers 5 saves them as gamma and beta
        for part, old in (("weight", "gamma"), ("bias", "beta")):
            found[f"{ours}.{part}"] = takeover.take([f"{theirs}.{part}", f"{theirs}.{old}"], (width,))

    embedding, decoder = f"{esm}embeddings.word_embeddings.weight", "lm_head.decoder.weight"
    names = [embedding, decoder] if network.tie_embedding else [embedding]
    found["embedding.weight"] = takeover.take(names, (len(INPUTS), width), INPUTS)
    if not network.tie_embedding:
        found["head.weight"] = takeover.take(decoder, (len(LETTERS), width), LETTERS)
    if network.longest is not None:  # its rows begin behind the one of <pad>
        first = VOCABULARY.index("<pad>") + 1
        rows = range(first, first + network.longest + BESIDE)
        name = f"{esm}embeddings.position_embeddings.weight"
        found["place_embedding.weight"] = takeover.take(name, (len(rows), width), rows)
    if network.norm_embedding:
        norm("norm_embedding", f"{esm}embeddings.layer_norm")
    for i in range(depth):
        ours, theirs = f"blocks.{i}", f"{esm}encoder.layer.{i}"
        for part, shape in (("weight", (width, width)), ("bias", (width,))):
            three = [takeover.take(f"{theirs}.attention.self.{x}.{part}", shape) for x in ("query", "key", "value")]
            found[f"{ours}.attention.in_proj.{part}"] = torch.cat(three) if takeover.fits else three[0]
        linear(f"{ours}.attention.out_proj", f"{theirs}.attention.output.dense", width, width)
        norm(f"{ours}.norm_attention", f"{theirs}.attention.LayerNorm")
        norm(f"{ours}.norm_feedforward", f"{theirs}.LayerNorm")
        linear(f"{ours}.in_proj", f"{theirs}.intermediate.dense", width, network.hidden)
        linear(f"{ours}.out_proj", f"{theirs}.output.dense", network.hidden, width)
    norm("norm", f"{esm}encoder.emb_layer_norm_after")
    linear("head_dense", "lm_head.dense", width, width)
    norm("head_norm", "lm_head.layer_norm")
    found["head_bias"] = takeover.take("lm_head.bias", (len(LETTERS),), LETTERS)
    takeover.finish("config.json")
    _check_frequencies(tensors, network, file)
    return found


def published_training(context: int) -> Training:
    """How ESM-2 was trained (Lin et al. 2023, supplementary A.2): 2M tokens a step, 500,000 steps, Adam with 4e-4."""
    return Training(
        steps=500_000, batch_size=max(1, 2_000_000 // (context + BESIDE)), learning_rate=4e-4,
        final_learning_rate=4e-5, warmup_steps=2000, weight_decay=0.01, betas=(0.9, 0.98), ema=0.0,
    )  # fmt: skip


def _trained_length(config: dict[str, Any], file: Path) -> int:
    """Residues of the longest sequence it is for: of the positions two have none, and <cls> and <eos> take two more."""
    places = size(config, "max_position_embeddings", 1026, file)  # the default of transformers
    if (length := places - VOCABULARY.index("<pad>") - 1 - BESIDE) < 8:
        raise DataError(f"{file}: max_position_embeddings is {places}; that leaves {length} residues")
    return length


def _not_of_the_function(name: str, network: Esm2) -> bool:
    """Whether a tensor is known, and no part of the logits: contacts, the pooled state, and what follows from settings.

    Of a network with rotary positions, published files hold a table of learned ones, which nothing reads.
    """
    ends = ["position_ids", "rotary_embeddings.inv_freq"]
    if network.positions == "rotary":
        ends.append("position_embeddings.weight")
    return name.endswith(tuple(ends)) or "contact_head." in name or name.startswith(("esm.pooler.", "pooler."))


def _check_frequencies(tensors: dict[str, Tensor], network: Esm2, file: Path) -> None:
    """DataError if the angles of the rotary positions that are saved are not those computed here."""
    width = network.width // network.heads
    ours = 1e4 ** -(torch.arange(0, width, 2) / width)
    for name, saved in tensors.items():
        if name.endswith("rotary_embeddings.inv_freq") and not (
            saved.shape == ours.shape and torch.allclose(saved.float(), ours, rtol=1e-2)
        ):
            raise DataError(f"{file}: {name} holds other frequencies than those of ESM, from 1 down to 1/10,000")


def _check_vocabulary(config: dict[str, Any], folder: Path) -> None:
    """DataError if the folder says that its token ids are others than the published ones."""
    file = folder / "vocab.txt"
    said = file.read_text(encoding="utf-8", errors="replace").split() if file.is_file() else config.get("vocab_list")
    if said and said != VOCABULARY:
        place = file if file.is_file() else f"{folder / 'config.json'}: vocab_list"
        found = next((i for i, (a, b) in enumerate(zip(said, VOCABULARY)) if a != b), min(len(said), len(VOCABULARY)))
        raise DataError(f"{place}: token {found} is not that of ESM's vocabulary ({' '.join(VOCABULARY)})")
