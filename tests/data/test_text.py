"""Text files: encoded once, in blocks, with errors that say where."""

import gzip

import numpy as np
import pytest

from seqdiff.data import source
from seqdiff.data.characters import BYTES, TEXT8, UNKNOWN, Characters, counts
from seqdiff.data.text import RunningText, counted
from seqdiff.errors import DataError

TEXT = f"Où est-il?\nIl est là — à côté 𝄞{UNKNOWN}.\n" * 3


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setenv("SEQDIFF_CACHE", str(tmp_path / "cache"))
    (tmp_path / "a.txt").write_bytes(TEXT.encode())
    return tmp_path / "a.txt"


@pytest.fixture(params=[1, 2, 3, 5, 1 << 20])
def small_blocks(request, monkeypatch):
    """Text that is read a few bytes at a time, so that every character is cut somewhere."""
    monkeypatch.setattr(source, "_BLOCK", request.param)
    monkeypatch.setattr(source, "_GZIP_BLOCK", request.param)


@pytest.mark.parametrize("alphabet", [TEXT8, BYTES, Characters.of("Oùestilàcôé𝄞 .\n")], ids=["text8", "bytes", "own"])
def test_a_file_is_its_text_wherever_it_is_cut_into_blocks(path, alphabet, small_blocks):
    text = RunningText.open(path, alphabet)
    assert np.array_equal(text.tokens, alphabet.encode(TEXT.encode()))
    assert text.unknown == (text.tokens == alphabet.mask).sum()
    assert np.array_equal(counted(path), counts(TEXT.encode()))


def test_new_lines_and_compression_do_not_matter(path, tmp_path):
    alphabet = Characters.of("Oùestilàcôé𝄞 .\n")
    (tmp_path / "b.txt").write_bytes(TEXT.replace("\n", "\r\n").encode())
    (tmp_path / "c.gz").write_bytes(gzip.compress(TEXT.encode()))
    whole = [RunningText.open(tmp_path / name, alphabet) for name in ("a.txt", "b.txt", "c.gz")]
    assert len({text.checksum for text in whole}) == 1
    assert all(np.array_equal(text.tokens, whole[0].tokens) for text in whole)
    as_they_are = RunningText.open(tmp_path / "b.txt", BYTES)
    assert BYTES.decode(as_they_are.tokens) == TEXT.replace("\n", "\r\n").encode()


def test_a_file_is_encoded_once_for_each_alphabet(path, caplog):
    caplog.set_level("INFO", "seqdiff")
    first = RunningText.open(path, TEXT8)
    again = RunningText.open(path, TEXT8)
    other = RunningText.open(path, BYTES)
    assert first.checksum == again.checksum != other.checksum
    assert [record.message.split()[0] for record in caplog.records] == ["encoding", "encoding"]
    own = [RunningText.open(path, Characters.of(symbols)).checksum for symbols in ("est", "set")]
    assert own[0] != own[1]


def test_wide_alphabets_take_two_bytes_a_character(path):
    alphabet = Characters.of("".join(sorted(set(TEXT) - {UNKNOWN})) + "".join(map(chr, range(0x4E00, 0x4E00 + 500))))
    text = RunningText.open(path, alphabet)
    assert text.tokens.dtype == np.int16
    assert alphabet.decode(text.tokens).decode() == TEXT


@pytest.mark.parametrize("at", [4, 30])
def test_what_is_not_utf8_is_said_with_its_line(tmp_path, at, small_blocks):
    data = bytearray(b"abcdef\n" * 6)
    data[at : at + 1] = b"\xe9"
    (tmp_path / "latin.txt").write_bytes(data)
    with pytest.raises(DataError, match=rf"latin\.txt, line {1 + at // 7}: the byte '\\xe9' is not UTF-8.*iconv"):
        RunningText.open(tmp_path / "latin.txt", TEXT8)
    assert len(RunningText.open(tmp_path / "latin.txt", BYTES).tokens) == len(data)


def test_a_character_cut_short_by_the_end_of_the_file_is_an_error(tmp_path):
    (tmp_path / "cut.txt").write_bytes("ab\ncd€".encode()[:-1])
    with pytest.raises(DataError, match="line 2: the byte"):
        RunningText.open(tmp_path / "cut.txt", TEXT8)


@pytest.mark.parametrize("alphabet", [TEXT8, BYTES], ids=["text8", "bytes"])
def test_a_file_without_text_is_an_error(tmp_path, alphabet):
    (tmp_path / "empty.txt").write_bytes(b"")
    with pytest.raises(DataError, match="empty"):
        RunningText.open(tmp_path / "empty.txt", alphabet)
    with pytest.raises(DataError, match="there is no file"):
        RunningText.open(tmp_path / "none.txt", alphabet)
    assert [p.name for p in tmp_path.iterdir()] == ["empty.txt"]
