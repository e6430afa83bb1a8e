"""A published Caduceus, from its description: files as they are saved, and a slow computation of what it answers.

It knows nothing of seqdiff: sixteen token ids, tensors by their published names, channels doubled, flips everywhere.
"""

import json
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

FIXTURES = Path(__file__).parents[2] / "shared" / "data" / "caduceus_fixtures"
"""Small networks with the logits of the public implementation; not part of the repository."""

LETTERS = {"A": 7, "C": 8, "G": 9, "T": 10, "N": 3}
"""Published ids of what a FASTA holds; N is asked for, so it is [MASK]."""
COMPLEMENT = torch.tensor([0, 1, 2, 3, 4, 5, 6, 10, 9, 8, 7, 11, 12, 13, 14, 15])


def make_config(*, rcps=True, fused=True, width=12, depth=3, **changes):
    return {
        "model_type": "caduceus", "d_model": width, "n_layer": depth, "vocab_size": 16, "ssm_cfg": {"d_state": 4},
        "rms_norm": True, "residual_in_fp32": False, "fused_add_norm": fused, "pad_vocab_size_multiple": 8,
        "norm_epsilon": 1e-5, "initializer_cfg": None, "bidirectional": True, "bidirectional_strategy": "add",
        "bidirectional_weight_tie": True, "rcps": rcps,
        "complement_map": {str(i): int(j) for i, j in enumerate(COMPLEMENT)} if rcps else None,
    } | changes  # fmt: skip


