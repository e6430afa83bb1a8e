"""A DNA data set: which bases belong to which split, and errors that say what to do."""

import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from seqdiff import resources
from seqdiff.alphabet import DNA
from seqdiff.data.genomes import HeldOut, Registry
from seqdiff.errors import DataError
from seqdiff.modalities import ModalityConfig
from seqdiff.modalities.dna import Dna, Splits

LETTERS = np.array(list("ACGTN."))
SPLITS = ("train", "valid", "test")


@pytest.fixture
def fasta(tmp_path):
    """Writes FASTA text to a file."""

    def write(text, name="toy.fa"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def texts(windows, *, training=False):
    items = np.arange(len(windows))
    batch = windows.augmented(items, items, seed=0, reverse_complement=False) if training else windows.batch(items)
    return ["".join(LETTERS[row]) for row in batch.tokens.numpy()]


def regions(data):
    return {name: [str(interval) for interval in data.intervals[name]] for name in SPLITS}


# Splits


def test_shares_take_the_file_as_one_line_and_test_last(fasta):
    path = fasta(">a\n" + "A" * 16 + "C" * 8 + "\n>b\n" + "G" * 8 + "T" * 8 + "\n")
    data = Dna(fasta=path, context=8, splits=Splits(valid=0.4, test=0.2)).open()
    assert regions(data) == {"train": ["a:1-16"], "valid": ["a:17-24", "b:1-8"], "test": ["b:9-16"]}
    assert texts(data.valid) == ["C" * 8, "G" * 8]
    assert texts(data.test) == ["T" * 8]


def test_a_file_of_your_own_holds_out_five_and_five_percent(fasta):
    data = Dna(fasta=fasta(">a\n" + "ACGT" * 50 + "\n"), context=8).open()
    assert regions(data) == {"train": ["a:1-180"], "valid": ["a:181-190"], "test": ["a:191-200"]}


def test_regions_are_one_based_and_training_has_the_rest(fasta):
    path = fasta(">a\n" + "A" * 10 + "C" * 10 + "G" * 20 + "\n>b\n" + "T" * 10 + "\n")
    data = Dna(fasta=path, context=10, splits=Splits(valid=["a:11-20"], test="b")).open()
    assert regions(data) == {"train": ["a:1-10", "a:21-40"], "valid": ["a:11-20"], "test": ["b:1-10"]}
    assert (texts(data.valid), texts(data.test)) == (["C" * 10], ["T" * 10])
    assert texts(data.train, training=True)[0] == "A" * 10


def test_bed_files_are_zero_based(fasta, tmp_path):
    path = fasta(">a\n" + "A" * 10 + "C" * 10 + "G" * 10 + "\n")
    bed = fasta("a\t10\t20\tname\n", "valid.bed")
    data = Dna(fasta=path, context=10, splits=Splits(valid=str(bed), test=["a:21-30"])).open()
    assert (texts(data.valid), texts(data.test)) == (["C" * 10], ["G" * 10])


def test_training_places_lose_what_is_held_out(fasta):
    path = fasta(">a\n" + "A" * 40 + "\n>alt\n" + "C" * 40 + "\n")
    splits = Splits(train=["a"], valid=["a:1-10"], test=["a:31-40"])
    assert regions(Dna(fasta=path, context=8, splits=splits).open())["train"] == ["a:11-30"]
    shares = Splits(train=["a:1-40"], valid=0.25, test=0.25)
    assert regions(Dna(fasta=path, context=8, splits=shares).open()) == {
        "train": ["a:1-20"],
        "valid": ["a:21-30"],
        "test": ["a:31-40"],
    }


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 190), st.integers(1, 30)), min_size=2, max_size=6),
    st.integers(8, 24),
    st.integers(0, 2**31),
)
def test_no_held_out_base_is_ever_in_a_training_window(tmp_path_factory, spans, context, seed):
    """Held-out bases are A and T, all others C and G, on both strands alike."""
    letters, held_out = ["C"] * 300, []
    for start, length in spans:
        if all("A" not in letters[p] for p in range(start, start + length)):
            letters[start : start + length] = "A" * length
            held_out.append(f"a:{start + 1}-{start + length}")
    if len(held_out) < 2:
        return
    path = tmp_path_factory.mktemp("dna") / "toy.fa"
    path.write_text(f">a\n{''.join(letters)}\n")
    splits = Splits(valid=held_out[:1], test=held_out[1:])
    data = Dna(fasta=path, context=context, splits=splits).open()
    items = np.arange(200) % len(data.train)
    batch = data.train.augmented(items, np.arange(200), seed=seed, reverse_complement=True)
    assert set("".join("".join(LETTERS[row]) for row in batch.tokens.numpy())) <= set("CG.")
    assert set("".join(texts(data.test) + texts(data.valid))) <= set("A.")
    assert sum(i.length for name in SPLITS for i in data.intervals[name]) == 300


# Genomes of the registry


