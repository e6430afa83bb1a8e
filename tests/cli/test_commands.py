"""The commands as a user runs them: real processes, real files, the model that ships."""

import gzip
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from seqdiff import resources

GAPS = resources.folder("genomes") / "examples" / "gaps.fa"
SEQUENCES = resources.folder("genomes") / "examples" / "sequences.fa"


def run(*arguments, stdin=None, cwd=None, **environment):
    command = [sys.executable, "-m", "seqdiff", *map(str, arguments)]
    result = subprocess.run(
        command,
        input=stdin,
        capture_output=True,
        cwd=cwd,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
        timeout=120,
    )
    assert b"Traceback" not in result.stderr, result.stderr.decode()
    return result


def fails(*arguments, code=1, **settings):
    result = run(*arguments, **settings)
    message = result.stderr.decode()
    assert result.returncode == code, message
    assert message.splitlines()[-1].startswith("seqdiff: error:") or "\nseqdiff: error:" in "\n" + message
    return message


@pytest.fixture
def fasta(tmp_path):
    file = tmp_path / "in.fa"
    file.write_bytes(b">a first\nACGTNNAC\nNN\n>b\nacgtn\n>empty\n")
    return file


def test_infill_changes_nothing_but_unknown_letters(fasta, tmp_path):
    result = run("infill", "--fasta", fasta)
    assert result.returncode == 0, result.stderr
    before, after = fasta.read_bytes(), result.stdout
    assert len(before) == len(after)
    for old, new in zip(before, after):
        assert new == old or (old in b"Nn" and chr(new) in ("ACGT" if old == ord("N") else "acgt"))
    assert b"N" not in after.replace(b">", b"")
    assert b"the model that ships with seqdiff" in result.stderr


def test_stdin_gzip_and_files_give_the_same(fasta):
    plain = run("infill", "--fasta", fasta).stdout
    assert run("infill", "--fasta", "-", stdin=fasta.read_bytes()).stdout == plain
    assert run("infill", "--fasta", "-", stdin=gzip.compress(fasta.read_bytes())).stdout == plain


def test_seeds_and_threads(fasta):
    one = run("infill", "--fasta", fasta, "--seed", "1").stdout
    assert one == run("infill", "--fasta", fasta, "--seed", "1", "-@", "2", OMP_NUM_THREADS="2").stdout
    others = {run("infill", "--fasta", fasta, "--seed", s).stdout for s in (2, 3)}
    assert others - {one}


def test_output_formats(fasta, tmp_path):
    assert run("infill", "--fasta", fasta, "-o", tmp_path / "a.fq").returncode == 0
    lines = (tmp_path / "a.fq").read_text().splitlines()
    assert lines[0] == "@a first"
    assert lines[3][:4] == "IIII"
    assert len(lines[3]) == len(lines[1]) == 10
    assert run("infill", "--fasta", fasta, "--format", "table", "-o", tmp_path / "a.gz").returncode == 0
    made_by, *rows = gzip.decompress((tmp_path / "a.gz").read_bytes()).decode().splitlines()
    assert re.match(r"# seqdiff \S+ infill model=\S+ context=\d+ sampler=\S+ .*samples=1 seed=0$", made_by)
    assert rows[0] == "name\tposition\tfilled\tp_A\tp_C\tp_G\tp_T"
    assert [row.split("\t")[:2] for row in rows[1:]] == [["a", "5"], ["a", "6"], ["a", "9"], ["a", "10"], ["b", "5"]]
    for row in rows[1:]:
        assert sum(map(float, row.split("\t")[3:])) == pytest.approx(1, abs=1e-5)


def test_samples_have_names_of_their_own(fasta):
    out = run("infill", "--fasta", fasta, "--samples", "2").stdout.decode()
    assert [line for line in out.splitlines() if line[0] == ">"] == [
        ">a_sample1 first", ">a_sample2 first", ">b_sample1", ">b_sample2", ">empty_sample1", ">empty_sample2",
    ]  # fmt: skip