def make_tensors(config, seed=0):
    """All tensors that the public code has in memory, tied ones under each of their names."""
    draw = torch.Generator().manual_seed(seed)
    ssm = {"d_state": 16, "d_conv": 4, "expand": 2} | (config["ssm_cfg"] or {})
    width, inner, states = config["d_model"], ssm["expand"] * config["d_model"], ssm["d_state"]
    rank, shared = -(-width // 16), config["rcps"]
    norm = "norm{}.submodule.weight" if shared and not config["fused_add_norm"] else "norm{}.weight"

    def random(*shape, scale=0.3):
        return scale * torch.randn(*shape, generator=draw)

    embedding = random(16, width)
    mid = "embedding." if shared else ""
    found = {
        f"caduceus.backbone.embeddings.word_embeddings.{mid}weight": embedding,
        f"lm_head.{'lm_head.' if shared else ''}weight": embedding,
        "caduceus.backbone." + norm.format("_f"): 1 + random(width),
    }
    if shared:
        found["caduceus.backbone.embeddings.word_embeddings.complement_map"] = COMPLEMENT.clone()
        found["lm_head.complement_map"] = COMPLEMENT.clone()
    for i in range(config["n_layer"]):
        layer = f"caduceus.backbone.layers.{i}."
        found[layer + norm.format("")] = 1 + random(width)
        into, out = random(2 * inner, width), random(width, inner)
        for way in ("fwd", "rev"):
            found |= {
                f"{layer}mixer.{'submodule.' if shared else ''}mamba_{way}.{name}": tensor
                for name, tensor in {
                    "A_log": torch.arange(1.0, states + 1).log().repeat(inner, 1) + random(inner, states),
                    "D": 1 + random(inner),
                    "in_proj.weight": into,
                    "conv1d.weight": random(inner, 1, ssm["d_conv"]),
                    "conv1d.bias": random(inner),
                    "x_proj.weight": random(rank + 2 * states, inner),
                    "dt_proj.weight": random(inner, rank),
                    "dt_proj.bias": random(inner) - 2,
                    "out_proj.weight": out,
                }.items()
            }
    return found


def write(folder, config, tensors, *, file="model.safetensors", drop_tied=False):
    """A published folder; `drop_tied` leaves out what transformers 4.38 leaves out."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    if drop_tied:
        tied = ("mamba_rev.in_proj.weight", "mamba_rev.out_proj.weight")
        tensors = {n: t for n, t in tensors.items() if not n.endswith(tied) and not n.endswith("lm_head.weight")}
    if file.endswith(".bin"):
        torch.save(tensors, folder / file)
    else:
        save_file({name: tensor.clone() for name, tensor in tensors.items()}, folder / file)
    return folder


def answer(config, tensors, ids):
    """Logits (B, L, 16) in float64; for Ph of one strand, as the public code gives them."""
    get = {name: tensor.double() for name, tensor in tensors.items() if tensor.is_floating_point()}
    shared, fused = config["rcps"], config["fused_add_norm"]
    (embedding,) = (t for name, t in get.items() if "word_embeddings" in name)
    norms = [_norm_of(get, f"layers.{i}.") for i in range(config["n_layer"])] + [_norm_of(get, "backbone.norm_f.")]
    mixers = [_mixer(get, f"layers.{i}.mixer.") for i in range(config["n_layer"])]
    head = next((t for name, t in get.items() if name.startswith("lm_head.")), embedding)
    if not shared:
        h = embedding[ids]
        for norm, mixer in zip(norms, mixers):
            h = h + _both_ways(_rms(h, norm), mixer)
        return F.linear(_rms(h, norms[-1]), head)
    hidden = torch.cat([embedding[ids], _flip(embedding[COMPLEMENT[ids].flip(1)])], -1)
    residual = torch.zeros_like(hidden)
    for norm, mixer in zip(norms, mixers):
        first, second = (residual + hidden).chunk(2, -1)
        if fused:
            first, second = second, first
        residual = torch.cat([first, second], -1)
        first, second = _rms(first, norm), _flip(_rms(_flip(second), norm))
        hidden = torch.cat([_both_ways(first, mixer), _flip(_both_ways(_flip(second), mixer))], -1)
    first, second = (residual + hidden).chunk(2, -1)
    first, second = _rms(first, norms[-1]), _flip(_rms(_flip(second), norms[-1]))
    return F.linear(first, head) + F.linear(second.flip(-1), head[COMPLEMENT])


def ids_of(text):
    return torch.tensor([[LETTERS[letter] for letter in text]])


def _flip(x):
    return x.flip(-2, -1)


def _rms(x, weight):
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-5) * weight


def _norm_of(get, place):
    (weight,) = (t for name, t in get.items() if place in name and "norm" in name.split(place)[1] + place)
    return weight


def _mixer(get, place):
    mixer = {name.split(place)[1].removeprefix("submodule."): t for name, t in get.items() if place in name}
    for name in ("in_proj.weight", "out_proj.weight"):
        mixer.setdefault(f"mamba_rev.{name}", mixer[f"mamba_fwd.{name}"])
    return mixer


def _both_ways(h, mixer):
    return _mamba(h, mixer, "mamba_fwd.") + _mamba(h.flip(1), mixer, "mamba_rev.").flip(1)


def _mamba(h, mixer, way):
    weight = {name.removeprefix(way): tensor for name, tensor in mixer.items() if name.startswith(way)}
    x, z = F.linear(h, weight["in_proj.weight"]).chunk(2, -1)
    taps, states = weight["conv1d.weight"].shape[-1], weight["A_log"].shape[1]
    x = F.conv1d(x.mT, weight["conv1d.weight"], weight["conv1d.bias"], padding=taps - 1, groups=x.shape[-1])
    x = F.silu(x[..., : h.shape[1]].mT)
    low_rank, b, c = F.linear(x, weight["x_proj.weight"]).split([weight["dt_proj.weight"].shape[1], states, states], -1)
    step = F.softplus(F.linear(low_rank, weight["dt_proj.weight"], weight["dt_proj.bias"]))
    rate, state, y = -weight["A_log"].exp(), 0, []
    for t in range(h.shape[1]):
        state = torch.exp(step[:, t, :, None] * rate) * state + (step * x)[:, t, :, None] * b[:, t, None]
        y.append((state * c[:, t, None]).sum(-1) + weight["D"] * x[:, t])
    return F.linear(torch.stack(y, 1) * F.silu(z), weight["out_proj.weight"])
