"""Which data, process and network go together, and what to change where they do not."""

from seqdiff.config import members
from seqdiff.denoisers import DenoiserConfig, Network
from seqdiff.diffusion.processes import Process
from seqdiff.modalities.modality import Modality


def check(data: Modality, process: Process, denoiser: Network) -> None:
    """Raises ValueError for the first thing that does not fit."""
    kind, network = process.kind, denoiser.kind
    if process.time == "needed" and not denoiser.takes_time:
        setting = "time_conditioning"
        has = setting in type(denoiser).model_fields
        raise ValueError(
            f"process {kind!r} must tell the network the time, and this {network!r} takes none: "
            + (f"set denoiser.{setting}=true" if has else f"choose another ({_with_setting(setting)})")
        )
    if process.time == "none" and denoiser.takes_time:
        raise ValueError(f"process {kind!r} has no time to tell the network: set denoiser.time_conditioning=false")
    if denoiser.left_to_right and not process.needs_left_to_right:
        raise ValueError(
            f"denoiser.causal: process {kind!r} fills letters given both sides, and this network sees "
            "only those before: set denoiser.causal=false"
        )
    if process.needs_left_to_right and not denoiser.left_to_right:
        has = "causal" in type(denoiser).model_fields
        raise ValueError(
            f"process {kind!r} needs a network that sees the letters before a position alone: "
            + ("set denoiser.causal=true" if has else f"{network!r} cannot be one ({_with_setting('causal')} can)")
        )
    if (blocks := process.needs_blocks) != denoiser.blocks:
        takes = "block_length" in type(denoiser).model_fields
        cure = f"set denoiser.block_length={blocks}" if takes else "choose a transformer, which can be one"
        raise ValueError(
            f"process {kind!r} has blocks of {blocks} letters, and the network must see them as such: {cure}"
            if blocks
            else f"denoiser.block_length: process {kind!r} has no blocks, and this network sees none after a "
            "letter's own: leave it out"
        )
    if process.predicts_mask and not denoiser.gives_mask_logit:
        raise ValueError(
            f"process {kind!r} needs a network with a logit for the mask, which this {network!r} has not: it needs "
            "a head of its own (tie_embedding=false)"
        )
    grid = getattr(denoiser, "grid", None)
    if grid not in (None, data.grid):
        shown = "no images" if data.grid is None else f"images of {' x '.join(map(str, data.grid))}"
        raise ValueError(
            f"denoiser.grid: the network is for images of {' x '.join(map(str, grid))} (rows, columns, channels), "
            f"and the data has {shown}"
        )
    if data.labels and not denoiser.takes_labels:
        raise ValueError(f"data.labels: a {network!r} network takes no labels")
    if process.needs_sight and denoiser.hollow:
        raise ValueError(
            f"process {process.kind!r} needs a network whose output at a position sees the letter there, which a "
            f"{denoiser.kind!r} does not: set process.prediction: leave-one-out"
        )
    if process.needs_hollow and not denoiser.hollow:
        raise ValueError(
            f"process.estimator {getattr(process, 'estimator', None)!r} needs a network whose output at a position "
            f"does not see its own letter, which this {denoiser.kind!r} is not: set denoiser.kind: hollow-convolution, "
            "or process.estimator: exact-count"
        )
    if denoiser.equivariant and not data.alphabet.complementary:
        raise ValueError(
            f"denoiser {denoiser.kind!r} is equivariant to the reverse complement, which {data.alphabet.name} has not"
        )


def _with_setting(name: str) -> str:
    """The networks that have a setting of this name."""
    return ", ".join(kind for kind, cls in members(DenoiserConfig).items() if name in cls.model_fields)
