"""The registry is true to the file it ships, and a download survives what servers and disks do."""

import gzip
import hashlib
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from seqdiff import resources
from seqdiff.data import download as download_module
from seqdiff.data.genomes import Entry, Registry, fetch, folder, resolve
from seqdiff.errors import DataError

CONTENT = b">chr1\n" + b"ACGT" * 50_000 + b"\n"
SHA256 = "sha256:" + hashlib.sha256(CONTENT).hexdigest()


class Server:
    """Serves CONTENT at any path from a thread of this process; `behave` may spoil an answer.

    `behave(server, request, body, start)` gets the bytes that are due and returns those to send, or
    None when it has answered by itself. `ranges` holds the Range header of every request.
    """

    def __init__(self, behave=None, *, honours_ranges=True, headers=()):
        self.content, self.behave, self.honours_ranges = CONTENT, behave, honours_ranges
        self.ranges, self.headers = [], dict(headers)
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.answer(self)

            def log_message(self, *arguments):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.http.server_port}/toy.fa.gz"

    def answer(self, request):
        asked = request.headers.get("Range")
        self.ranges.append(asked)
        etag = f'"{hash(self.content) & 0xFFFF:x}"'
        same = request.headers.get("If-Range", etag) == etag
        start = int(asked[len("bytes=") : -1]) if asked and same and self.honours_ranges else 0
        if start >= len(self.content):
            request.send_response(416)
            request.send_header("Content-Range", f"bytes */{len(self.content)}")
            request.end_headers()
            return
        body = self.content[start:]
        spoilt = self.behave(self, request, body, start) if self.behave else body
        if spoilt is None:
            return
        request.send_response(206 if start else 200)
        if start:
            request.send_header("Content-Range", f"bytes {start}-{len(self.content) - 1}/{len(self.content)}")
        request.send_header("ETag", etag)
        request.send_header("Content-Length", str(len(body)))
        for name, value in self.headers.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(spoilt)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.http.shutdown()
        self.http.server_close()


