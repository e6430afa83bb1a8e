"""A protein data set: which protein belongs to which split, what is left out, and errors that say what to do."""

import hashlib
from collections import Counter

import numpy as np
import pytest
from pydantic import ValidationError

from seqdiff import recipe, resources
from seqdiff.data.proteins import Registry
from seqdiff.errors import ConfigError, DataError
from seqdiff.modalities.opened import Opened
from seqdiff.modalities.protein import Protein
from seqdiff.modalities.whole import SPLITS, Shares

RNG = np.random.default_rng(0)
LETTERS = ["".join(RNG.choice(list("ACDEFGHIKLMNPQRSTVWY"), RNG.integers(5, 40))) for _ in range(400)]


@pytest.fixture
def fasta(tmp_path):
    def write(texts, name="p.fa", header="r{}"):
        path = tmp_path / name
        path.write_text("".join(f">{header.format(i)}\n{text}\n" for i, text in enumerate(texts)))
        return path

    return write


def places(data):
    """The split of each protein by its letters."""
    decode = data.config.alphabet.decode
    return {decode(data.proteome.tokens(int(r))).decode(): split for split in SPLITS for r in data.records(split)}


def test_shares_are_held_out_by_the_hash_of_the_letters(fasta):
    data = Protein(fasta=fasta(LETTERS), splits=Shares(valid=0.2, test=0.1)).open()
    assert isinstance(data, Opened)
    count = Counter(places(data).values())
    assert count.total() == 400
    assert 50 < count["valid"] < 110
    assert 20 < count["test"] < 65


def test_adding_proteins_moves_none(fasta):
    few = places(Protein(fasta=fasta(LETTERS[:200])).open())
    many = places(Protein(fasta=fasta(reversed(LETTERS), "q.fa", header="other{}")).open())
    assert few == {text: many[text] for text in few}


def test_clusters_stay_together_whatever_is_added(fasta, tmp_path):
    table = tmp_path / "c.tsv"
    table.write_text("".join(f"r{i - i % 7}\tr{i}\n" for i in range(400)))
    data = Protein(fasta=fasta(LETTERS), clusters=table).open()
    split = places(data)
    for first in range(0, 400, 7):
        assert len({split[text] for text in LETTERS[first : first + 7]}) == 1
    few = Protein(fasta=fasta(LETTERS[:70], "few.fa"), clusters=table, splits=Shares(valid=0.3, test=0.2)).open()
    more = Protein(fasta=fasta(LETTERS, "more.fa"), clusters=table, splits=Shares(valid=0.3, test=0.2)).open()
    assert places(few) == {text: places(more)[text] for text in places(few)}
    assert data.checksum != Protein(fasta=fasta(LETTERS)).open().checksum


def test_what_is_left_out_is_counted(fasta, caplog):
    caplog.set_level("INFO")
    texts = [*LETTERS[:300], LETTERS[0].lower() + "*", LETTERS[1], "", "XXBX", "MK", "*"]
    data = Protein(fasta=fasta(texts), min_length=4).open()
    assert len(places(data)) == 300
    what = "2 empty, 1 without a known residue, 1 shorter than data.min_length (4), 2 that came before"
    assert f"of 306 proteins, left out {what}, letter for letter" in caplog.text
    assert "may resemble what is trained on" in caplog.text


def test_facts_have_the_lengths_of_what_is_trained_on(fasta):
    data = Protein(fasta=fasta(LETTERS), context=8).open()
    train = [len(text) for text, split in places(data).items() if split == "train"]
    assert data.facts == {"lengths": [list(pair) for pair in sorted(Counter(train).items())]}
    longer = sum(length > 8 for length in train)
    assert f"({longer} longer than the context of 8: cropped at random)" in data.contents


def test_text_is_whole_and_examples_are_pieces(fasta):
    data = Protein(fasta=fasta(LETTERS), context=8).open()
    assert sum(len(piece) for piece in data.text("test")) == data.test.letters == data.test.sizes.sum()
    assert data.test.sizes.max() <= 8


