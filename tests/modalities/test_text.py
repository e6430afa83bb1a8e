"""A text as data of a run: what is learned from the file, and what is held out of it."""

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from seqdiff import recipe
from seqdiff.data.characters import BYTES, TEXT8, UNKNOWN
from seqdiff.data.documents import Documents
from seqdiff.errors import ConfigError, DataError
from seqdiff.modalities import ModalityConfig, Opened
from seqdiff.modalities.text import Text

SENTENCES = "the quick brown fox jumps over the lazy dog. " * 20


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.setenv("SEQDIFF_CACHE", str(tmp_path / "cache"))

    def write(text, name="a.txt"):
        (tmp_path / name).write_bytes(text.encode())
        return tmp_path / name

    return write


def test_the_end_is_held_out(write):
    data = Text(file=write("a" * 80 + "b" * 12 + "c" * 8), context=8, splits={"valid": 0.12, "test": 0.08}).open()
    assert isinstance(data, Opened)
    letters = {split: np.concatenate(list(data.text(split))) for split in ("train", "valid", "test")}
    assert {split: (len(found), *set(found.tolist())) for split, found in letters.items()} == {
        "train": (80, 0), "valid": (12, 1), "test": (8, 2),
    }  # fmt: skip
    assert (data.train.letters, len(data.valid), data.test.sizes.tolist()) == (80, 2, [8])
    assert data.source == "a.txt, 100 characters of 3 (characters)"
    assert (data.facts, data.both_strands) == ({}, False)


def test_characters_are_learned_and_kept(write):
    given = Text(file=write(SENTENCES), context=16)
    resolved = given.resolved()
    assert resolved.characters == "".join(sorted(set(SENTENCES)))
    assert resolved.resolved() == resolved
    assert resolved.open().checksum == given.open().checksum
    without = resolved.model_copy(update={"file": None})
    assert without.alphabet.encode(b"a.b").tolist() == resolved.alphabet.encode(b"a.b").tolist()
    with pytest.raises(ConfigError, match=r"data\.file: give a text file"):
        without.open()
    with pytest.raises(ConfigError, match="not been read yet"):
        _ = given.alphabet.size


def test_rare_characters_are_unknown_and_counted(write, caplog):
    data = Text(file=write("ab" * 60 + "xyx" + "ab" * 60), context=8, min_count=3).open()
    assert data.config.characters == "ab"
    assert "3 of 243 characters (1.2 %) are none of the 2 symbols" in caplog.text
    assert data.train.letters + data.valid.letters + data.test.letters == 240
    most = Text(file=data.running.path, context=8, max_symbols=3).resolved()
    assert most.characters == "abx"


def test_text8_and_bytes_have_their_own_symbols(write):
    path = write("Où est-il? " * 40)
    assert Text(file=path, coding="text8", context=8).open().config.alphabet is TEXT8
    data = Text(file=path, coding="bytes", context=8).open()
    assert data.config.alphabet is BYTES
    assert data.size == (440 + 40, 0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"coding": "text8", "min_count": 2}, "min_count is for coding characters; text8 has its own"),
        ({"coding": "bytes", "characters": "ab"}, "characters is for coding characters; bytes has its own"),
        ({"characters": "aba"}, "'a' comes twice"),
        ({"characters": "a"}, "leaves nothing to tell apart"),
        ({"characters": "a" + UNKNOWN}, "is no character"),
        ({"splits": {"valid": 0.5, "test": 0.5}}, "leave something to train on"),
        ({"column": "a"}, "column is for mode documents"),
        ({"context": 4}, "greater than or equal to 8"),
    ],
)
def test_settings_that_make_no_sense(settings, message):
    with pytest.raises(ValidationError, match=message):
        Text(**{"context": 8} | settings)


@pytest.mark.parametrize(
    ("text", "message"), [("ab" * 20, "too short: 'train' has 36 known"), ("aaaa", "has 1 characters of the kind")]
)
def test_files_that_hold_too_little(write, text, message):
    with pytest.raises(DataError, match=message):
        Text(file=write(text), context=40).open()


def test_a_split_of_unknown_characters_alone_is_an_error(write):
    with pytest.raises(DataError, match="'test' has 0 known characters"):
        Text(file=write("ab" * 95 + "é" * 10), context=8, coding="text8").open()


