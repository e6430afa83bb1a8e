"""Makes the networks in `public/`: small, random, saved and answered by the public implementations themselves.

Nothing of seqdiff is imported here, and the tests need none of what is. In a virtual environment that has torch, numpy
and safetensors:

    pip install --no-deps transformers==4.57.1 tokenizers==0.22.2 huggingface-hub==0.36.0 regex tqdm requests \
        pyyaml filelock fsspec packaging evodiff==1.1.2 sequence-models==1.8.0 fair-esm==2.0.0
    python tests/imports/make_public.py

Each folder has the files as their authors' code writes them, and io.npz: `text`, the rows as letters with `#` for a
mask, and for each row r its `logits_r` (length, tokens of the vocabulary) and, of ESM, `hidden_r` (length, width).
"""

import functools
import importlib.util
import sys
import types
import warnings
from pathlib import Path

import numpy as np
import torch

HERE = Path(__file__).parent / "public"
ROWS = ("MKTAYIAKQR#DVNLLAAGH##W", "#", "ACDEFGHIKLMNPQRSTVWY", "MSS#####RL", "########", "GP#")

ESM = ["<cls>", "<pad>", "<eos>", "<unk>", *"LAGVSERTIDPKQNFYMHWCXBUZO.-", "<null_1>", "<mask>"]


def randomise(network, seed):
    """Every weight moved, so that no part of the function hides behind a zero or a gain of one."""
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim == 1:
                parameter += 0.3 * torch.randn(parameter.shape, generator=draw)
            else:
                parameter.copy_(torch.randn(parameter.shape, generator=draw) / parameter[0].numel() ** 0.5)
    return network.eval()


def esm(name, *, half=False, file="model.safetensors", **changes):
    from transformers import EsmConfig, EsmForMaskedLM

    settings = {
        "vocab_size": 33, "mask_token_id": 32, "pad_token_id": 1, "hidden_size": 16, "num_hidden_layers": 2,
        "num_attention_heads": 4, "intermediate_size": 24, "max_position_embeddings": 36, "layer_norm_eps": 1e-5,
        "position_embedding_type": "rotary", "emb_layer_norm_before": False, "token_dropout": True,
        "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
    } | changes  # fmt: skip
    torch.manual_seed(1)
    network = randomise(EsmForMaskedLM(EsmConfig(**settings)), seed=2)
    if half:  # the answers are those of the weights as they are saved, and of frequencies as they are computed
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.copy_(parameter.half())
    answers = {"text": np.array(ROWS)}
    # Row by row: in a batch, this version counts pads among the letters of which some share is masks.
    for number, row in enumerate(ROWS):
        ids = [ESM.index("<cls>"), *(ESM.index("<mask>" if c == "#" else c) for c in row), ESM.index("<eos>")]
        with torch.no_grad():
            hidden = network.esm(torch.tensor([ids])).last_hidden_state[0, 1:-1]
            answers[f"logits_{number}"] = network(torch.tensor([ids])).logits[0, 1:-1].numpy()
        answers[f"hidden_{number}"] = hidden.numpy()
    folder = HERE / name
    folder.mkdir(parents=True, exist_ok=True)
    (network.half() if half else network).save_pretrained(folder, safe_serialization=file == "model.safetensors")
    (folder / "generation_config.json").unlink(missing_ok=True)
    (folder / "vocab.txt").write_text("\n".join(ESM) + "\n")
    np.savez_compressed(folder / "io.npz", **answers)


def evodiff(name, *, file, carp=False, **changes):
    from sequence_models.constants import MASK, MSA_ALPHABET, PAD, PROTEIN_ALPHABET

    settings = {
        "d_embed": 4,
        "d_model": 16,
        "n_layers": 4,
        "kernel_size": 5,
        "r": 4,
        "slim": True,
        "activation": "gelu",
    }
    settings |= changes
    alphabet = PROTEIN_ALPHABET if carp else MSA_ALPHABET
    sizes = [len(alphabet), *(settings[key] for key in ("d_embed", "d_model", "n_layers", "kernel_size", "r"))]
    options = {key: settings[key] for key in ("slim", "activation", "rank") if key in settings}
    mask = alphabet.index(MASK)
    torch.manual_seed(1)
    if carp:
        from sequence_models.convolutional import ByteNetLM

        network = ByteNetLM(*sizes, causal=False, padding_idx=mask, final_ln=True, **options)
        saved = {"model": "carp_tiny", **settings}
    else:
        network = _evodiff_model().ByteNetLMTime(
            *sizes, causal=False, padding_idx=mask, tie_weights=False, final_ln=True, timesteps=None, **options
        )
        saved = {"step": 7, "tokens": 1234.0, "epoch": 1}
    randomise(network, seed=3)
    with torch.no_grad():
        network.embedder.embedder.weight[mask] = 0  # where training leaves it
    # As one padded batch, with the input mask that training gives.
    length = max(map(len, ROWS))
    pad = alphabet.index(PAD if carp else "!")
    ids = torch.tensor([[alphabet.index(c) for c in row] + [pad] * (length - len(row)) for row in ROWS])
    inputs = {"input_mask": (ids != pad).float().unsqueeze(-1)}
    with torch.no_grad():
        logits = network(ids, **inputs) if carp else network(ids, torch.zeros(len(ids)), **inputs)
    state = network.state_dict()
    if not carp:
        state = {f"module.{key}": tensor for key, tensor in state.items()}
        optimizer = torch.optim.Adam([torch.nn.Parameter(torch.ones(2))], lr=1e-4)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)
        saved |= {"optimizer_state_dict": optimizer.state_dict(), "scheduler_state_dict": schedule.state_dict()}
    folder = HERE / name
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(saved | {"model_state_dict": state}, folder / file)
    answers = {f"logits_{number}": logits[number, : len(row)].numpy() for number, row in enumerate(ROWS)}
    np.savez_compressed(folder / "io.npz", text=np.array(ROWS), **answers)


@functools.cache
def _evodiff_model():
    """evodiff/model.py without the package around it, which wants plotting libraries."""
    place = importlib.util.find_spec("evodiff").submodule_search_locations[0]
    sys.modules["evodiff"] = types.ModuleType("evodiff")
    spec = importlib.util.spec_from_file_location("evodiff.model", Path(place) / "model.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    esm("esm2")
    esm("esm2-half", half=True, file="pytorch_model.bin", tie_word_embeddings=False)
    esm("esm1b", position_embedding_type="absolute", emb_layer_norm_before=True)
    esm("esm1v", position_embedding_type="absolute", token_dropout=False)
    evodiff("evodiff", file="oaar-tiny.tar")
    evodiff("evodiff-rank", file="oaar-rank.tar", slim=False, rank=3, activation="relu", r=2)
    evodiff("carp", file="carp_tiny.pt", carp=True, kernel_size=3, r=8, activation="relu")
