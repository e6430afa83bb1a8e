"""Pages of files of results: told by content, well formed, the same bytes again, and refusals that help."""

import gzip
import re

import numpy as np
import pytest
from browser import PROGRAM, Browser
from report.page.pages import keeps_the_contract
from vcfs import vcf_of

from seqdiff.errors import DataError, UsageError
from seqdiff.report.page import Figure, render, write
from seqdiff.report.results import page_of

HEADER = ("##fileformat=VCFv4.2", '##INFO=<ID=SEQDIFF_LLR,Number=A,Type=Float,Description="of <a> & b">')
ADDED = "llr\tse\tmethod\tllr_per_residue\treason"


def filled(path, records=3, samples=1, length=30):
    rng = np.random.default_rng(0)
    lines = ["name\tposition\tfilled\tp_A\tp_C\tp_G\tp_T"]
    for record in range(records):
        p = rng.dirichlet([0.3] * 4, length)
        for sample in range(samples):
            name = f"r<{record}>" + (f"_sample{sample + 1}" if samples > 1 else "")
            for i in range(length):
                probabilities = "\t".join(f"{one:.6f}" for one in p[i])
                lines.append(f"{name}\t{i + 5 + i // 10 * 8}\t{'ACGT'[rng.choice(4, p=p[i])]}\t{probabilities}")
    path.write_text("\n".join(lines) + "\n")
    return path


def variants(path, number=60):
    rng = np.random.default_rng(0)
    rows = []
    for i in range(number):
        ref, alt = (("A", "G"), ("C", "A"), ("C", "CTT"), ("GT", "G"), ("CAT", "CGG"), ("A", "<DEL>"))[i % 6]
        llr = "." if alt == "<DEL>" else f"{rng.normal(-2, 1):.4f}"
        reason = ";SEQDIFF_REASON=symbolic" if alt == "<DEL>" else ""
        info = f"SEQDIFF_LLR={llr};SEQDIFF_SE=0.1;SEQDIFF_METHOD=elbo;SEQDIFF_CONTEXT=512{reason}"
        rows.append((f"chr{i // 40}", 100 + 7 * i, ref, alt, info))
    return vcf_of(path, *rows, header=HEADER)


def mutants(path):
    rng = np.random.default_rng(0)
    wild = "MKTAYIAKQR"
    lines = [f"mutant\tDMS_score\t{ADDED}"]
    for i, before in enumerate(wild):
        for after in "ACDEFGHIKLMNPQRSTVWY".replace(before, ""):
            llr = rng.normal(-1, 1)
            lines.append(
                f"{before}{i + 24}{after}\t{llr + rng.normal():.3f}\t{llr:.4f}\t0\tmasked-marginal\t{llr / 10:.4f}\t"
            )
    path.write_text("\n".join([*lines, "M24_K25del\t0.1\t-3\t0.2\telbo\t-0.3\t", "M24*\t\t\t\t\t\tstop"]) + "\n")
    return path


def saturated(path):
    rng = np.random.default_rng(0)
    lines = ["# seqdiff model=demo", "contig\tpos\tref\talt\tllr"]
    for i in range(30):
        ref = "ACGT"[i % 4]
        lines += [f"1\t{i + 100}\t{ref}\t{alt}\t{rng.normal(-2):.4f}" for alt in "ACGT".replace(ref, "")]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    return {
        "filled": filled(folder / "filled.tsv", records=1, samples=3, length=20),
        "variants": variants(folder / "v.vcf.gz"),
        "mutants": mutants(folder / "m.tsv"),
        "saturated": saturated(folder / "s.tsv"),
    }


@pytest.fixture(scope="module")
def pages(files):
    return {kind: page_of(path) for kind, path in files.items()}


SECTIONS = {
    "filled": ["What was filled", "How sure the model is", "How the fillings agree", "Gaps as logos",
               "Gaps, one by one"],
    "variants": ["What was scored", "How scores are spread", "Along the genome", "Which base becomes which",
                 "Least and most probable"],
    "mutants": ["What was scored", "Against the measurement", "How scores are spread", "Along the protein",
                "Which residue becomes which", "Least and most probable"],
    "saturated": ["What was scored", "How scores are spread", "Along the genome", "Every substitution of a stretch",
                  "Which base becomes which", "Least and most probable"],
}  # fmt: skip


@pytest.mark.parametrize("kind", SECTIONS)
def test_every_page_keeps_the_contract_and_has_its_sections(pages, kind):
    page = pages[kind]
    assert [section.title for section in page.sections] == SECTIONS[kind]
    keeps_the_contract(render(page))


def test_the_same_file_has_the_same_bytes(files, pages):
    assert render(page_of(files["filled"])) == render(pages["filled"])


def test_numbers_of_the_page_are_those_of_the_file(pages):
    summary = pages["variants"].summary
    assert (summary["alleles"], summary["scored"]) == ("60", "50 (83.3%)")
    assert pages["filled"].summary["letters filled"] == "60"
    singles = "single substitutions less probable than the reference"
    assert summary[singles].endswith("%")
    rho, low, _, high = pages["mutants"].summary["Spearman with the measurement (95 % interval)"].split()
    assert 0.3 < float(low.strip("(")) < float(rho) < float(high.strip(")")) < 0.99


