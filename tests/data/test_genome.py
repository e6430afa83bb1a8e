import gzip
import io
import logging
import multiprocessing
import os
import pickle
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from seqdiff.alphabet import DNA, PROTEIN
from seqdiff.data.genome import SOFT_MASKED, Genome
from seqdiff.data.intervals import Interval
from seqdiff.data.output import Output
from seqdiff.errors import DataError

REAL = Path(__file__).resolve().parents[3] / "shared" / "data"
CONTIGS = {"chr1": b"NNACGTacgtnnRyACGTNN", "empty": b"", "chr2": b"NACG", "chr3": b"T" * 200 + b"n" * 99}


def fasta(contigs, width=7, newline=b"\n") -> bytes:
    rows = []
    for name, letters in contigs.items():
        rows += [b">" + name.encode() + b" about"]
        rows += [letters[i : i + width] for i in range(0, len(letters), width)]
    return newline.join(rows) + newline


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "g.fa"
    path.write_bytes(fasta(CONTIGS))
    return path


@pytest.fixture(autouse=True)
def elsewhere(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("cache") / "new"
    monkeypatch.setenv("SEQDIFF_CACHE", str(folder))
    return folder


def codes_of(letters: bytes) -> np.ndarray:
    lower = np.array([chr(letter).islower() for letter in letters], np.uint8)
    return DNA.encode(letters) | lower * SOFT_MASKED


def test_codes_are_tokens_and_the_soft_mask_bit(path):
    genome = Genome.open(path)
    assert genome.contigs == {name: len(letters) for name, letters in CONTIGS.items()}
    assert list(genome.contigs) == list(CONTIGS)
    for name, letters in CONTIGS.items():
        whole = Interval(name, 0, len(letters))
        assert np.array_equal(genome.codes(whole), codes_of(letters))
        assert np.array_equal(genome.tokens(whole), DNA.encode(letters))
    assert not genome.codes(Interval("chr2", 0, 2)).flags.writeable


@pytest.mark.parametrize("block", [1, 5, 64])
def test_any_file_of_the_same_letters_gives_the_same_genome(path, tmp_path, monkeypatch, block):
    expected = Genome.open(path)
    monkeypatch.setattr("seqdiff.data.source._BLOCK", block)
    monkeypatch.setattr("seqdiff.data.source._GZIP_BLOCK", block)
    other = tmp_path / "other.fa.gz"
    for data in (fasta(CONTIGS, 11, b"\r\n"), gzip.compress(fasta(CONTIGS, 100))):
        other.write_bytes(data)
        genome = Genome.open(other)
        assert genome.checksum == expected.checksum
        assert np.array_equal(genome._codes, expected._codes)
        assert np.array_equal(genome._edges, expected._edges)
        Path(f"{other}.seqdiff").unlink()


def test_the_checksum_tells_letters_case_names_and_borders_apart(tmp_path):
    path = tmp_path / "g.fa"
    seen = set()
    for text in (">a\nACGT\n", ">a\nACGA\n", ">a\nACGt\n", ">b\nACGT\n", ">a\nACG\n>b\nT\n", ">a\nAC\n>b\nGT\n"):
        path.write_text(text)
        seen.add(Genome.open(path).checksum)
    assert len(seen) == 6


def test_gather(path):
    genome = Genome.open(path)
    contigs, starts = np.array([0, 2, 0, 3]), np.array([0, 0, 16, 295])
    rows = genome.gather(contigs, starts, 4)
    names = list(CONTIGS)
    expected = [codes_of(CONTIGS[names[c]][s : s + 4]) for c, s in zip(contigs, starts, strict=True)]
    assert np.array_equal(rows, expected)
    assert rows.flags.writeable
    assert genome.gather(contigs[:0], starts[:0], 4).shape == (0, 4)
    assert genome.gather(np.array([1]), np.array([0]), 0).shape == (1, 0)


@pytest.mark.parametrize(("contig", "start", "length"), [(0, -1, 4), (0, 17, 4), (4, 0, 1), (-1, 0, 1), (1, 0, 1)])
def test_windows_outside_their_contig_are_refused(path, contig, start, length):
    genome = Genome.open(path)
    with pytest.raises(ValueError, match=r"contig"):
        genome.gather(np.array([contig]), np.array([start]), length)
    with pytest.raises(ValueError, match=r"contig"):
        genome.unknown(np.array([contig]), np.array([start]), np.array([start + length]))


def test_unknown_counts_by_brute_force_over_all_spans(path, monkeypatch):
    monkeypatch.setattr("seqdiff.data.source._GZIP_BLOCK", 9)
    genome = Genome.open(path)
    for index, letters in enumerate(CONTIGS.values()):
        unknown = np.concatenate([[0], np.cumsum(DNA.encode(letters) == DNA.mask)])
        starts, ends = np.triu_indices(len(letters) + 1)
        found = genome.unknown(index, starts, ends)
        assert np.array_equal(found, unknown[ends] - unknown[starts])


def test_a_genome_without_unknown_letters(tmp_path):
    path = tmp_path / "g.fa"
    path.write_text(">a\nACGT\n")
    assert Genome.open(path).unknown(np.array([0]), np.array([0]), np.array([4])).tolist() == [0]


def test_positions_outside_are_data_errors_with_hints(path):
    genome = Genome.open(path)
    with pytest.raises(DataError, match=r"g.fa: there is no contig '1'; did you mean 'chr1'"):
        genome.codes(Interval("1", 0, 1))
    with pytest.raises(DataError, match=r"chr2:1-5 is not within chr2 \(4\)"):
        genome.codes(Interval("chr2", 0, 5))


def test_it_is_encoded_once_and_says_so(path, caplog):
    with caplog.at_level(logging.INFO, "seqdiff"):
        Genome.open(path)
    assert "encoding" in caplog.text
    made = path.with_name("g.fa.seqdiff").stat()
    caplog.clear()
    seen = []
    Genome.open(path, progress=seen.append)
    assert path.with_name("g.fa.seqdiff").stat().st_mtime_ns == made.st_mtime_ns
    assert not caplog.records
    assert not seen
    assert sorted(os.listdir(path.parent)) == ["g.fa", "g.fa.seqdiff"]


def test_progress_ends_at_the_size_of_the_file(path):
    seen = []
    Genome.open(path, progress=seen.append)
    assert seen[-1] == path.stat().st_size


def test_a_changed_source_is_encoded_again_and_said_so(path, caplog):
    Genome.open(path)
    old = path.stat()
    path.write_bytes(path.read_bytes().replace(b"T", b"G"))
    os.utime(path, ns=(old.st_atime_ns, old.st_mtime_ns + 1))
    genome = Genome.open(path)
    assert "is older than the file it was made from" in caplog.text
    assert genome.tokens(Interval("chr3", 0, 2)).tolist() == [2, 2]


def test_an_open_genome_outlives_its_replacement(path):
    genome = Genome.open(path)
    path.write_text(">chr1\nG\n")
    Genome.open(path)
    assert genome.tokens(Interval("chr3", 0, 2)).tolist() == [3, 3]


def test_every_truncation_and_footer_damage_is_noticed_and_mended(path, caplog):
    expected = Genome.open(path)._codes.tobytes()
    target = path.with_name("g.fa.seqdiff")
    whole = target.read_bytes()
    damaged = [whole[:n] for n in range(0, len(whole), 13)] + [whole + b"x"]
    for at in range(len(expected), len(whole), 7):
        if at >= len(expected) + -len(expected) % 8:  # padding means nothing
            damaged.append(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    for data in damaged:
        target.write_bytes(data)
        caplog.clear()
        assert Genome.open(path)._codes.tobytes() == expected
        assert "again" in caplog.text
        assert target.read_bytes() == whole


def test_another_alphabet_or_schema_is_encoded_again(path, caplog, monkeypatch):
    Genome.open(path)
    genome = Genome.open(path, PROTEIN)
    assert "another alphabet than protein" in caplog.text
    assert genome.tokens(Interval("chr2", 1, 4)).tolist() == [0, 1, 5]
    monkeypatch.setattr("seqdiff.data.encoded.SCHEMA", 3)
    Genome.open(path, PROTEIN)
    assert "has schema 2" in caplog.text


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (b">a\nACGT\nAC7T\n", "g.fa: record 'a' has '7' at position 7"),
        (b">a\nACGT\n>b\nMEEPQ\n", "record 'b' has 'E' at position 2, no letter of DNA: is this a protein"),
        (b">a 1\nA\n>b\nC\n>a 2\nG\n", "g.fa, line 5: the name 'a' was taken by the contig at line 1"),
        (b"", "g.fa is empty"),
        (b">\nACGT\n", "line 1: a record without a name"),
        (b"@a\nA\n+\nI\n", "is FASTQ"),
        (gzip.compress(fasta(CONTIGS), mtime=0)[:-12], "g.fa is truncated"),
    ],
)
def test_a_bad_source_is_refused_and_leaves_nothing(tmp_path, text, what):
    path = tmp_path / "g.fa"
    path.write_bytes(text)
    with pytest.raises(DataError, match=what):
        Genome.open(path)
    assert os.listdir(tmp_path) == ["g.fa"]