def truncate_first(server, request, body, start):
    return body[: len(body) // 3] if len(server.ranges) == 1 else body


def truncate_always(server, request, body, start):
    return body[: min(len(body) // 2, 1000)] if len(server.ranges) < 3 else b""


def refuse(status):
    def behave(server, request, body, start):
        request.send_error(status)

    return behave


@pytest.fixture(autouse=True)
def genomes_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SEQDIFF_GENOMES", str(tmp_path / "genomes"))
    return tmp_path / "genomes"


def registry(url, checksum=SHA256, size=len(CONTENT)):
    toy = dict(
        description="toy", species="none", assembly="toy1", license="CC0", source="here", url=url,
        checksum=checksum, size=size, chromosomes={"chr1": 200_000},
        splits={"valid": ["chr1:1-1000"], "test": ["chr1:2,001-3,000"]},
    )  # fmt: skip
    return Registry(genomes={"toy": Entry(**toy)})


def get(server, **changes):
    return fetch("toy", registry=registry(server.url, **changes), wait=0.0)


def left_over(genomes_folder):
    return sorted(path.name for path in genomes_folder.iterdir() if not path.name.startswith("."))


# The registry


def test_the_embedded_genome_is_the_one_the_registry_describes():
    entry, path = Registry.load()["human-chr20"], resolve("human-chr20")
    data = path.read_bytes()
    assert entry.checksum == "sha256:" + hashlib.sha256(data).hexdigest()
    assert entry.size == len(data)
    header, sequence = gzip.decompress(data).split(b"\n", 1)
    sequence = sequence.replace(b"\n", b"")
    (name,) = entry.chromosomes
    assert header.split()[0] == b">" + name.encode()
    assert b"GRCh37" in header
    assert b"10,000,001-12,000,000" in header
    assert entry.chromosomes == {name: len(sequence)} == {name: 2_000_000}
    assert set(sequence) <= set(b"ACGT")


def test_the_embedded_genome_has_a_samtools_index_that_works():
    pysam = pytest.importorskip("pysam")
    path = resolve("human-chr20")
    plain = gzip.decompress(path.read_bytes()).split(b"\n", 1)[1].replace(b"\n", b"")
    with pysam.FastaFile(str(path)) as fasta:
        (name,) = fasta.references
        assert fasta.fetch(name, 1_234_567, 1_234_700).encode() == plain[1_234_567:1_234_700]


@pytest.mark.parametrize("name", Registry.load().names)
def test_every_entry_holds_out_regions_that_exist_and_do_not_overlap(name):
    entry = Registry.load()[name]
    taken = []
    for region in entry.splits.valid + entry.splits.test:
        contig, _, places = region.partition(":")
        start, end = map(int, places.replace(",", "").split("-")) if places else (1, entry.chromosomes[contig])
        assert 1 <= start <= end <= entry.chromosomes[contig]
        assert all(c != contig or end < s or start > e for c, s, e in taken)
        taken.append((contig, start, end))
    assert sum(e - s + 1 for _, s, e in taken) < 0.2 * entry.bases


@pytest.mark.parametrize("name", Registry.load().names)
def test_no_entry_trains_on_mitochondria_or_unplaced_contigs(name):
    for chromosome in Registry.load()[name].chromosomes:
        assert re.fullmatch(r"chr(\d+|[XY]|[IVX]+)|GRCh37_chr20_10Mb_12Mb", chromosome)
    assert "chrM" not in Registry.load()[name].chromosomes


def test_hg38_primary_chromosomes_add_up():
    entry = Registry.load()["hg38"]
    assert len(entry.chromosomes) == 24
    assert entry.bases == 3_088_269_832


def test_an_unknown_name_lists_the_others_and_the_closest():
    with pytest.raises(DataError, match=r"'HG38' .* did you mean 'hg38'\? It knows human-chr20, hg38"):
        Registry.load()["HG38"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("toy: [", "cannot read"),
        ("toy: {description: x}", r"toy\.species: Field required"),
        ("[]", "valid dictionary"),
    ],
)
def test_a_registry_that_makes_no_sense_says_where(tmp_path, text, says):
    path = tmp_path / "registry.yaml"
    path.write_text(text)
    with pytest.raises(DataError, match=says) as caught:
        Registry.load(path)
    assert str(path) in str(caught.value)


def test_an_entry_with_a_misspelt_key_or_checksum_is_refused():
    good = registry("http://x/toy.fa.gz")["toy"].model_dump()
    for wrong in ({"checksum": "md5:123"}, {"ckecksum": None}, {"url": None}, {"file": "toy.fa"}):
        with pytest.raises(ValueError, match=r"checksum|ckecksum|url"):
            Entry(**good | wrong)


# resolve


def test_a_genome_that_is_not_here_says_how_to_get_it():
    with pytest.raises(DataError) as caught:
        resolve("hg38")
    for part in ("seqdiff genomes fetch hg38", "983,659,424 bytes", "md5:1c9d", "--set data.fasta=FILE"):
        assert part in str(caught.value)


def test_a_genome_that_is_here_is_found_compressed_or_not(genomes_folder):
    genomes_folder.mkdir()
    toy = registry("http://x/toy.fa.gz")
    (genomes_folder / "toy.fa").write_bytes(CONTENT)
    assert resolve("toy", registry=toy) == genomes_folder / "toy.fa"
    (genomes_folder / "toy.fa.gz").write_bytes(CONTENT)
    assert resolve("toy", registry=toy) == genomes_folder / "toy.fa.gz"
    (genomes_folder / "toy.fa.gz").write_bytes(CONTENT[:10])
    with pytest.raises(DataError, match=r"has 10 bytes, and toy has 200,007: it is not whole"):
        resolve("toy", registry=toy)


def test_where_genomes_go(monkeypatch, tmp_path):
    assert folder() == tmp_path / "genomes"
    monkeypatch.delenv("SEQDIFF_GENOMES")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert folder() == tmp_path / "data" / "seqdiff" / "genomes"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert folder() == tmp_path / ".local" / "share" / "seqdiff" / "genomes"


# fetch


def test_fetch_downloads_once_and_reports_progress(genomes_folder):
    seen = []
    with Server() as server:
        toy = registry(server.url)
        path = fetch("toy", registry=toy, progress=lambda done, total: seen.append((done, total)))
        assert fetch("toy", registry=toy) == path == resolve("toy", registry=toy)
        assert server.ranges == [None]
    assert path.read_bytes() == CONTENT
    assert left_over(genomes_folder) == ["toy.fa.gz"]
    assert seen[0] == (0, len(CONTENT))
    assert seen[-1] == (len(CONTENT), len(CONTENT))


def test_the_embedded_genome_needs_no_fetching():
    assert fetch("human-chr20") == resources.folder("genomes") / "human-chr20.fa.gz"


@pytest.mark.parametrize("checksum", [SHA256, None])
def test_a_broken_connection_is_resumed_where_it_broke(genomes_folder, checksum):
    with Server(truncate_first) as server:
        assert get(server, checksum=checksum).read_bytes() == CONTENT
        assert server.ranges == [None, f"bytes={len(CONTENT) // 3}-"]
    assert "toy.fa.gz.part" not in left_over(genomes_folder)


def test_a_server_that_ignores_ranges_is_read_from_the_start():
    with Server(truncate_first, honours_ranges=False) as server:
        assert get(server).read_bytes() == CONTENT
        assert len(server.ranges) == 2


def test_a_file_that_changed_on_the_server_is_not_spliced(genomes_folder):
    with Server(truncate_always) as server:
        with pytest.raises(DataError, match="kept in"):
            get(server, checksum=None)
        assert 0 < (genomes_folder / "toy.fa.gz.part").stat().st_size < len(CONTENT)
        server.content, server.behave = CONTENT.lower(), None
        assert get(server, checksum=None).read_bytes() == CONTENT.lower()
        assert server.ranges[-1].startswith("bytes=")


def test_a_later_fetch_goes_on_and_nothing_shows_before(genomes_folder):
    with Server(truncate_always) as server:
        with pytest.raises(DataError, match=r"failed 5 times .* Is there a network\? 2,000 bytes are kept"):
            get(server)
        assert not (genomes_folder / "toy.fa.gz").exists()
        server.behave = None
        assert get(server).read_bytes() == CONTENT
        assert server.ranges[-1] == "bytes=2000-"


def test_a_whole_part_that_was_never_renamed_is_used(genomes_folder):
    genomes_folder.mkdir()
    (genomes_folder / "toy.fa.gz.part").write_bytes(CONTENT)
    with Server() as server:
        assert get(server).read_bytes() == CONTENT
        assert server.ranges == [f"bytes={len(CONTENT)}-"]


def test_a_part_longer_than_the_file_is_thrown_away(genomes_folder):
    genomes_folder.mkdir()
    (genomes_folder / "toy.fa.gz.part").write_bytes(CONTENT + b"and more")
    with Server() as server:
        assert get(server).read_bytes() == CONTENT


def test_a_corrupted_download_is_removed_and_said_so(genomes_folder):
    with Server(lambda server, request, body, start: body.replace(b"A", b"T", 1)) as server:
        with pytest.raises(DataError, match=r"wrong checksum .*removed"):
            get(server)
        assert left_over(genomes_folder) == []
        server.behave = None
        assert get(server).read_bytes() == CONTENT


def test_a_file_that_was_altered_on_disk_is_fetched_again(genomes_folder):
    with Server() as server:
        get(server).write_bytes(b"altered")
        assert get(server).read_bytes() == CONTENT


def test_a_missing_file_is_an_error_at_once():
    with Server(refuse(404)) as server:
        with pytest.raises(DataError, match=r"answered 404 .*download http.*toy\.fa\.gz by hand and put it"):
            get(server)
        assert len(server.ranges) == 1


def test_an_overloaded_server_is_tried_again():
    with Server(lambda s, r, body, start: r.send_error(503) if len(s.ranges) < 3 else body) as server:
        assert get(server).read_bytes() == CONTENT
        assert len(server.ranges) == 3


def test_no_server_says_where_to_put_the_file(genomes_folder):
    with Server() as server:
        url = server.url
    with pytest.raises(DataError) as caught:
        fetch("toy", registry=registry(url), wait=0.0)
    assert "Connection refused" in str(caught.value)
    assert f"put it at {genomes_folder / 'toy.fa.gz'}" in str(caught.value)


def test_a_gz_file_labelled_as_encoded_stays_compressed():
    packed = gzip.compress(CONTENT)
    with Server(headers={"Content-Encoding": "gzip"}) as server:
        server.content = packed
        checksum = "md5:" + hashlib.md5(packed).hexdigest()
        assert get(server, checksum=checksum, size=len(packed)).read_bytes() == packed


def test_without_a_published_checksum_the_first_download_is_recorded(genomes_folder, caplog):
    with Server() as server:
        path = get(server, checksum=None)
        assert "NOT VERIFIED" in caplog.text
        assert SHA256.removeprefix("sha256:") in caplog.text
        assert (genomes_folder / "toy.fa.gz.sha256").read_text().startswith(SHA256.removeprefix("sha256:"))
        path.unlink()
        server.content = CONTENT.lower()
        with pytest.raises(DataError, match="wrong checksum"):
            get(server, checksum=None)


def test_a_full_disk_is_noticed_before_it_is_full(monkeypatch, genomes_folder):
    usage = download_module.shutil.disk_usage("/")._replace(free=1000)
    monkeypatch.setattr(download_module.shutil, "disk_usage", lambda path: usage)
    with Server() as server:
        with pytest.raises(DataError, match=r"200,007 bytes are to come and the disk has 1,000 left.*make room"):
            get(server)
        assert left_over(genomes_folder) == []


def test_a_folder_that_cannot_be_made_is_a_clear_error(genomes_folder):
    genomes_folder.write_text("a file in the way")
    with pytest.raises(DataError, match=r"cannot write the download: File exists.*SEQDIFF_GENOMES"):
        fetch("toy", registry=registry("http://127.0.0.1:9/toy.fa.gz"), wait=0.0)


def test_two_fetches_at_once_download_once():
    begun, go = threading.Event(), threading.Event()

    def hold(server, request, body, start):
        begun.set()
        assert go.wait(10)
        return body

    with Server(hold) as server:
        results = []
        threads = [threading.Thread(target=lambda: results.append(get(server))) for _ in range(2)]
        threads[0].start()
        assert begun.wait(10)
        threads[1].start()
        go.set()
        for thread in threads:
            thread.join(20)
        assert len(results) == 2
        assert server.ranges == [None]
