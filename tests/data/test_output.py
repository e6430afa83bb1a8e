import errno
import gzip
import io
import os
import sys
import threading
from types import SimpleNamespace

import numpy as np
import pytest

from seqdiff.data.output import Output, bgzf_block
from seqdiff.data.source import BGZF_END, Source
from seqdiff.errors import DataError


class Full(io.BytesIO):
    """A disk with room for a hundred bytes, ten of them free."""

    def __init__(self, *_, **__):
        super().__init__()
        self.write(bytes(90))

    def write(self, data):
        if self.tell() + len(data) > 100:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(data)


def test_a_file_appears_whole_when_it_is_finished(tmp_path):
    path = tmp_path / "out.fa"
    with Output(path) as out:
        out.write(b"half")
        assert not path.exists()
        out.write(b" whole")
    assert path.read_bytes() == b"half whole"
    assert os.listdir(tmp_path) == ["out.fa"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit, BrokenPipeError, DataError])
def test_after_an_error_the_previous_file_stands_and_nothing_else(tmp_path, error):
    path = tmp_path / "out.fa"
    path.write_bytes(b"before")

    def interrupted():
        with Output(path) as out:
            out.write(b"after" * 1_000_000)
            raise error("stop")

    with pytest.raises(error, match="stop"):
        interrupted()
    assert path.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["out.fa"]


@pytest.mark.parametrize("size", [50, 200])
@pytest.mark.parametrize("name", ["out.fa", "out.fa.gz"])
def test_a_full_disk_is_a_data_error_and_leaves_nothing(tmp_path, monkeypatch, name, size):
    path = tmp_path / name
    path.write_bytes(b"before")
    monkeypatch.setattr("seqdiff.data.output.open", Full, raising=False)
    with pytest.raises(DataError, match=f"{name}: the disk is full"), Output(path) as out:
        out.write(os.urandom(size))
    assert path.read_bytes() == b"before"
    assert os.listdir(tmp_path) == [name]


def test_a_full_device_is_a_data_error():
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    with pytest.raises(DataError, match="/dev/full: the disk is full"), Output("/dev/full") as out:
        out.write(b"x")


def test_the_output_may_be_the_input(tmp_path):
    path = tmp_path / "a.fa"
    path.write_bytes(b"x" * 3_000_000)
    with Source(path) as source, Output(path) as out:
        for block in source.blocks():
            out.write(block.upper())
    assert path.read_bytes() == b"X" * 3_000_000


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real.fa").write_bytes(b"before")
    (tmp_path / "link.fa").symlink_to("real.fa")
    with Output(tmp_path / "link.fa") as out:
        out.write(b"after")
    assert (tmp_path / "link.fa").is_symlink()
    assert (tmp_path / "real.fa").read_bytes() == b"after"


def test_devices_and_pipes_are_written_directly(tmp_path):
    with Output("/dev/null") as out:
        out.write(b"x")
    assert not os.path.isfile("/dev/null")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    got = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    with Output(pipe) as out:
        out.write(b"through")
    reader.join()
    assert got == [b"through"]
    assert os.listdir(tmp_path) == ["pipe"]
    assert pipe.is_fifo()


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match="folder"), Output(tmp_path):
        pass


@pytest.mark.parametrize("path", [None, "-", "/dev/stdout"])
def test_standard_output_is_written_and_stays_open(monkeypatch, path):
    buffer = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(buffer=buffer))
    with Output(path) as out:
        out.write(b">a\n")
    assert buffer.getvalue() == b">a\n"


def test_a_closed_pipe_is_left_to_the_command_line(monkeypatch):
    class Closed(io.BytesIO):
        def write(self, data):
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stdout", SimpleNamespace(buffer=Closed()))
    with pytest.raises(BrokenPipeError), Output("-") as out:
        out.write(b"x")


@pytest.mark.parametrize("size", [0, 1, 0xFF00, 0xFF00 + 1, 500_000])
def test_gz_names_are_written_as_bgzip(tmp_path, size, caplog):
    path = tmp_path / "a.fa.gz"
    data = np.random.default_rng(0).integers(0, 256, size, np.uint8).tobytes()
    with Output(path) as out:
        for at in range(0, size, 1777):
            out.write(data[at : at + 1777])
    written = path.read_bytes()
    assert gzip.decompress(written) == data
    assert written.endswith(BGZF_END)
    at = 0
    while at < len(written):  # the blocks' own sizes lead from one to the next, up to the end
        assert written[at : at + 4] == b"\x1f\x8b\x08\x04"
        at += int.from_bytes(written[at + 16 : at + 18], "little") + 1
    assert at == len(written)


def test_samtools_can_index_what_is_written(tmp_path):
    pysam = pytest.importorskip("pysam")
    path = tmp_path / "a.fa.gz"
    with Output(path) as out:
        out.write(b">a\n" + b"ACGT\n" * 40_000 + b">b\nTTTTG\n")
    with pysam.FastaFile(str(path)) as fasta:
        assert fasta.fetch("b") == "TTTTG"
        assert fasta.fetch("a", 159_990, 160_000) == "GTACGTACGT"


def test_a_block_that_does_not_compress_is_stored():
    text = np.random.default_rng(1).integers(0, 256, 0xFF00, np.uint8).tobytes()
    block = bgzf_block(text)
    assert len(block) <= 1 << 16
    assert gzip.decompress(block) == text
