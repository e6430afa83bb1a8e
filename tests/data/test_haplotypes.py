import pytest
from vcfs import vcf_of

from seqdiff.data.haplotypes import groups
from seqdiff.data.vcf import Vcf
from seqdiff.errors import DataError


def read(tmp_path, *rows, samples=("S1", "S2"), reach=100):
    rows = [(*row[:4], ".", *row[4:]) for row in rows]
    with Vcf(vcf_of(tmp_path / "a.vcf", *rows, samples=samples)) as vcf:
        return list(groups(vcf.records(), reach, vcf.samples, "a.vcf"))


def test_haplotypes_are_counted_over_samples(tmp_path):
    (group,) = read(
        tmp_path,
        ("1", 10, "A", "C", "GT", "0|1", "1|0"),
        ("1", 12, "A", "C,G", "GT", "0|2", "0|0"),
        ("1", 15, "A", "C", "GT:DP", "1|1:9", "0|0:.")
    )  # fmt: skip
    assert group.copies == {(0, 0, 1): 1, (1, 2, 1): 1, (1, 0, 0): 1}
    assert (group.unphased, group.missing) == (0, 0)


def test_a_group_reaches_so_far_and_not_over_contigs(tmp_path):
    places = [("1", 10), ("1", 50), ("1", 109), ("1", 110), ("1", 400), ("2", 401)]
    found = read(tmp_path, *((*place, "A", "C", "GT", "0|0", "1|1") for place in places))
    assert [[record.start + 1 for record in group.records] for group in found] == [[10, 50, 109], [110], [400], [401]]


def test_a_long_ref_counts_as_a_whole(tmp_path):
    found = read(tmp_path, ("1", 10, "A", "C", "GT", "0|0", "1|1"), ("1", 60, "A" * 60, "A", "GT", "0|0", "1|1"))
    assert len(found) == 2


def test_unknown_phase_is_left_out_only_where_it_matters(tmp_path):
    (group,) = read(
        tmp_path,
        ("1", 10, "A", "C", "GT", "0/1", "0/1", "1/1", "0|1", "1"),
        ("1", 12, "A", "C", "GT", "0/1", "1/1", "0/0", "./.", "0"),
        samples=["twice", "once", "never", "missing", "haploid"],
    )
    assert group.copies == {(0, 1): 1, (1, 1): 1, (1, 0): 3}
    assert (group.unphased, group.first_unphased, group.missing) == (1, "twice", 1)


def test_one_unphased_record_alone_is_clear(tmp_path):
    (group,) = read(tmp_path, ("1", 10, "A", "C,G", "GT", "0/1", "1/2"))
    assert group.copies == {(1,): 2, (2,): 1}


def test_phase_sets_do_not_join(tmp_path):
    (group,) = read(
        tmp_path,
        ("1", 10, "A", "C", "GT:PS", "0|1:10", "0|1:10"),
        ("1", 12, "A", "C", "GT:PS", "0|1:10", "0|1:12"),
    )
    assert group.copies == {(1, 1): 1}
    assert (group.unphased, group.first_unphased) == (1, "S2")


def test_a_changing_number_of_chromosomes_is_left_out(tmp_path):
    (group,) = read(tmp_path, ("1", 10, "A", "C", "GT", "1|1", "1"), ("1", 12, "A", "C", "GT", "1", "1"))
    assert (group.copies, group.missing) == ({(1, 1): 1}, 1)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("1", 10, "A", "C", "GT", "0|2", "0|0")], "line 3: a genotype names allele 2, but ALT has 1"),
        ([("1", 10, "A", ".", "GT", "0|1", "0|0")], "line 3: a genotype names allele 1, but ALT has 0"),
        ([("1", 10, "A", "C", "GT", "0|x", "0|0")], "line 3: '0|x' is no genotype like 0|1"),
        ([("1", 10, "A", "C", "DP", "3", "4")], "line 3: FORMAT does not begin with GT"),
        ([("1", 10, "A", "C", "GT", "0|0", "0|0"), ("1", 9, "A", "C", "GT", "0|0", "0|0")], "line 4: 1:9 lies before"),
        ([(c, 10, "A", "C", "GT", "0|0", "0|0") for c in "121"], "line 5: .* contig came before.*bcftools sort"),
    ],
)
def test_what_cannot_be_read_is_an_error(tmp_path, rows, message):
    with pytest.raises(DataError, match=message.replace("|", r"\|")):
        read(tmp_path, *rows)


def test_without_samples_there_are_no_haplotypes(tmp_path):
    with Vcf(vcf_of(tmp_path / "a.vcf", ("1", 10, "A", "C"))) as vcf, pytest.raises(DataError, match="has no samples"):
        list(groups(vcf.records(), 100, vcf.samples, "a.vcf"))
