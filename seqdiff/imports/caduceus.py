"""The published Caduceus (Schiff et al. 2024, arXiv:2403.03234), masked language models of human DNA.

Its vocabulary has sixteen rows, of which our six input ids take these:

    A C G T   7 8 9 10
    mask      3, [MASK]. N and the other ambiguity codes of a FASTA are masks as well: letters to be guessed.
    pad       4, [PAD], but nothing reads it. Ours are places past the end, which the network does not see; there
              [PAD] is a token like the others, which acts on its neighbours, and in training it also stood for N.

So every input of letters and masks gets the published logits, and an input with [PAD] (or with N as a token of its own,
11) has no counterpart here. Logits are those of A, C, G and T; the others are never read.

A PS checkpoint that says `fused_add_norm` was trained with blocks that exchange the strands (`swap_strands`). With
the same weights and without the exchange the network is another one, and just as equivariant. Ph answers with the
mean of both strands here, as the paper does at test time; the public code gives one strand.
"""

import math
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from seqdiff.config import Config
from seqdiff.denoisers import Caduceus
from seqdiff.diffusion.processes import Mlm
from seqdiff.errors import ConfigError, DataError
from seqdiff.imports import huggingface
from seqdiff.imports.huggingface import flag, size
from seqdiff.imports.imported import Imported, run_name, source
from seqdiff.imports.tensors import Takeover
from seqdiff.modalities.dna import Dna
from seqdiff.recipe import Recipe, Training

TOKENS = {"A": 7, "C": 8, "G": 9, "T": 10, "[MASK]": 3, "[PAD]": 4}
"""Published id of each of our input ids, in their order."""

HEAD = "CaduceusForMaskedLM"
FIXED = {
    "bidirectional": True, "bidirectional_strategy": "add", "bidirectional_weight_tie": True, "rms_norm": True,
    "norm_epsilon": 1e-5,
}  # fmt: skip
"""What every published checkpoint has, and config.json leaves out where it is so."""
FIXED_IN_SSM = {"bias": False, "conv_bias": True}
NOT_OF_THE_FUNCTION = {"dt_min", "dt_max", "dt_init", "dt_scale", "dt_init_floor", "use_fast_path"}
"""Of ssm_cfg: how weights were first drawn, and which kernel computes."""


class CaduceusFolder(Config):
    """A folder with config.json and model.safetensors or pytorch_model.bin, as transformers saves a Caduceus."""

    kind: Literal["caduceus"] = "caduceus"
    path: Path
    context: Annotated[int, Field(ge=8)] | None = None
    """Bases in a window. None: the training length, which config.json has no field for, from a name like
    `caduceus-ps_seqlen-131k_d_model-256_n_layer-16` or else from tokenizer_config.json."""

    def read(self) -> Imported:
        """The network and its weights.

        Raises DataError: a file is missing or damaged, this is no Caduceus or one that is built in another way,
        tensors are missing, unknown, of another shape or not finite. Raises ConfigError when nothing says the context.
        """
        config, file = huggingface.read_config(self.path)
        network = settings(config, file)
        _check_vocabulary(config, self.path)
        files = huggingface.weights_files(self.path)
        context, said = self._context(config)
        found = convert(huggingface.read_tensors(files), network, files[0])
        return Imported(
            Recipe(
                name=run_name(self.path, self.kind),
                data=Dna(genome="hg38", context=context, reverse_complement=not network.equivariant),
                process=Mlm(),
                denoiser=network,
                training=published_training(context),
            ),
            found,
            source(files),
            (
                f"denoiser is from config.json, data.context from {said}.",
                "Nothing there says how it was trained: the rest of data, process and training are as published.",
            ),
        )

    def _context(self, config: dict[str, Any]) -> tuple[int, str]:
        """The context and what said so."""
        if self.context is not None:
            return self.context, "--context"
        for name in (*reversed(self.path.absolute().parts), str(config.get("_name_or_path", ""))):
            if length := length_in(name):
                return length, f"the name {name}"
        file = self.path / "tokenizer_config.json"
        length = huggingface.read_json(file).get("model_max_length") if file.is_file() else None
        if isinstance(length, int) and 8 <= length < 2**31:  # transformers writes 10^30 where there is none
            return length, file.name
        raise ConfigError(
            f"{self.path}: nothing says which length it was trained on (the published names do: seqlen-131k); "
            "give it with --context, like --context 1024"
        )


def settings(config: dict[str, Any], file: Path) -> Caduceus:
    """Our settings of the network that a config.json describes. DataError names what cannot be imported."""
    huggingface.require_kind(config, file, "caduceus", (HEAD,), "Caduceus")
    ssm = config.get("ssm_cfg") or {}
    if not isinstance(ssm, dict):
        raise DataError(f"{file}: ssm_cfg is {ssm!r}, not settings of Mamba")
    huggingface.require(config, FIXED, file)
    huggingface.require(ssm, FIXED_IN_SSM, file, "ssm_cfg.")
    width, shared = size(config, "d_model", None, file), flag(config, "rcps", False, file)
    auto = math.ceil(width / 16)
    if (rank := ssm.get("dt_rank", "auto")) not in ("auto", auto):
        raise DataError(f"{file}: ssm_cfg.dt_rank is {rank!r}; only 'auto' can be imported, which is {auto} here")
    known = {"d_state", "d_conv", "expand", "dt_rank", *FIXED_IN_SSM, *NOT_OF_THE_FUNCTION}
    if unknown := sorted(ssm.keys() - known):
        raise DataError(f"{file}: ssm_cfg.{unknown[0]} is no setting of Mamba-1, the only one that can be imported")
    return Caduceus(
        width=width,
        depth=size(config, "n_layer", None, file),
        states=size(ssm, "d_state", 16, file),
        kernel=size(ssm, "d_conv", 4, file),
        expansion=size(ssm, "expand", 2, file),
        tie_embedding=flag(config, "tie_word_embeddings", True, file),
        strands="ps" if shared else "ph",
        swap_strands=flag(config, "fused_add_norm", True, file) and shared,
    )