def test_regions_and_beds_mask_and_fill_only_their_spans(fasta, tmp_path):
    out = run("infill", "--fasta", fasta, "--region", "a:1-2").stdout.decode()
    sequence = "".join(out.split(">")[1].splitlines()[1:])
    assert sequence[2:] == "GTNNACNN"
    bed = tmp_path / "spans.bed"
    bed.write_text("a\t0\t2\n")
    assert run("infill", "--fasta", fasta, "--bed", bed).stdout.decode() == out
    assert run("infill", "--fasta", "-", "--bed", bed, stdin=fasta.read_bytes()).stdout.decode() == out


def test_wrong_regions_fail_before_any_output(fasta, tmp_path):
    out = tmp_path / "out.fa"
    assert "runs past the end" in fails("infill", "--fasta", fasta, "--region", "a:5-11", "-o", out)
    assert "a, b" in fails("infill", "--fasta", fasta, "--region", "chr9:1-2", "-o", out)
    assert not out.exists()
    assert run("infill", "--fasta", fasta, "--region", "a:5-11", "--clip").returncode == 0


def test_a_foreign_letter_leaves_the_previous_output_whole(tmp_path):
    bad, out = tmp_path / "bad.fa", tmp_path / "out.fa"
    bad.write_text(">a\nACGTN\n>p\nMEEPQ\n")
    out.write_text("precious")
    message = fails("infill", "--fasta", bad, "-o", out)
    assert "record 'p' has 'E' at position 2" in message
    assert "is this a protein?" in message
    assert out.read_text() == "precious"
    assert {p.name for p in tmp_path.iterdir()} == {"bad.fa", "out.fa"}


def test_score_columns_and_unknown_records():
    result = run("score", "--fasta", SEQUENCES, "--draws", "32")
    assert result.returncode == 0, result.stderr
    header, columns, *rows = result.stdout.decode().splitlines()
    assert header.startswith("# seqdiff")
    assert "method=elbo draws=32 strata=8 replicates=4" in header
    assert columns == "name\tlength\tscored\tnats\tse\tlow95\thigh95\tbits_per_base\tperplexity"
    table = {row.split("\t")[0]: row.split("\t")[1:] for row in rows}
    assert table["unknown"] == ["60", "0", ".", ".", ".", ".", ".", "."]
    assert table["partly_unknown"][:2] == ["600", "500"]
    bits = {name: float(values[6]) for name, values in table.items() if values[6] != "."}
    assert bits["real"] < bits["shuffled"]
    assert bits["real"] < bits["random"]
    for values in table.values():
        if values[2] != ".":
            assert float(values[3]) > 0
            assert float(values[4]) < float(values[2]) < float(values[5])
            assert float(values[6]) == pytest.approx(float(values[2]) / int(values[1]) / 0.693147, rel=1e-3)


def test_sample_draws_sequences_of_the_asked_length():
    out = run("sample", "-n", "3", "--length", "100").stdout.decode()
    records = [r.split("\n", 1) for r in out.split(">")[1:]]
    assert [name for name, _ in records] == ["sample1", "sample2", "sample3"]
    assert all(len(text.replace("\n", "")) == 100 and set(text) <= set("ACGT\n") for _, text in records)
    assert len({text for _, text in records}) == 3


def test_settings_of_another_sampler_are_refused_not_ignored(fasta):
    assert "no such setting" in fails("infill", "--fasta", fasta, "--sampler", "exact", "--steps", "3", code=2)
    assert "choose one of" in fails("infill", "--fasta", fasta, "--sampler", "magic", code=2)
    assert "temperature" in fails("infill", "--fasta", fasta, "--temperature", "-1", code=2)


def test_wrong_usage_exits_2(fasta, tmp_path):
    assert run("infill").returncode == 2
    assert run("nonsense").returncode == 2
    assert run("score", "--fasta", fasta, "--draws", "1").returncode == 2
    fails("score", "--fasta", fasta, "--device", "warp-drive", code=2)


