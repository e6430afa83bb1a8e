import hashlib
import os
import stat
import threading
import tracemalloc

import pytest

from seqdiff.errors import DataError
from seqdiff.files import appearing, checksum, replacing


def test_a_checksum_is_of_all_bytes_and_never_holds_them_all(tmp_path):
    content = os.urandom(2**23 + 5)
    (tmp_path / "a").write_bytes(content)
    tracemalloc.start()
    found = checksum(tmp_path / "a")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found == hashlib.blake2b(content, digest_size=16).hexdigest()
    assert most < 2**20


def test_a_file_appears_whole_with_the_usual_mode(tmp_path):
    with replacing(tmp_path / "new" / "a") as temporary:
        temporary.write_text("whole")
        assert not (tmp_path / "new" / "a").exists()
    assert (tmp_path / "new" / "a").read_text() == "whole"
    os.chmod(tmp_path / "new" / "a", 0o640)
    with replacing(tmp_path / "new" / "a") as temporary:
        temporary.write_text("again")
    assert stat.S_IMODE((tmp_path / "new" / "a").stat().st_mode) == 0o640


def test_a_failure_leaves_what_was_there_and_nothing_beside_it(tmp_path):
    (tmp_path / "a").write_text("old")

    def interrupted():
        with replacing(tmp_path / "a") as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_text() == "old"


def test_a_link_is_followed(tmp_path):
    (tmp_path / "target").write_text("old")
    (tmp_path / "link").symlink_to("target")
    with replacing(tmp_path / "link") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "new"


def test_a_pipe_is_written_into_and_stays_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    read = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_text()))
    reader.start()
    with replacing(tmp_path / "pipe") as temporary:
        temporary.write_text("through")
    reader.join(timeout=10)
    assert read == ["through"]
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_a_device_stays_a_device():
    with pytest.raises(DataError, match="disk is full"), replacing("/dev/full") as temporary:
        temporary.write_text("x")
    assert stat.S_ISCHR(os.stat("/dev/full").st_mode)


def test_a_folder_and_a_place_that_is_none(tmp_path):
    with pytest.raises(DataError, match="this is a folder"), replacing(tmp_path):
        pass
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"), replacing(tmp_path / "file" / "below"):
        pass


def test_a_folder_is_made_by_one_process_at_a_time(tmp_path):
    with appearing(tmp_path / "run") as one:
        (one / "a").touch()
        with pytest.raises(DataError, match=r"run: another process is making it"), appearing(tmp_path / "run"):
            pass
        with appearing(tmp_path / "run.b"):  # another folder, whose name begins alike
            pass
    assert (tmp_path / "run" / "a").exists()


def test_what_a_killed_process_left_of_a_folder_is_cleared_away(tmp_path):
    left = tmp_path / ".run.abcd_123.partial"
    left.mkdir()
    (left / "model").touch()
    with appearing(tmp_path / "run"):
        assert not left.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