@pytest.mark.parametrize(("balance", "power", "ratio"), [("organism", 0.0, 1), ("organism", 0.5, 2), ("gene", None, 2)])
def test_groups_are_shown_as_often_as_the_power_says(fasta, tmp_path, balance, power, ratio):
    """Four times as many proteins of A: seen alike often, or twice as often at a power of a half."""
    path = tmp_path / "g.fa"
    records = []
    for i, text in enumerate(LETTERS):
        of = "B" if i % 5 == 0 else "A"
        records.append(
            f">sp|P{i}|X{i}_Y protein {i} OS=Species {of} OX={i % 5 == 0:d} GN=g{of} PE=1 SV=1\n{of * 5}{text}\n"
        )
    path.write_text("".join(records))
    data = Protein(fasta=path, balance=balance, balance_power=power).open()
    loader = data.loader(seed=1, batch_size=2)
    seen = Counter()
    for step in range(1, 120):
        seen.update(loader.batch(step, range(loader.rows(step))).tokens[:, 0].tolist())
    train = data.records("train")
    of = np.array([int(data.proteome.tokens(int(r))[0]) for r in train])
    expected = ratio if power == 0 else ((of == 0).sum() / (of != 0).sum()) ** 0.5
    assert seen[0] / (seen.total() - seen[0]) == pytest.approx(expected, rel=0.1)


def test_balance_by_cluster_and_proteins_without_a_group(fasta, tmp_path, caplog):
    caplog.set_level("INFO")
    path = tmp_path / "g.fa"
    headers = [f"a{i} [Homo sapiens]" if i % 2 else f"a{i} OS=Bos taurus" if i % 4 else f"a{i}" for i in range(400)]
    path.write_text("".join(f">{header}\n{text}\n" for header, text in zip(headers, LETTERS, strict=True)))
    data = Protein(fasta=path, balance="organism").open()
    data.loader(0, 4)
    assert "balanced by organism: 3 groups" in caplog.text
    assert "without one are a group of their own" in caplog.text
    with pytest.raises(DataError, match="the headers name 0 genes"):
        Protein(fasta=path, balance="gene").open().loader(0, 4)
    table = tmp_path / "c.tsv"
    table.write_text("".join(f"a{i - i % 7}\ta{i}\n" for i in range(400)))
    shares = Shares(valid=0.2, test=0.2)
    Protein(fasta=path, balance="cluster", clusters=table, splits=shares).open().loader(0, 4)
    assert "balanced by cluster" in caplog.text


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"proteins": "swissprot-sample", "fasta": "x.fa"}, "give proteins .* or fasta.*--set data.proteins=null"),
        ({"fasta": "x.fa", "balance_power": 0.1}, "balance_power belongs to balance"),
        ({"fasta": "x.fa", "balance": "cluster"}, "needs clusters"),
        ({"fasta": "x.fa", "splits": {"valid": 0.6, "test": 0.4}}, r"valid \+ test < 1"),
    ],
)
def test_settings_that_make_no_sense(settings, what):
    with pytest.raises(ValidationError, match=what):
        Protein(**settings)


def test_errors_say_what_to_do(fasta):
    with pytest.raises(ConfigError, match=r"--set data\.fasta=FILE"):
        Protein().open()
    with pytest.raises(DataError, match=r"no protein falls to .*: too few proteins"):
        Protein(fasta=fasta(LETTERS[:3])).open()
    with pytest.raises(DataError, match="did you mean 'swissprot-sample'"):
        Protein(proteins="swissprot").open()
    with pytest.raises(DataError, match=r"none.fa"):
        Protein(fasta=resources.folder("genomes") / "none.fa").open()


def test_dna_is_doubted(fasta, caplog):
    Protein(fasta=fasta(["".join(RNG.choice(list("ACGT"), 30)) for _ in range(200)])).open()
    assert "100 % of the letters are A, C, G and T: is this DNA?" in caplog.text


def test_the_sample_is_what_its_registry_says():
    entry = Registry.load()["swissprot-sample"]
    assert f"sha256:{hashlib.sha256(entry.path.read_bytes()).hexdigest()}" == entry.checksum
    assert entry.path.stat().st_size == entry.size < 2**20
    data = recipe.load("protein-demo").data.open()
    assert len(data.proteome) == entry.proteins
    assert data.proteome.lengths.sum() == entry.residues
    assert not data.proteome.repeated().any()
    assert len(np.unique(data.cluster)) == 2043
    by_split = [np.unique(data.cluster[data.records(split)]) for split in SPLITS]
    assert len(np.unique(np.concatenate(by_split))) == sum(map(len, by_split))