def test_what_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, what in ((tmp_path / "no.fa", "there is no"), (tmp_path, "folder"), ("-", "save the genome to a file")):
        with pytest.raises(DataError, match=what):
            Genome.open(path)
    with pytest.raises(DataError, match="no regular file"):
        Genome.open(tmp_path / "pipe")


def test_a_folder_that_cannot_be_written_is_handled_by_the_cache(path, elsewhere, monkeypatch, caplog):
    real = os.open

    def deny(target, *rest, **options):
        if Path(target).parent == path.parent:
            raise PermissionError(13, "Permission denied")
        return real(target, *rest, **options)

    monkeypatch.setattr("seqdiff.data.encoded.os.open", deny)
    genome = Genome.open(path)
    assert os.listdir(path.parent) == ["g.fa"]
    assert [name.endswith(".seqdiff") for name in os.listdir(elsewhere)] == [True]
    caplog.clear()
    assert Genome.open(path).checksum == genome.checksum
    assert not caplog.records
    monkeypatch.setenv("SEQDIFF_CACHE", "/proc/nowhere")
    with pytest.raises(DataError, match="set SEQDIFF_CACHE"):
        Genome.open(path)


def test_nothing_is_left_in_an_installed_package(path, elsewhere, monkeypatch):
    monkeypatch.setattr("seqdiff.resources._PACKAGE", path.parent / "seqdiff")
    own = path.parent / "seqdiff" / "shared" / "genomes" / "g.fa"
    own.parent.mkdir(parents=True)
    own.write_bytes(path.read_bytes())
    Genome.open(own)
    assert os.listdir(own.parent) == ["g.fa"]
    assert [name.endswith(".seqdiff") for name in os.listdir(elsewhere)] == [True]