def test_missing_inputs_say_so(tmp_path):
    assert "there is no file" in fails("infill", "--fasta", tmp_path / "nowhere.fa")
    assert "no run directory" in fails("infill", "--fasta", GAPS, "--model", tmp_path, code=2)
    assert "empty" in fails("score", "--fasta", "-", stdin=b"")


def test_a_bad_record_is_said_before_any_output(tmp_path):
    many = tmp_path / "many.fa"
    many.write_text("".join(f">r{i}\nACGNT\n" for i in range(400)) + ">bad\nAC!T\n")
    for command in ("infill", "score"):
        result = run(command, "--fasta", many)
        assert (result.returncode, result.stdout) == (1, b"")
        assert b"record 'bad' has '!' at position 3" in result.stderr


def test_settings_of_a_sampler(fasta):
    plain = run("infill", "--fasta", fasta, "--sampler", "confident").stdout
    other = run(
        "infill",
        "--fasta",
        fasta,
        "--sampler",
        "confident",
        "--set",
        "order=sample-then-choose",
        "--set",
        "score=margin",
    )
    assert other.returncode == 0, other.stderr
    assert len(other.stdout) == len(plain)
    assert "it has temperature" in fails("infill", "--fasta", fasta, "--set", "gird=cosine", code=2)


def test_sigterm_leaves_nothing_behind(tmp_path):
    many, out = tmp_path / "many.fa", tmp_path / "out.fa"
    many.write_text("".join(f">r{i}\n{'ACGTN' * 200}\n" for i in range(3000)))
    out.write_text("precious")
    command = [sys.executable, "-m", "seqdiff", "infill", "--fasta", str(many), "-o", str(out)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, env=os.environ | {"OMP_NUM_THREADS": "1"})
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".out.fa*")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, messages = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM, messages
    assert b"terminated; nothing was left half-written" in messages
    assert {p.name for p in tmp_path.iterdir()} == {"many.fa", "out.fa"}
    assert out.read_text() == "precious"


def test_a_pipe_can_be_read_with_regions(fasta):
    command = f"'{sys.executable}' -m seqdiff infill --fasta <(cat '{fasta}') --region a:1-2"
    piped = subprocess.run(["bash", "-c", command], capture_output=True, timeout=60)
    assert piped.stdout == run("infill", "--fasta", fasta, "--region", "a:1-2").stdout


def test_fastq_stays_fastq_unless_asked_otherwise(tmp_path):
    reads = tmp_path / "reads.fq"
    reads.write_bytes(b"@r1 x\nACNT\n+\n5!!5\n")
    out = run("infill", "--fasta", reads).stdout.splitlines()
    assert out[0] == b"@r1 x"
    assert (out[3][:2], out[3][3:]) == (b"5!", b"5")
    assert run("infill", "--fasta", reads, "--format", "fasta").stdout.startswith(b">r1 x\nAC")


def test_options_that_make_no_sense_together_are_refused(fasta, tmp_path):
    for wrong in (
        ("--clip",), ("--logo", tmp_path / "a.jpg"), ("--logo", tmp_path / "a.png", "-o", tmp_path / "a.png"),
    ):  # fmt: skip
        fails("infill", "--fasta", fasta, *wrong, code=2)
    assert "only one of them can be stdin" in fails("infill", "--fasta", "-", "--bed", "-", stdin=b"", code=2)
    assert "not asked" in fails("evaluate", "--set", "recovery.gaps=3", "--", "nowhere", "likelihood", code=2)