def convert(tensors: dict[str, Tensor], network: Caduceus, file: Path) -> dict[str, Tensor]:
    """The weights under our names, in float32, from those under the published ones.

    A matrix that is shared may be there under one of its names (as transformers 4.38 and later save) or under all of
    them, and must then be the same. DataError lists what is missing, unknown, of another shape, or not shared, and
    else what is not finite.
    """
    takeover = Takeover(tensors, file)
    # A buffer that follows from the vocabulary, and that a load-save cycle scrambles.
    takeover.ignore(lambda name: name.endswith("complement_map"))
    with torch.device("meta"):  # for its shapes alone
        shapes = network.build(4).state_dict()
    found: dict[str, Tensor] = {}
    for ours, needed in shapes.items():
        is_vocabulary = ours in ("embedding.weight", "head.weight")
        rows = list(TOKENS.values())[: len(needed)] if is_vocabulary else None
        found[ours] = takeover.take(published_names(ours, network), needed.shape, rows)
    takeover.finish("config.json")
    return found


def published_names(ours: str, network: Caduceus) -> list[str]:
    """The names under which the public code may have saved one of our parameters, the surest first.

    >>> published_names("layers.0.mixer.in_proj.weight", Caduceus(strands="ph"))[1]
    'caduceus.backbone.layers.0.mixer.mamba_rev.in_proj.weight'
    """
    shared = network.strands == "ps"
    embedding = f"caduceus.backbone.embeddings.word_embeddings.{'embedding.' if shared else ''}weight"
    head = f"lm_head.{'lm_head.' if shared else ''}weight"
    if ours == "embedding.weight":
        return [embedding, head] if network.tie_embedding else [embedding]
    if ours == "head.weight":
        return [head]
    inside = ours.replace(".mixer.", ".mixer.submodule.") if shared else ours
    if shared and not network.swap_strands:  # the unfused block wraps its norms as well
        inside = re.sub(r"(norm|norm_f)\.weight$", r"\1.submodule.weight", inside)
    if tied := re.fullmatch(r"(.*)\.(in_proj|out_proj)\.weight", inside):
        return [f"caduceus.backbone.{tied[1]}.mamba_{way}.{tied[2]}.weight" for way in ("fwd", "rev")]
    return [f"caduceus.backbone.{inside}"]


def length_in(name: str) -> int | None:
    """The training length that a published name gives, with its thousands rounded down from a power of two.

    >>> length_in("caduceus-ps_seqlen-131k_d_model-256_n_layer-16"), length_in("seqlen-1k"), length_in("seqlen-160k")
    (131072, 1024, 160000)
    """
    match = re.search(r"seqlen-(\d{1,9})(k?)(?![0-9a-z])", name)
    if not match or int(match[1]) < 1:
        return None
    if not match[2]:
        return int(match[1]) if int(match[1]) >= 8 else None
    length = 1000 * int(match[1])
    power = 2 ** math.ceil(math.log2(length))
    return power if power < 1.05 * length else length


def published_training(context: int) -> Training:
    """How Caduceus was pre-trained, from its public scripts: 2^20 tokens a step, 8e-3, no average of the weights.

    10,000 steps at 1,024 bases and 50,000 at 131,072 are public; between them we take the longer run.
    """
    steps = 10_000 if context <= 1024 else 50_000
    return Training(
        steps=steps, batch_size=max(1, 2**20 // context), learning_rate=8e-3, final_learning_rate=1e-4,
        warmup_steps=steps // 10, weight_decay=0.1, betas=(0.9, 0.95), clip=1.0, ema=0.0,
    )  # fmt: skip


def _check_vocabulary(config: dict[str, Any], folder: Path) -> None:
    """DataError if the folder says that its token ids are others than the published ones."""
    pairs = config.get("complement_map")
    for letter, other in ("AT", "CG", "GC", "TA"):
        said = pairs.get(str(TOKENS[letter])) if isinstance(pairs, dict) else None
        if said is not None and said != TOKENS[other]:
            raise DataError(
                f"{folder / 'config.json'}: complement_map pairs {TOKENS[letter]} with {said}, so its vocabulary is "
                f"not the published one, in which {letter} is {TOKENS[letter]} and {other} is {TOKENS[other]}"
            )
    file = folder / "tokenizer_config.json"
    added = huggingface.read_json(file).get("added_tokens_decoder") if file.is_file() else None
    for number, token in added.items() if isinstance(added, dict) else ():
        content = token.get("content") if isinstance(token, dict) else None
        if content in TOKENS and number != str(TOKENS[content]):
            raise DataError(f"{file}: {content} is token {number}; in the published vocabulary it is {TOKENS[content]}")
