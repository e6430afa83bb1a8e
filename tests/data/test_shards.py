import os

import pytest

from seqdiff.data.shards import Shard, require_order, shard_folder, shards_in
from seqdiff.errors import DataError, UsageError


def test_a_name_that_says_it_is_a_shard_and_one_that_does_not():
    assert str(Shard.of("x/12-of-120.vcf.gz")) == "12-of-120.vcf.gz"
    for name in ("0-of-3.fa", "4-of-3.fa", "1-of-3", "01-of-3.fa", "a1-of-3.fa", "1-of-3.fa/x"):
        assert Shard.of(name) is None


def test_a_folder_appears_whole_in_place_of_older_shards(tmp_path):
    folder = tmp_path / "shards"
    folder.mkdir()  # as workflow managers make it
    for count in (3, 2):
        with shard_folder(folder) as place:
            assert place != folder
            for number in range(1, count + 1):
                (place / f"{number}-of-{count}.fa").write_text("new")
        assert sorted(os.listdir(folder)) == [f"{number}-of-{count}.fa" for number in range(1, count + 1)]
    assert os.listdir(tmp_path) == ["shards"]


@pytest.mark.parametrize("error", [DataError, KeyboardInterrupt])
def test_after_an_error_the_older_shards_stand(tmp_path, error):
    folder = tmp_path / "shards"
    folder.mkdir()
    (folder / "1-of-1.fa").write_text("old")

    def fails():
        with shard_folder(folder) as place:
            (place / "1-of-2.fa").write_text("new")
            raise error(f"cannot write {place}/1-of-2.fa")

    with pytest.raises(error) as caught:
        fails()
    assert os.listdir(folder) == ["1-of-1.fa"]
    assert os.listdir(tmp_path) == ["shards"]
    if error is DataError:
        assert str(caught.value) == f"cannot write {folder}/1-of-2.fa"


@pytest.mark.parametrize("stranger", ["notes.txt", "1-of-2.fa/"])
def test_a_folder_with_something_else_is_not_touched(tmp_path, stranger):
    folder = tmp_path / "shards"
    folder.mkdir()
    (folder / "2-of-2.fa").write_text("old")
    (folder / stranger).mkdir() if stranger.endswith("/") else (folder / stranger).write_text("mine")
    with pytest.raises(DataError, match="which is no shard: give a folder of its own"), shard_folder(folder):
        pass
    assert len(os.listdir(folder)) == 2


def test_a_file_in_the_way(tmp_path):
    (tmp_path / "shards").write_text("mine")
    with pytest.raises(DataError, match="exists already"), shard_folder(tmp_path / "shards"):
        pass


def test_shards_of_a_folder_in_their_order_and_what_is_missing(tmp_path):
    for number in range(1, 12):
        (tmp_path / f"{number}-of-11.vcf.gz").touch()
        (tmp_path / f"{number}-of-11.vcf.gz.tbi").touch()
    assert [path.name for path in shards_in(tmp_path)] == [f"{number}-of-11.vcf.gz" for number in range(1, 12)]
    (tmp_path / "7-of-11.vcf.gz").unlink()
    with pytest.raises(DataError, match=r"lacks 7-of-11\.vcf\.gz: did a job fail\?"):
        shards_in(tmp_path)
    (tmp_path / "1-of-2.fa").touch()
    with pytest.raises(DataError, match=r"holds \*-of-11\.vcf\.gz and \*-of-2\.fa"):
        shards_in(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no shards"):
        shards_in(tmp_path / "empty")


def test_files_that_are_named_as_shards_must_be_in_order_and_all_there():
    require_order(["a/1-of-3.fa", "b/2-of-3.fa", "3-of-3.fa"])
    require_order(["2-of-3.fa", "1-of-3.txt"])
    require_order(["x.fa", "2-of-3.fa"])
    with pytest.raises(UsageError, match=r"2-of-10\.fa comes after 10-of-10\.fa"):
        require_order([f"{number}-of-10.fa" for number in (1, 10, 2, 3, 4, 5, 6, 7, 8, 9)])
    with pytest.raises(DataError, match=r"what is given lacks 2-of-3\.fa"):
        require_order(["1-of-3.fa", "3-of-3.fa"])
    with pytest.raises(UsageError, match=r"1-of-2\.fa and 3-of-5\.fa are of two divisions"):
        require_order(["a/1-of-2.fa", "b/3-of-5.fa"])