def test_a_user_without_a_home_needs_no_cache(path, monkeypatch):
    """As in containers that run as a user of no name."""

    def homeless(path):
        raise RuntimeError("Could not determine home directory.")

    for name in ("SEQDIFF_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "expanduser", homeless)
    Genome.open(path)
    assert sorted(os.listdir(path.parent)) == ["g.fa", "g.fa.seqdiff"]


class Full(io.BytesIO):
    def __init__(self, *_, **__):
        super().__init__()

    def write(self, data):
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize("write", ["codes", "runs"])
def test_a_full_disk_is_a_data_error_and_leaves_nothing(path, monkeypatch, write):
    def full(*_):
        raise OSError(28, "No space left on device")

    if write == "codes":
        monkeypatch.setattr("seqdiff.data.output.open", Full, raising=False)
    else:
        monkeypatch.setattr("seqdiff.data.contigs._Edges._put", full)
    with pytest.raises(DataError, match="the disk is full"):
        Genome.open(path)
    assert os.listdir(path.parent) == ["g.fa"]


def test_a_source_that_changes_while_it_is_read_is_refused(path):
    with pytest.raises(DataError, match="changed while it was read"):
        Genome.open(path, progress=lambda _: os.utime(path, ns=(0, 0)))
    assert os.listdir(path.parent) == ["g.fa"]


OPENING = textwrap.dedent("""
    import logging, sys, time
    logging.basicConfig(level=logging.INFO)
    from seqdiff.data.genome import Genome
    print(Genome.open(sys.argv[1], progress=lambda _: time.sleep(0.2)).checksum)
""")


def test_of_two_processes_one_encodes(path):
    command = [sys.executable, "-c", OPENING, str(path)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    both = [subprocess.Popen(command, **pipes) for _ in range(2)]
    said = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert said[0][0] == said[1][0] != ""
    assert sum("encoding" in err and "(once)" in err for _, err in said) == 1
    assert sorted(os.listdir(path.parent)) == ["g.fa", "g.fa.seqdiff"]


def test_what_a_killed_process_left_is_cleared_away(path):
    command = [sys.executable, "-c", OPENING.replace("0.2", "60"), str(path)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if "encoding" in line:
            break
    while not list(path.parent.glob(".*.partial")):
        time.sleep(0.01)
    process.kill()
    process.communicate()
    assert not path.with_name("g.fa.seqdiff").exists()
    Genome.open(path)
    assert sorted(os.listdir(path.parent)) == ["g.fa", "g.fa.seqdiff"]


def test_without_locks_it_is_encoded_all_the_same(path, monkeypatch):
    def refuse(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("seqdiff.data.encoded.fcntl.flock", refuse)
    assert Genome.open(path).contigs["chr2"] == 4


def checksum_of(genome: Genome) -> str:
    return genome.checksum


def test_it_travels_to_other_processes_by_its_path(path):
    genome = Genome.open(path)
    assert len(pickle.dumps(genome)) < 2000
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply(checksum_of, (genome,)) == genome.checksum


def test_bgzip_written_by_output_is_read_back(tmp_path):
    with Output(tmp_path / "g.fa.gz") as out:
        out.write(fasta(CONTIGS))
    assert Genome.open(tmp_path / "g.fa.gz").contigs["chr3"] == 299


@pytest.mark.skipif(not REAL.is_dir(), reason="needs the data folder of the developers")
def test_real_genomes(tmp_path):
    source = next((REAL / "hg38_chr2_2.3Mb").glob("*.fa.gz"))
    copy = tmp_path / source.name
    copy.write_bytes(source.read_bytes())
    genome = Genome.open(copy)
    assert genome.contigs == {"chr2": 2_333_275}
    codes = genome.codes(Interval("chr2", 0, 2_333_275))
    unknown = genome.unknown(0, np.array([0]), np.array([2_333_275]))[0]
    assert unknown == np.count_nonzero((codes & 127) == DNA.mask)
    assert round(unknown / codes.size, 4) == 0.0043
    assert round(np.mean(codes >= SOFT_MASKED), 3) == 0.356
