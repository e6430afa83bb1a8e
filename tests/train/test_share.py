"""Every row of a step is the same, draws and all, whichever process has it and in whatever piece."""

import numpy as np
import pytest
import torch
from stories import tiny_recipe, write_genome

from seqdiff import recipe as recipes
from seqdiff.alphabet import PROTEIN
from seqdiff.data.batches import Batch
from seqdiff.train.distributed import Processes
from seqdiff.train.learner import Learner
from seqdiff.train.loop import _loss
from seqdiff.train.share import Share, rows_at_once

WORLDS = (1, 2, 3, 4)
CONVOLUTION = {"kind": "convolution", "width": 8, "hidden": 8, "depth": 1}
TOLD = CONVOLUTION | {"time_conditioning": True}
TRANSFORMER = {"kind": "transformer", "width": 8, "depth": 1, "heads": 2, "hidden": 8}
KINDS = {
    "masked": ({"kind": "masked"}, CONVOLUTION),
    "bernoulli": ({"kind": "masked", "estimator": "bernoulli"}, CONVOLUTION),
    "hollow": ({"kind": "masked", "estimator": "hollow"}, {"kind": "hollow-convolution", "width": 8, "depth": 1}),
    "mlm": ({"kind": "mlm"}, CONVOLUTION),
    "genmasked": ({"kind": "genmasked"}, TOLD),
    "uniform": ({"kind": "uniform"}, TOLD),
    "score": ({"kind": "score"}, TOLD),
    "discrete": ({"kind": "discrete"}, TOLD),
    "autoregressive": ({"kind": "autoregressive"}, TRANSFORMER | {"causal": True}),
    "block": ({"kind": "block", "length": 4}, TRANSFORMER | {"block_length": 4}),
    "caduceus": ({"kind": "masked"}, {"kind": "caduceus", "width": 8, "depth": 1}),
}  # fmt: skip


class Spy:
    """Stands before a network and keeps what each of its rows was asked."""

    def __init__(self, module):
        self.module, self.rows = module, []

    def __call__(self, *inputs, **named):
        for values in zip(*(v.tolist() for v in [*inputs, *named.values()] if v is not None), strict=True):
            self.rows.append(values)
        return self.module(*inputs, **named)


def asked(recipe, network, loader, step, world, draws_twice):
    """What the network is asked of each row of a step, from the first row of the first process on, and the nats."""
    rows, nats = [], 0.0
    for rank in range(world):
        group = Processes(rank, world)
        share = Share.of_step(step, loader, recipe, group)
        for piece, draws, _ in share.pieces(group, alike=False):
            spy = Spy(network)
            nats += float(_loss(recipe, piece, draws, spy).detach())
            if group.share(loader.rows(step)):
                first = spy.rows[: len(piece)]  # a process that asks twice asks of all rows, then of all again
                again = spy.rows[len(piece) :]
                rows += list(zip(first, again, strict=True)) if draws_twice else first
                assert draws_twice or not again
    return rows, nats


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_draws_the_same_in_any_share_and_piece(tmp_path, kind):
    process, network = KINDS[kind]
    made = tiny_recipe(write_genome(tmp_path / "genome.fa"), batch_size=7)
    made = recipes.parse(made.model_dump(mode="json", by_alias=True) | {"process": process, "denoiser": network}, kind)
    compare(made, twice=kind == "genmasked")


def test_proteins_of_buckets_too(tmp_path):
    rng = np.random.default_rng(0)
    proteins = ["".join(rng.choice(list(PROTEIN.symbols), n)) for n in rng.integers(17, 90, 200)]
    fasta = tmp_path / "proteins.fa"
    fasta.write_text("".join(f">p{i}\n{protein}\n" for i, protein in enumerate(proteins)))
    data = {"kind": "protein", "fasta": str(fasta), "context": 90, "splits": {"valid": 0.1, "test": 0.1}}
    made = tiny_recipe(fasta).model_dump(mode="json", by_alias=True) | {"data": data}
    compare(recipes.parse(made, "proteins"), steps=range(1, 7))


def compare(recipe, steps=(1, 2), twice=False):
    data = recipe.data.open()
    loader = data.loader(recipe.seed, recipe.training.batch_size)
    network = Learner(recipe, torch.device("cpu")).denoiser
    pieces = recipe.model_copy(update={"training": recipe.training.model_copy(update={"micro_batch_size": 2})})
    for step in steps:
        rows, nats = asked(recipe, network, loader, step, 1, twice)
        assert len(rows) == loader.rows(step)
        assert len({str(row) for row in rows}) > len(rows) // 2
        for world in WORLDS:
            for settings in (recipe, pieces):
                others, sum_of_all = asked(settings, network, loader, step, world, twice)
                assert others == rows, (step, world)
                assert sum_of_all == pytest.approx(nats, rel=1e-5)


def test_a_forward_pass_holds_the_letters_of_so_many_whole_rows():
    def rows(micro, width):
        return rows_at_once(micro, 32, Batch(torch.zeros(12, width, dtype=torch.long), torch.zeros(12, width)))

    assert [rows(None, 32), rows(2, 32), rows(2, 16), rows(2, 24), rows(1, 64)] == [12, 2, 4, 2, 1]
