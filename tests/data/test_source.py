import gzip
import io
import logging
import os
import sys
from types import SimpleNamespace

import pytest

from seqdiff.data.output import bgzf_block
from seqdiff.data.source import BGZF_END, Source, bytes_of, size_of, split_lines, text_of
from seqdiff.errors import DataError
from seqdiff.resources import folder

TEXT = b"".join(b"line %d\n" % i for i in range(40_000))


def read(path) -> bytes:
    with Source(path) as source:
        return b"".join(source.blocks())


def refused(path) -> str:
    with pytest.raises(DataError) as caught:
        read(path)
    return str(caught.value)


def test_gzip_is_told_by_content_not_by_name(tmp_path):
    path = tmp_path / "plain.txt"
    path.write_bytes(gzip.compress(TEXT))
    assert read(path) == TEXT
    path = tmp_path / "plain.gz"
    path.write_bytes(TEXT)
    assert read(path) == TEXT


def test_every_member_of_a_gzip_file_is_read(tmp_path):
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(b"one\n") + gzip.compress(b"") + gzip.compress(TEXT) + bytes(512))
    assert read(path) == b"one\n" + TEXT


def test_bgzip_is_read_without_a_warning(tmp_path, caplog):
    path = tmp_path / "a.gz"
    path.write_bytes(b"".join(bgzf_block(TEXT[i : i + 999]) for i in range(0, len(TEXT), 999)) + BGZF_END)
    assert read(path) == TEXT
    assert not caplog.records


def test_bgzip_without_its_end_block_warns_and_names_the_file(tmp_path, caplog):
    path = tmp_path / "cut.gz"
    path.write_bytes(bgzf_block(TEXT[:9999]))
    with caplog.at_level(logging.WARNING, "seqdiff"):
        assert read(path) == TEXT[:9999]
    assert "cut.gz has no bgzip end-of-file block" in caplog.text


@pytest.mark.parametrize("kept", [3, 11, 40, 20_000, -1, -8])
def test_truncated_gzip_fails_naming_the_file(tmp_path, kept):
    path = tmp_path / "cut.fa.gz"
    path.write_bytes(gzip.compress(TEXT)[:kept])
    assert "cut.fa.gz is truncated" in refused(path)


def test_a_flipped_bit_in_gzip_fails(tmp_path):
    data = bytearray(gzip.compress(TEXT))
    data[-6] ^= 1  # the checksum
    path = tmp_path / "bad.gz"
    path.write_bytes(data)
    assert "bad.gz is damaged" in refused(path)


def test_text_after_a_gzip_member_fails_and_says_where(tmp_path):
    data = gzip.compress(b"one\n")
    path = tmp_path / "tail.gz"
    path.write_bytes(data + b"two\n")
    assert f"something else than gzip after byte {len(data)}" in refused(path)


@pytest.mark.parametrize(
    ("head", "what"),
    [
        (">a\nAC".encode("utf-16"), "UTF-16"),
        (">a\nAC".encode("utf-16-le"), "NUL"),
        (b"\xef\xbb\xbf>a\nAC", "byte-order mark"),
        (b">a\nAC\0GT", "NUL"),
        (b"BZh91AY", "bzip2"),
        (b"\xfd7zXZ\0", "xz"),
        (b"\x28\xb5\x2f\xfd", "zstd"),
        (b"PK\x03\x04", "zip"),
    ],
)
def test_what_is_no_text_is_refused_with_the_cure(tmp_path, head, what):
    path = tmp_path / "odd.fa"
    path.write_bytes(head)
    assert what in refused(path)
    path.write_bytes(gzip.compress(head))
    assert what in refused(path)
    assert "odd.fa" in refused(path)


def test_a_missing_file_suggests_its_neighbours(tmp_path):
    (tmp_path / "hg38.fa.gz").touch()
    (tmp_path / "notes.txt").touch()
    message = refused(tmp_path / "hg38.fa")
    assert "did you mean" in message
    assert "hg38.fa.gz" in message
    assert "notes" not in message
    assert "folder" in refused(tmp_path / "nowhere" / "a.fa")


def test_an_example_that_ships_is_pointed_at_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shipped = folder("genomes") / "examples" / "gaps.fa"
    assert refused("genomes/examples/gaps.fa").endswith(f"the one that ships with seqdiff is {shipped}")
    assert "its folder genomes/examples does not exist" in refused("genomes/examples/nothing.fa")


def test_a_folder_is_refused(tmp_path):
    assert "is a folder" in refused(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_refused(tmp_path):
    path = tmp_path / "secret.fa"
    path.touch(mode=0)
    assert "Permission denied" in refused(path)


def test_permission_denied_becomes_a_data_error(tmp_path, monkeypatch):
    def deny(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", deny)
    assert "cannot read" in refused(tmp_path / "secret.fa")


def test_names_no_system_can_open_are_refused(tmp_path):
    assert "cannot read" in refused(tmp_path / ("a" * 5000))
    assert "cannot read" in refused("a\0b")


def test_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(gzip.compress(TEXT))))
    assert read("-") == TEXT
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(gzip.compress(TEXT)[:-9])))
    assert "standard input is truncated" in refused("-")
    monkeypatch.setattr(sys, "stdin", None)
    assert "closed" in refused("-")


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
def test_newlines_of_all_kinds_even_across_blocks(tmp_path, newline, monkeypatch):
    monkeypatch.setattr("seqdiff.data.source._BLOCK", 7)
    monkeypatch.setattr("seqdiff.data.source._GZIP_BLOCK", 7)
    path = tmp_path / "a.txt"
    path.write_bytes(TEXT[:3000].replace(b"\n", newline))
    with Source(path) as source:
        assert b"".join(source.text()) == TEXT[:3000]
    with Source(path) as source:
        assert list(source.lines()) == TEXT[:3000].splitlines()


def test_lines_of_blocks_cut_anywhere():
    blocks = [TEXT[:500][i : i + 3] for i in range(0, 500, 3)]
    assert list(split_lines(blocks)) == TEXT[:500].split(b"\n")
    assert list(split_lines([b"a\n", b"\n", b"b"])) == [b"a", b"", b"b"]
    assert list(split_lines([])) == []


def test_progress_counts_up_to_the_size_of_the_file(tmp_path):
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(os.urandom(300_000).hex().encode()))
    seen = []
    with Source(path, progress=seen.append) as source:
        assert sum(map(len, source.blocks())) == 600_000
    assert seen == sorted(seen)
    assert seen[-1] == source.size == size_of(path) == path.stat().st_size
    assert size_of("-") is None


def test_bytes_of_any_encoding_survive_as_text():
    every = bytes(range(256)) + "é→".encode()
    assert bytes_of(text_of(every)) == every