def test_a_logo_of_the_first_record(fasta, tmp_path):
    assert run("infill", "--fasta", fasta, "-o", tmp_path / "o.fa", "--logo", tmp_path / "g.png").returncode == 0
    assert (tmp_path / "g.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("command", [("genomes", "list"), ("sample", "--length", "5"), ("genomes", "index", "in.fa")])
def test_a_full_standard_output_is_one_message(command, fasta):
    with open("/dev/full", "w") as full:
        words = [sys.executable, "-m", "seqdiff", *map(str, command)]
        result = subprocess.run(words, cwd=fasta.parent, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert result.returncode == 1
    assert "disk is full" in result.stderr
    assert "Traceback" not in result.stderr


def test_stdin_that_cannot_be_copied_is_one_message(fasta):
    command = f"ulimit -f 0; '{sys.executable}' -m seqdiff infill --fasta - --region a:1-2 -o /dev/null"
    result = subprocess.run(["bash", "-c", command], input=fasta.read_bytes(), capture_output=True, timeout=60)
    assert result.returncode == 1
    assert b"seqdiff: error: standard input cannot be copied to" in result.stderr
    assert b"Traceback" not in result.stderr


def test_evaluate_refuses_other_data_and_finds_its_own_from_any_folder(tmp_path):
    (tmp_path / "g.fa").write_text(">c\n" + "ACGTTGCAAC" * 800 + "\n")
    changes = "data.genome=null data.fasta=g.fa data.context=64 training.steps=2 training.warmup_steps=1"
    settings = [word for change in changes.split() for word in ("--set", change)]
    assert run("train", "demo", *settings, "--out", "run", cwd=tmp_path).returncode == 0
    quick = ("likelihood", "--set", "likelihood.order=2", "--set", "likelihood.strata=2")
    result = run("evaluate", tmp_path / "run", *quick, cwd="/")
    assert result.returncode == 0, result.stderr
    assert b"Markov, order 2" in result.stdout
    (tmp_path / "g.fa").write_text(">c\n" + "ACGTTGCAAG" * 800 + "\n")
    assert "may have been trained on there" in fails("evaluate", tmp_path / "run", *quick)


def test_a_closed_pipe_is_quiet(tmp_path):
    many = tmp_path / "many.fa"
    many.write_text("".join(f">r{i}\n{'ACGT' * 5000}\n" for i in range(200)))
    command = f"'{sys.executable}' -m seqdiff infill --fasta '{many}' -q | head -n 1; echo ${{PIPESTATUS[0]}}"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=120)
    assert result.stdout == f">r0\n{128 + signal.SIGPIPE}\n"
    assert "rror" not in result.stderr.replace("the model that ships", "")


def test_output_may_be_a_device_and_a_full_one_is_an_error(fasta):
    assert run("infill", "--fasta", fasta, "-o", "/dev/null").returncode == 0
    message = fails("infill", "--fasta", fasta, "-o", "/dev/full")
    assert "No space left" in message or "disk is full" in message


def test_output_may_be_the_input(fasta):
    before = fasta.read_bytes()
    assert run("infill", "--fasta", fasta, "-o", fasta).returncode == 0
    assert len(fasta.read_bytes()) == len(before)
    assert b"NN" not in fasta.read_bytes()


def test_train_hg38_without_the_genome_says_how_to_get_it(tmp_path):
    message = fails("train", "hg38", cwd=tmp_path, SEQDIFF_GENOMES=str(tmp_path / "none"))
    for hint in ("seqdiff genomes fetch hg38", "--set data.fasta=", " bytes, md5:"):
        assert hint in message
    assert list(tmp_path.iterdir()) == []


def test_a_misspelt_setting_of_train():
    assert "did you mean 'steps'?" in fails("train", "demo", "--set", "training.step=3", code=2)


def test_genomes_list_and_index(fasta):
    listed = run("genomes", "list").stdout.decode()
    for name in ("human-chr20", "hg38", "T2T-CHM13", "mm39", "sacCer3"):
        assert name in listed
    assert run("genomes", "index", fasta).stdout == b"a\t10\nb\t5\nempty\t0\n"
    assert "hg39" in fails("genomes", "fetch", "hg39")


def test_a_genome_that_ships_is_indexed_by_name():
    assert run("genomes", "index", "human-chr20").stdout == b"GRCh37_chr20_10Mb_12Mb\t2000000\n"