CLASSED = [f"sp|P{i}|X OS={'Homo sapiens' if i % 4 else 'Mus musculus'} OX=1 GN=G{i}" for i in range(40)]
"""Thirty of one organism, ten of another; and then two of a third, and one of none."""
CLASSED += ["P40 OS=Pan", "P41 OS=Pan", "P42"]


@pytest.fixture
def classed(tmp_path):
    path = tmp_path / "classed.fa"
    path.write_text("".join(f">{header}\n{text}\n" for header, text in zip(CLASSED, LETTERS, strict=False)))
    return path


def labels_by_letters(data):
    """The label of each protein that is evaluated, by its letters."""
    decode = data.config.alphabet.decode
    found = {}
    for split in (data.train, data.valid, data.test):
        batch = split.batch(np.arange(len(split)))
        for row, label in zip(batch.tokens.numpy(), batch.labels.tolist(), strict=True):
            found[decode(row[row < 21].astype(np.uint8)).decode()] = label
    return found


def test_organisms_are_classes_and_small_ones_are_not_told(classed, tmp_path):
    settings = Protein(fasta=classed, conditional="organism", least=5, splits=Shares(valid=0.2, test=0.2)).resolved()
    assert settings.labels == ("Homo sapiens", "Mus musculus")
    found = labels_by_letters(settings.open())
    for header, text in zip(CLASSED, LETTERS, strict=False):
        assert found[text] == (0 if "Homo" in header else 1 if "Mus" in header else 2)
    assert Protein.model_validate_json(settings.model_dump_json()).resolved() == settings


def test_a_table_says_families(classed, tmp_path):
    (tmp_path / "families.tsv").write_text("".join(f"P{i}\tfamily {i % 2}\n" for i in range(30)))
    settings = Protein(
        fasta=classed, conditional=tmp_path / "families.tsv", least=1, splits=Shares(valid=0.2, test=0.2)
    )
    settings = settings.resolved()
    assert settings.labels == ("family 0", "family 1")
    found = labels_by_letters(settings.open())
    assert [found[text] for text in LETTERS[:43]] == [i % 2 for i in range(30)] + [2] * 13


def test_training_tells_most_classes_and_shows_all_rows(classed):
    shares = Shares(valid=0.1, test=0.1)
    settings = Protein(fasta=classed, conditional="organism", least=5, label_dropout=0.5, splits=shares).resolved()
    data = settings.open()
    truth, loader = labels_by_letters(data), data.loader(seed=1, batch_size=2)
    told = untold = 0
    for step in range(1, 60):
        batch = loader.batch(step, range(loader.rows(step)))
        again = [loader.batch(step, range(row, row + 1)).labels for row in range(len(batch))]
        assert batch.labels.tolist() == [int(label) for label in again]
        for row, label in zip(batch.tokens.numpy(), batch.labels.tolist(), strict=True):
            true = truth[data.config.alphabet.decode(row[row < 21].astype(np.uint8)).decode()]
            assert label in (true, 2)
            told, untold = told + (label < 2), untold + (label == 2)
    assert 0.4 < untold / (told + untold) < 0.65


def test_classes_that_are_none_are_said(classed, fasta, tmp_path):
    with pytest.raises(ConfigError, match="the headers name 1 classes of at least 11 proteins"):
        Protein(fasta=classed, conditional="organism", least=11).resolved()
    with pytest.raises(ConfigError, match="the headers name 0 classes"):
        Protein(fasta=fasta(LETTERS), conditional="organism").resolved()
    with pytest.raises(ConfigError, match=r"data\.classes: .* has 2 others"):
        Protein(fasta=classed, conditional="organism", least=5, classes=("a", "b")).resolved()
    with pytest.raises(ValidationError, match="belong to conditional"):
        Protein(fasta=classed, least=5)
    for text, said in (
        ("P1\n", "not two columns"),
        ("P1\ta\nP1\tb\n", "is of b here and of a before"),
        ("", "is empty"),
    ):
        (tmp_path / "t.tsv").write_text(text)
        with pytest.raises(DataError, match=said):
            Protein(fasta=classed, conditional=tmp_path / "t.tsv").resolved()
