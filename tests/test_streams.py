"""What a row draws is its own: whatever its neighbours, the batch size, or the number of processes."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from seqdiff.streams import Streams, seed_of


def test_seeds_are_the_same_everywhere_and_in_every_version():
    assert seed_of(0, "chr20", 1) == 2630741733135435159


def test_seeds_tell_their_parts_apart():
    seeds = [seed_of(1, 2), seed_of(12), seed_of(2, 1), seed_of("1", "2", ""), seed_of(1, (2,))]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_a_row_draws_the_same_with_other_neighbours():
    alone = Streams.of(7, ["b"]).rand(3, 2)
    among = Streams.of(7, ["a", "b", "c"]).rand(3, 2)
    assert among.shape == (3, 3, 2)
    assert among.dtype == torch.float64
    assert torch.equal(among[1:2], alone)
    assert not torch.equal(among[0], among[1])


def test_draws_do_not_depend_on_how_they_are_cut():
    whole = Streams.of(7, ["a", "b"]).rand(10)
    pieces = Streams.of(7, ["a", "b"])
    assert torch.equal(torch.cat([pieces.rand(4), pieces.rand(6)], -1), whole)


def test_selected_rows_advance_the_same_streams():
    streams, reference = Streams.of(0, "ab"), Streams.of(0, "ab").rand(2)
    assert torch.equal(streams.select([1]).rand(1), reference[1:, :1])
    assert torch.equal(streams.rand(1), torch.stack([reference[0, :1], reference[1, 1:]]))


def test_no_rows_draw_nothing():
    empty = Streams.of(0, [])
    assert len(empty) == 0
    assert empty.rand(3).shape == (0, 3)
    assert empty.strata().shape == (0,)


def test_a_different_seed_draws_differently():
    assert not torch.equal(Streams.of(0, ["a"]).rand(4), Streams.of(1, ["a"]).rand(4))


@given(st.integers(0, 5), st.integers(0, 1000), st.integers(1, 40))
def test_strata_of_a_step_fall_one_into_each_cell(seed, step, total):
    strata = Streams.of_step(seed, step, range(total), total).strata()
    assert strata.dtype == torch.float64
    assert ((strata * total).floor().sort().values == torch.arange(total)).all()


@given(st.integers(0, 1000), st.integers(1, 7), st.integers(1, 7))
def test_ranks_and_micro_batches_together_are_the_whole_step(step, first, second):
    total = first + second
    whole = Streams.of_step(3, step, range(total), total)
    parts = [Streams.of_step(3, step, rows, total) for rows in (range(first), range(first, total))]
    assert torch.equal(torch.cat([part.strata() for part in parts]), whole.strata())
    assert torch.equal(torch.cat([part.rand(2) for part in parts]), whole.rand(2))


def test_steps_are_stratified_in_different_orders():
    one, two = (Streams.of_step(0, step, range(16), 16).strata() for step in (1, 2))
    assert not torch.equal(one.argsort(), two.argsort())


def test_streams_without_a_step_have_free_strata():
    streams = Streams.of(0, ["a", "b"])
    first, second = streams.strata(), streams.strata()
    assert first.shape == (2,)
    assert not torch.equal(first, second)


def test_selecting_rows_selects_their_strata():
    streams = Streams.of_step(0, 1, range(4), 4)
    assert torch.equal(streams.select([2, 0]).strata(), streams.strata()[[2, 0]])