def test_the_embedded_genome_has_its_splits_and_all_its_bases():
    data = Dna(genome="human-chr20", context=512).open()
    sizes = {name: sum(i.length for i in data.intervals[name]) for name in SPLITS}
    assert sizes == {"train": 1_700_000, "valid": 100_000, "test": 200_000}
    assert len(data.test) == 4 * (50_000 // 512)
    assert data.source.startswith("human-chr20, ")
    other = Dna(genome="human-chr20", context=512, splits=Splits(valid=0.1, test=0.1)).open()
    assert data.checksum == Dna(genome="human-chr20", context=64).open().checksum != other.checksum
    starts = [interval.start for interval in data.intervals["test"]]
    assert np.diff(starts).tolist() == [500_000] * 3


def test_a_genome_that_is_not_here_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setenv("SEQDIFF_GENOMES", str(tmp_path))
    with pytest.raises(DataError, match="seqdiff genomes fetch hg38"):
        Dna(genome="hg38", context=512).open()


def test_a_copy_of_a_genome_has_the_splits_of_the_genome(tmp_path):
    path = tmp_path / "mine.fa.gz"
    shutil.copy(resources.folder("genomes") / "human-chr20.fa.gz", path)
    data = Dna(genome="human-chr20", fasta=path, context=512).open()
    assert data.genome.path == path
    assert data.intervals == Dna(genome="human-chr20", context=512).open().intervals


@pytest.mark.parametrize(
    ("name", "says"), [("GRCh37_chr20_10Mb_12Mb", "it has 8 bases there"), ("20", "there is no such record")]
)
def test_a_copy_of_another_genome_is_refused(fasta, name, says):
    with pytest.raises(DataError, match=rf"is not human-chr20, .* 2,000,000 bases: {says}"):
        Dna(genome="human-chr20", fasta=fasta(f">{name}\nACGTACGT\n"), context=8).open()


def test_only_primary_chromosomes_are_used(monkeypatch, fasta):
    entry = Registry.load()["human-chr20"].model_copy(
        update={"chromosomes": {"chr1": 40}, "splits": HeldOut(valid=["chr1:1-8"], test=["chr1:9-16"])}
    )
    monkeypatch.setattr(Registry, "load", classmethod(lambda cls: Registry(genomes={"toy": entry})))
    path = fasta(">chr1\n" + "ACGT" * 10 + "\n>chrUn_1\n" + "ACGT" * 10 + "\n")
    assert regions(Dna(genome="toy", fasta=path, context=8).open())["train"] == ["chr1:17-40"]


# Settings


def test_settings_reach_the_windows(fasta):
    path = fasta(">a\nacgtNNNN" + "ACGT" * 6 + "\n")
    config = Dna(fasta=path, context=8, splits=Splits(valid=0.25, test=0.25), max_unknown=0.5, repeat_weight=0.125)
    train = config.open().train
    weights = train.augmented(np.array([0]), np.array([0]), seed=0, reverse_complement=False).weight
    assert set(weights.unique().tolist()) <= {0, 0.125, 1}
    assert 0.125 in weights
    assert len(train) == 2
    assert len(Dna(**config.model_dump() | {"max_unknown": 0.49}).open().train) == 1


def test_a_recipe_reads_dna_by_kind():
    data = TypeAdapter(ModalityConfig).validate_python(
        {"kind": "dna", "fasta": "x.fa", "context": 64, "splits": {"valid": ["chr2"], "test": "test.bed"}}
    )
    assert isinstance(data, Dna)
    assert data.alphabet is DNA
    assert Dna.model_validate_json(data.model_dump_json()) == data


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"context": 64}, "give genome"),
        ({"genome": "hg38", "context": 7}, "context"),
        ({"genome": "hg38", "context": 64, "max_unknown": 1.1}, "max_unknown"),
        ({"genome": "hg38", "context": 64, "repeat_weight": -1}, "repeat_weight"),
        ({"genome": "hg38", "context": 64, "splits": {"valid": 0.5, "test": 0.5}}, "leave something"),
        ({"genome": "hg38", "context": 64, "splits": {"valid": 0.0}}, "above 0"),
        ({"genome": "hg38", "context": 64, "splits": {"valid": 0.1, "test": ["chr1"]}}, "both as"),
        ({"genome": "hg38", "context": 64, "split": {}}, "split"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, says):
    with pytest.raises(ValidationError, match=says):
        Dna(**settings)


def test_an_unknown_genome_says_which_there_are():
    with pytest.raises(DataError, match="did you mean 'hg38'"):
        Dna(genome="hg83", context=64).open()


def test_places_that_overlap_are_an_error(fasta):
    path = fasta(">a\n" + "ACGT" * 10 + "\n")
    with pytest.raises(DataError, match=r"data\.splits: a:11-20 is in both valid and test"):
        Dna(fasta=path, context=8, splits=Splits(valid=["a:1-20"], test=["a:11-30"])).open()


def test_places_that_are_not_in_the_file_are_an_error(fasta):
    path = fasta(">chr1\n" + "ACGT" * 10 + "\n")
    with pytest.raises(DataError, match="did you mean 'chr1'"):
        Dna(fasta=path, context=8, splits=Splits(valid=["1:1-20"], test=["chr1:31-40"])).open()


@pytest.mark.parametrize(
    ("text", "splits", "split"),
    [
        ("ACGT" * 10, Splits(valid=["a:1-20"], test=["a:21-40"]), "train"),
        ("N" * 20 + "ACGT" * 10, Splits(valid=["a:1-20"], test=["a:21-40"]), "valid"),
    ],
)
def test_a_split_without_a_window_is_an_error(fasta, text, splits, split):
    with pytest.raises(DataError, match=rf"no window of 8 bases for '{split}' .*data\.context"):
        Dna(fasta=fasta(f">a\n{text}\n"), context=8, splits=splits).open()


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"nothing\.fa"):
        Dna(fasta=tmp_path / "nothing.fa", context=8).open()
