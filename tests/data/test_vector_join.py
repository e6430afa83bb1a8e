"""Embeddings of shards joined are the file of the whole, byte for byte."""

import json

import numpy as np
import pytest

from seqdiff.data.vector_join import join_vectors
from seqdiff.data.vectors import writing
from seqdiff.errors import DataError

RNG = np.random.default_rng(0)
RECORDS = [(f"r{'x' * number}", rows) for number, rows in enumerate([1, 3, 0, 2, 5])]
VECTORS = RNG.normal(size=(11, 4)).astype(np.float32)


def write(path, records, first_row, **metadata):
    rows = sum(count for _, count in records)
    longest = max((len(name) for name, _ in records), default=0)
    about = {"model": "demo", "scale": 0.1} | metadata
    with writing(path, rows=rows, records=len(records), width=4, longest_name=longest, metadata=about) as out:
        for name, count in records:
            out.record(name, 10 * count)
            for row in range(count):
                out.rows(VECTORS[first_row : first_row + 1], known=np.array([first_row]), start=np.array([row]))
                first_row += 1
    return str(path)


def parts(folder, **metadata):
    return [
        write(folder / "1.npz", RECORDS[:2], 0), write(folder / "2.npz", [], 0),
        write(folder / "3.npz", RECORDS[2:], 4, **metadata),
    ]  # fmt: skip


@pytest.mark.parametrize("at_once", [1, 1 << 24])
def test_parts_are_the_whole(tmp_path, monkeypatch, at_once):
    monkeypatch.setattr("seqdiff.data.vector_join.AT_ONCE", at_once)
    write(tmp_path / "whole.npz", RECORDS, 0)
    done = []
    join_vectors(parts(tmp_path), tmp_path / "joined.npz", done.append)
    assert (tmp_path / "joined.npz").read_bytes() == (tmp_path / "whole.npz").read_bytes()
    assert done[-1] == sum((tmp_path / f"{i}.npz").stat().st_size for i in (1, 2, 3))
    with np.load(tmp_path / "joined.npz") as arrays:
        assert arrays["known"].tolist() == list(range(11))
        assert json.loads(str(arrays["metadata"])) == {"model": "demo", "scale": 0.1}


def test_what_was_made_otherwise_or_is_damaged_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"3\.npz was made otherwise than .*: model is 'other', not 'demo'"):
        join_vectors(parts(tmp_path, model="other"), tmp_path / "joined.npz")
    paths = parts(tmp_path)
    whole = (tmp_path / "3.npz").read_bytes()
    for damage in (whole[:200], b"PK\x03\x04", whole[:100] + b"\0\0\0\0" + whole[104:]):
        (tmp_path / "3.npz").write_bytes(damage)
        with pytest.raises(DataError, match=r"3\.npz is"):
            join_vectors(paths, tmp_path / "joined.npz")
    np.savez(tmp_path / "3.npz", a=np.zeros(3))
    with pytest.raises(DataError, match=r"3\.npz is no file of embeddings"):
        join_vectors(paths, tmp_path / "joined.npz")
    assert not (tmp_path / "joined.npz").exists()