def test_what_is_held_out_is_in_the_checksum(write):
    path = write(SENTENCES)
    checksums = {Text(file=path, context=16, splits={"valid": v}).open().checksum for v in (0.05, 0.1)}
    assert len(checksums) == 2


# Documents

WORDS = ["ab" * n for n in range(1, 120)]
LINES = "\n".join([*WORDS, "", "ab", "éé", *WORDS[:5]]) + "\n"


def test_documents_are_lines_split_by_their_letters(write, caplog):
    caplog.set_level("INFO", "seqdiff")
    config = {"mode": "documents", "context": 64, "splits": {"valid": 0.2, "test": 0.2}, "characters": "ab"}
    data = Text(file=write(LINES), **config).open()
    assert isinstance(data, Opened)
    assert "of 127 documents, left out 2 without a known character, 6 that came before" in caplog.text
    by_split = {name: {len(d) // 2 for d in data.text(name)} for name in ("train", "valid", "test")}
    assert sum(map(len, by_split.values())) == 119
    assert len(set.union(*by_split.values())) == 119
    more = Text(file=write("bbb\n" * 3 + LINES, "b.txt"), **config).open()
    assert {len(d) // 2 for d in more.text("test") if d[0] == 0} == by_split["test"]
    assert data.facts["lengths"] == [[2 * n, 1] for n in sorted(by_split["train"])]
    longer = sum(2 * n > 64 for n in by_split["train"])
    assert f"({longer} longer than the context of 64: cropped at random)" in data.contents
    assert data.test.sizes.max() <= 64
    assert data.test.letters == sum(2 * n for n in by_split["test"])


def test_batches_of_documents_hold_as_many_characters_whatever_their_lengths(write):
    data = Text(file=write(LINES), mode="documents", context=64, characters="ab").open()
    loader = data.loader(seed=0, batch_size=4)
    shapes = [loader.batch(step, range(loader.rows(step))).tokens.shape for step in range(1, 30)]
    assert all(rows * width <= 4 * 64 for rows, width in shapes)
    assert len({width for _, width in shapes}) > 1


def test_documents_are_cells_of_a_table(write):
    text = 'id;text\n1;"one; two\n3"\n2;ōne\n\n3;"say ""x"""\n'
    data = Text(file=write(text, "a.csv"), mode="documents", column="text", context=8)
    assert data.resolved().characters == "".join(sorted(set('one; two\n3ōnesay "x"')))
    documents = Documents.open(data.file, BYTES, "text")
    assert [BYTES.decode(documents.tokens(i)).decode() for i in range(3)] == ["one; two\n3", "ōne", 'say "x"']


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("a,b\n1,2\n", "has no column 'text'; it has 'a', 'b'"),
        ("\n", "has no column 'text'; its first line is no header"),
        ("a,text\n1,2\n1,2,3\n", "line 3: a row of 3 cells, but the header has 2"),
        ('a,text\n1,"2\n', r"line \d: unexpected end of data: are its quotation marks right"),
        ("a,text\n", "is empty: there are no documents"),
    ],
)
def test_tables_that_are_damaged(write, table, message):
    with pytest.raises(DataError, match=message):
        Text(file=write(table, "a.csv"), mode="documents", column="text", context=8).open()


def test_documents_that_are_not_utf8_are_said_with_their_line(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"a,text\n1,x\n2,caf\xe9\n")
    with pytest.raises(DataError, match=r"line 3: the byte '\\xe9' is not UTF-8"):
        Text(file=tmp_path / "a.csv", mode="documents", column="text", context=8).open()


STRANGE = "\t\n\r\x00\x07\x85\xa0 '\"#:{}\\é€\u2028\ufeff\ufffe𝄞\U0010ffff"


def test_any_characters_survive_in_a_recipe(tmp_path):
    loaded = recipe.load("text8")
    data = loaded.data.model_copy(update={"coding": "characters", "characters": STRANGE})
    path = tmp_path / "recipe.yaml"
    path.write_text(loaded.model_copy(update={"data": data}).to_yaml(), encoding="utf-8")
    assert recipe.load(str(path)).data.characters == STRANGE
    assert TypeAdapter(ModalityConfig).validate_python(data.model_dump(mode="json")) == data


def test_the_file_of_a_recipe_is_found_from_any_folder(write, monkeypatch, tmp_path):
    write(SENTENCES)
    monkeypatch.chdir(tmp_path)
    loaded = recipe.load("text8", ["data.file=a.txt"])
    assert loaded.data.file == tmp_path / "a.txt"
