import pytest
from vcfs import genome_of, vcf_of

from seqdiff.data.variants import Change, Screen, Variant, change
from seqdiff.data.vcf import Vcf
from seqdiff.errors import DataError

#       123456789012345678901234
TEXT = "ACGTTTTTGCACACACGGNNATCC"


@pytest.fixture
def genome(tmp_path):
    return genome_of(tmp_path / "ref.fa", chr1=TEXT, chr2="ACGT")


def of(genome, position, ref, alt, longest=100):
    return change(Variant("chr1", position - 1, ref, alt), genome, longest)


def test_padding_is_trimmed_from_both_ends(genome):
    assert of(genome, 1, "A", "G") == Change("chr1", 0, b"A", b"G")
    assert of(genome, 1, "acG", "aTG") == Change("chr1", 1, b"C", b"T")
    assert of(genome, 8, "TGC", "TTC") == Change("chr1", 8, b"G", b"T")
    assert of(genome, 1, "ACG", "GCT") == Change("chr1", 0, b"ACG", b"GCT")
    assert of(genome, 1, "ACG", "TT") == Change("chr1", 0, b"ACG", b"TT")


def test_a_variant_in_a_repeat_is_the_same_wherever_it_is_written(genome):
    deletions = [(3, "GT", "G"), (4, "TT", "T"), (7, "TTG", "TG"), (3, "GTTTTTG", "GTTTTG"), (8, "T", "")]
    assert {of(genome, *each) for each in deletions} == {Change("chr1", 3, b"T", b"", 4)}
    insertions = [(9, "G", "GCA"), (10, "C", "CAC"), (13, "A", "ACA"), (16, "C", "CAC"), (16, "CG", "CACG")]
    assert {of(genome, *each) for each in insertions} == {Change("chr1", 9, b"", b"CA", 7)}


@pytest.mark.parametrize("position", range(2, 17))
@pytest.mark.parametrize("unit", ["A", "CA", "TT", "GCA"])
def test_moved_or_not_the_same_sequence_results(genome, position, unit):
    found = of(genome, position, TEXT[position - 1], TEXT[position - 1] + unit)
    expected = TEXT[:position] + unit + TEXT[position:]
    for moved in range(found.slack + 1):
        alt = (found.alt.decode() * 9)[moved % len(unit) :][: len(unit)]
        place = found.start + moved
        assert TEXT[:place] + alt + TEXT[place:] == expected
    outside = (found.alt.decode() * 9)[(found.slack + 1) % len(unit) :][: len(unit)]
    place = found.start + found.slack + 1
    assert TEXT[:place] + outside + TEXT[place:] != expected


def test_how_far_a_variant_is_moved_is_bounded(genome):
    assert of(genome, 7, "TT", "T", longest=0) == Change("chr1", 6, b"T", b"")
    assert of(genome, 7, "TT", "T", longest=2) == Change("chr1", 4, b"T", b"", 3)


@pytest.mark.parametrize(
    ("position", "ref", "alt", "reason"),
    [
        (1, "A", ".", "no_alternate"), (1, "A", "<DEL>", "symbolic"), (1, "A", "<*>", "symbolic"),
        (1, "A", "*", "overlapping_deletion"), (1, "A", "A[chr2:5[", "breakend"), (1, "A", "]chr2:5]A", "breakend"),
        (1, "A", ".A", "breakend"), (1, "A", "N", "unknown_letter"), (1, "N", "C", "unknown_letter"),
        (1, "A", "R", "unknown_letter"), (19, "A", "C", "unknown_reference"), (18, "GA", "G", "unknown_reference"),
        (1, "C", "A", "ref_mismatch"), (1, "A", "a", "same_as_reference"), (1, "ACG", "ACG", "same_as_reference"),
    ],
)  # fmt: skip
def test_what_cannot_be_scored_has_a_reason(genome, position, ref, alt, reason):
    assert of(genome, position, ref, alt) == reason


def test_a_place_that_the_genome_lacks_is_an_error(genome):
    with pytest.raises(DataError, match="not within chr1"):
        of(genome, 24, "CA", "C")
    with pytest.raises(DataError, match=r"no contig 'chr3'"):
        change(Variant("chr3", 0, "A", "C"), genome, 9)


def screened(tmp_path, genome, *rows, check_ref="error"):
    path = vcf_of(tmp_path / "in.vcf", *rows)
    with Vcf(path) as vcf:
        screen = Screen(genome, vcf.name, check_ref)
        return [record.start + 1 for record in screen(vcf.records())], screen


def test_what_agrees_or_is_unknown_passes(tmp_path, genome):
    rows = [("chr1", 1, "acg", "A"), ("chr1", 19, "A", "C"), ("chr1", 1, "N", "A"), ("chr1", 18, "GRN", "G"),
            ("chr1", 0, "N", "<DUP>"), ("chr2", 5, "N", "A[chr1:1["), ("chr1", 24, "C", "<DEL>")]  # fmt: skip
    starts, screen = screened(tmp_path, genome, *rows)
    assert starts == [1, 19, 1, 18, 0, 5, 24]
    assert screen.mismatches == 0


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("chr1", 1, "T", "G"), r"line 3: chr1:1: REF is 'T', but \S*ref.fa has 'A'; is this the assembly"),
        (("chr1", 1, "C", "A"), "REF is 'C', but .* has 'A'; ALT is what it has: are REF and ALT swapped"),
        (("chr1", 2, "ACG", "A"), "REF is right one base before: are positions off by one"),
        (("chr1", 9, "CACAC", "A"), "REF is right one base after"),
        (("chr1", 24, "CA", "C"), "line 3: chr1:24 with REF 'CA' runs past the end of chr1 .24. in .*: is this the"),
        (("chr1", 99, "C", "T"), "runs past the end of chr1"),
        (("chr1", 26, "N", "<DUP>"), "runs past the end of chr1"),
        (("chr1", 0, "A", "T"), "line 3: POS 0: positions count from 1"),
        (("1", 1, "A", "T"), r"line 3: \S*ref.fa lacks its contig: there is no contig '1'; did you mean 'chr1'"),
        (("chrX", 1, "A", "T"), "line 3: .*: there is no contig 'chrX'"),
    ],
)
def test_what_does_not_fit_the_genome_is_an_error_with_a_hint(tmp_path, genome, row, message):
    with pytest.raises(DataError, match=message):
        screened(tmp_path, genome, row)


def test_other_reference_alleles_are_let_through_or_left_out_and_counted(tmp_path, genome):
    rows = [("chr1", 1, "A", "T"), ("chr1", 2, "G", "T"), ("chr1", 3, "A", "T"), ("chr1", 4, "T", "A")]
    starts, screen = screened(tmp_path, genome, *rows, check_ref="warn")
    assert (starts, screen.mismatches) == ([1, 2, 3, 4], 2)
    assert "line 4: chr1:2: REF is 'G'" in screen.first
    starts, screen = screened(tmp_path, genome, *rows, check_ref="exclude")
    assert (starts, screen.mismatches) == ([1, 4], 2)


def test_a_wrong_place_is_an_error_whatever_is_done_with_other_references(tmp_path, genome):
    for check_ref in ("warn", "exclude"):
        with pytest.raises(DataError, match="runs past the end"):
            screened(tmp_path, genome, ("chr1", 25, "A", "T"), check_ref=check_ref)
