"""A family: its columns, its weights, what is held out of it, and what a model of it remembers."""

import json
import logging

import numpy as np
import pytest

from seqdiff.alphabet import ALIGNED
from seqdiff.data.identity import relatives
from seqdiff.errors import ConfigError, DataError
from seqdiff.modalities import Family, Opened, family

LETTERS = ALIGNED.symbols[:20]


def descendants(seed=0, ancestors=30, each=4, columns=60, change=0.05):
    """Groups of relatives: all of a group are at least 80 % identical, groups are not."""
    draw = np.random.default_rng(seed)
    rows = np.repeat(draw.integers(0, 20, (ancestors, columns)), each, 0)
    moved = draw.random(rows.shape) < change
    rows[moved] = draw.integers(0, 20, moved.sum())
    return ["".join(LETTERS[i] for i in row) for row in rows]


@pytest.fixture
def write(tmp_path):
    def write(rows, names=None):
        path = tmp_path / "family.fa"
        names = names or ["BLA_TOY/11-70", *(f"s{i}" for i in range(1, len(rows)))]
        path.write_text("".join(f">{name}\n{row}\n" for name, row in zip(names, rows, strict=True)))
        return path

    return write


def test_a_family_gives_what_any_modality_gives(write):
    rows = descendants()
    data = Family(alignment=write(rows)).open()
    assert isinstance(data, Opened)
    assert data.config.context == 60
    assert data.relatives.effective == pytest.approx(30, abs=3)
    parts = [part.tokens for part in (data.train, data.valid, data.test)]
    assert sum(map(len, parts)) == 120
    texts = [{ALIGNED.decode(row).decode() for row in part} for part in parts]
    assert set().union(*texts) == set(rows)
    assert rows[0] in texts[0]
    assert "Neff 30" in data.source
    assert "BLA_TOY/11-70" in data.source
    assert f"{len(data.train)} sequences over 60 columns" == data.contents
    assert not data.both_strands
    assert [row.tolist() for row in data.text("test")] == data.test.tokens.tolist()


def test_facts_are_the_query_and_the_family(write):
    rows = descendants()
    facts = Family(alignment=write(rows)).open().facts
    assert facts == json.loads(json.dumps(facts))
    assert facts["query"] == {"name": "BLA_TOY/11-70", "first": 11, "sequence": rows[0]}
    assert facts["family"] == {"sequences": 120, "neff": facts["family"]["neff"], "identity": 0.8, "columns": 60}


def test_no_held_out_sequence_has_a_relative_in_another_part(write):
    data = Family(alignment=write(descendants()), valid=0.2, test=0.2).open()
    parts = [data.train, data.valid, data.test]
    groups = relatives(np.concatenate([part.tokens for part in parts]), 20).groups
    of_parts = np.split(groups, np.cumsum([len(part) for part in parts])[:-1])
    assert len(set(of_parts[0]) | set(of_parts[1]) | set(of_parts[2])) == sum(len(set(g)) for g in of_parts)
    for part in parts[1:]:
        assert part.weights.sum() / data.relatives.effective == pytest.approx(0.2, abs=0.05)


def test_where_all_are_relatives_closer_ones_are_held_out_and_it_is_said(write, caplog):
    rows = descendants(ancestors=1, each=40)
    data = Family(alignment=write(rows)).open()
    assert len(data.valid)
    assert len(data.test)
    assert "all sequences are relatives at 80 % identity, so what is held out is only less than 95 %" in caplog.text


def test_sequences_of_many_gaps_are_left_out_and_counted(write, caplog):
    caplog.set_level(logging.INFO, "seqdiff")
    rows = descendants()
    rows[5] = "-" * 31 + rows[5][31:]
    rows[6] = "-" * 30 + rows[6][30:]
    path = write(rows)
    assert len(Family(alignment=path).open().rows) == 119
    assert "left out 1 of 120 sequences with more than 50 % gaps (data.max_gaps)" in caplog.text
    assert len(Family(alignment=path, max_gaps=1).open().rows) == 120


def test_a_poor_family_is_said_to_be_one(write, caplog):
    Family(alignment=write(descendants(ancestors=12))).open()
    assert "fewer effective sequences (12) than columns (60)" in caplog.text


def test_a_long_comparison_says_how_far_it_is(write, caplog, monkeypatch):
    monkeypatch.setattr(family, "MANY", 10)
    monkeypatch.setattr(family._Compared, "EVERY", 0.0)
    caplog.set_level(logging.INFO, "seqdiff")
    Family(alignment=write(descendants())).open()
    assert "comparing all pairs of 120 sequences" in caplog.text
    assert "compared 100 % of the pairs, about 0 s left" in caplog.text


def test_the_checksum_is_of_rows_and_splits(write):
    rows = descendants()
    path = write(rows)
    first = Family(alignment=path).open().checksum
    assert Family(alignment=path).open().checksum == first
    assert Family(alignment=path, valid=0.2).open().checksum != first
    rows[7] = rows[8]
    assert Family(alignment=write(rows)).open().checksum != first


def test_columns_are_what_the_file_says(write):
    path = write(descendants())
    assert Family(alignment=path).resolved() == Family(alignment=path, context=60)
    assert Family(alignment=path, context=60).resolved().context == 60
    with pytest.raises(ConfigError, match=r"data\.context is 61, but the query of .* has 60 columns"):
        Family(alignment=path, context=61).resolved()


def test_an_alignment_is_asked_for():
    with pytest.raises(ConfigError, match="give an aligned family: --set"):
        Family().resolved()
    with pytest.raises(ConfigError, match="give a file: training has to find its data again"):
        Family(alignment="-").resolved()
    with pytest.raises(DataError, match="there is no file"):
        Family(alignment="no/such.a2m").resolved()


def test_too_small_a_family_is_refused(write):
    with pytest.raises(DataError, match="too few different sequences"):
        Family(alignment=write(descendants()[:2])).open()
    with pytest.raises(ValueError, match="leave something to train on"):
        Family(valid=0.5, test=0.5)


def test_the_profile_is_smoothed_site_frequencies(write):
    data = Family(alignment=write(descendants())).open()
    profile = data.profile()
    assert profile.shape == (60, 21)
    np.testing.assert_allclose(profile.sum(1), 1)
    assert (profile > 0).all()
    share = (data.train.tokens[:, 3] == data.train.tokens[0, 3]) @ data.train.weights / data.train.weights.sum()
    assert profile[3, data.train.tokens[0, 3]] == pytest.approx(share, rel=0.5)