def test_the_flanks_and_what_was_hidden_come_from_the_fasta(tmp_path):
    table = filled(tmp_path / "t.tsv", records=1, length=20)
    (tmp_path / "in.fa").write_text(">r<0>\nACGT" + "NNNNNNNNNNACGTACGT" + "ACGTACGTAC" + "GGGG\n")
    page = page_of(table, fasta=str(tmp_path / "in.fa"))
    assert "Letters that were hidden" in [section.title for section in page.sections]
    assert re.fullmatch(r"[\d.]+% \([\d.]+% to [\d.]+%\)", page.summary["hidden letters met (95 % interval)"])
    keeps_the_contract(render(page))


def test_a_page_holds_so_many_logos_and_says_what_it_leaves_out(tmp_path, monkeypatch):
    monkeypatch.setattr("seqdiff.report.filled.logos.LOGO_BYTES", 40_000)
    page = page_of(filled(tmp_path / "t.tsv", records=20, length=20))
    (logos,) = [section for section in page.sections if section.title == "Gaps as logos"]
    drawn = [block for block in logos.blocks if isinstance(block, Figure)]
    assert 0 < len(drawn) < 5
    assert any(f"{40 - len(drawn)} more gaps are not shown" in getattr(block, "text", "") for block in logos.blocks)


def test_what_is_empty_has_a_page_that_says_so(tmp_path):
    (tmp_path / "t.tsv").write_text("name\tposition\tfilled\tp_A\tp_C\tp_G\tp_T\n")
    keeps_the_contract(render(page_of(tmp_path / "t.tsv")))
    path = vcf_of(tmp_path / "v.vcf", ("1", 5, "A", "<DEL>", "SEQDIFF_LLR=.;SEQDIFF_REASON=symbolic"), header=HEADER)
    text = render(page_of(path))
    keeps_the_contract(text)
    assert "No allele has a score" in text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", "is empty"),
        (b"# only\n# comments\n", "comments alone"),
        (b">a\nACGT\n", "this is FASTA or FASTQ.*--format table"),
        (b"name\treplicate\tfilled\tcalls\n", "the --report of"),
        (b"contig\tstart\tend\tvariants\tcopies\n", "table of haplotypes"),
        (b"name\tlength\tscored\tnats\n", "table of `seqdiff score`"),
        (b'{"format": 1}', "this is JSON"),
        (b"a,b\n1,2\n", "a page is made of a run directory, of a table of `seqdiff infill --format table`"),
        (gzip.compress(b"# a\n" * 9, mtime=0)[:-9], "is truncated"),
        (b"##fileformat=VCFv4.2\n", "breaks off"),
        (b"\0\1\2", "no text file"),
    ],
)
def test_other_files_are_refused_with_what_is_understood(tmp_path, text, says):
    path = tmp_path / "x"
    path.write_bytes(text)
    with pytest.raises(DataError, match=says):
        page_of(path)


def test_options_of_another_kind_are_refused(files):
    with pytest.raises(UsageError, match="--fasta: it belongs to a table of filled letters"):
        page_of(files["variants"], fasta="x.fa")
    with pytest.raises(UsageError, match="--measured: it belongs to a table of scored mutants"):
        page_of(files["filled"], measured="x")


@pytest.mark.skipif(PROGRAM is None, reason="needs chromium")
def test_on_a_phone_and_in_the_dark(pages, tmp_path):
    with Browser() as browser:
        for kind, page in pages.items():
            path = tmp_path / f"{kind}.html"
            write(path, page)
            browser.requests.clear()
            browser.open(path, 360, dark=True)
            assert browser.evaluate("document.documentElement.scrollWidth") == 360, kind
            assert [one for one in browser.requests if not one.startswith("data:")] == [path.as_uri()]
            assert browser.said == browser.thrown == []
            assert browser.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(15, 20, 25)"


def test_positions_of_a_table_with_inserts_are_not_those_of_the_fasta(tmp_path):
    path = filled(tmp_path / "t.tsv", records=1, length=10)
    path.write_text("# seqdiff 0.1.0 infill model=demo insert=24:0-10\n" + path.read_text())
    with pytest.raises(UsageError, match="letters were put in with --insert"):
        page_of(path, fasta="x.fa")


def test_names_of_any_bytes_are_shown_and_never_read_as_formulas_or_markup(tmp_path):
    odd = [b"chr$\\frac$", b"\xe9<i>`&"]
    head = "\n".join((*HEADER, "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n")).encode()
    lines = [b"%s\t%d\t\xe9\tA\tC\t.\t.\tSEQDIFF_LLR=-1.5\n" % (name, 5 + i) for i in range(3) for name in sorted(odd)]
    (tmp_path / "v.vcf").write_bytes(head + b"".join(lines))
    (tmp_path / "one.vcf").write_bytes(head + lines[0])
    columns = b"mutant\t$\\frac$ \xe9\tllr\tse\tmethod\tllr_per_residue\treason\n"
    rows = [b"A%dG\t%d\t-%d\t0\tchain\t-0.1\t\n" % (i, i * i % 7, i) for i in range(1, 20)]
    (tmp_path / "m.tsv").write_bytes(columns + b"".join(rows))
    letters = b"name\tposition\tfilled\tp_A\tp_C\tp_G\tp_T\n"
    letters += b"".join(name + b"\t7\tA\t0.700000\t0.100000\t0.100000\t0.100000\n" for name in odd)
    (tmp_path / "t.tsv").write_bytes(letters)
    measured = columns.split(b"\t")[1].decode("utf-8", "surrogateescape")
    for name, options in (("v.vcf", {}), ("one.vcf", {}), ("m.tsv", {"measured": measured}), ("t.tsv", {})):
        write(tmp_path / "page.html", page_of(tmp_path / name, **options))
        keeps_the_contract((tmp_path / "page.html").read_text())
