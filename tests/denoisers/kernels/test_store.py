import errno
import fcntl
import os
import tempfile
import threading
import time
from pathlib import Path

import pytest

from seqdiff.denoisers.kernels import machine, store

CODE = b"machine code"


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    """(the user's cache, the folder for temporary files)"""
    home, temporary = tmp_path / "home", tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("SEQDIFF_CACHE", str(home))
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    monkeypatch.setattr(store, "_used", None)
    monkeypatch.setattr(store, "_complaints", {})
    return home, temporary


def kept(places):
    return places[0] / f"kernels-{os.geteuid()}" / store.DIGEST / "scan.forward"


def files(folder):
    return [path for path in folder.rglob("*") if path.is_file() and path.name != "lock"]


def test_what_is_kept_is_found_again_and_is_the_users_own(places):
    assert store.read("scan.forward") is None
    store.write("scan.forward", CODE)
    assert store.read("scan.forward") == CODE
    assert files(places[0]) == [kept(places)]
    assert [path.stat().st_mode & 0o777 for path in (kept(places), *kept(places).parents[:2])] == [0o600, 0o700, 0o700]
    assert store.status() == str(kept(places).parent)


def test_a_cautious_or_careless_umask_changes_nothing(places):
    before = os.umask(0)
    try:
        store.write("scan.forward", CODE)
    finally:
        os.umask(before)
    assert store.read("scan.forward") == CODE


@pytest.mark.parametrize("damage", [lambda b: b"", lambda b: b[:-1], lambda b: b[:40], lambda b: b[:-1] + b"x"])
def test_a_damaged_file_counts_as_absent_and_is_replaced(places, damage):
    store.write("scan.forward", CODE)
    kept(places).write_bytes(damage(kept(places).read_bytes()))
    assert store.read("scan.forward") is None
    store.write("scan.forward", CODE)
    assert store.read("scan.forward") == CODE


def test_code_under_another_name_or_digest_is_not_taken(places, monkeypatch):
    store.write("scan.forward", CODE)
    os.link(kept(places), kept(places).with_name("scan.backward"))
    assert store.read("scan.backward") is None
    other = kept(places).parents[1] / ("0" * 32)
    kept(places).parent.rename(other)
    monkeypatch.setattr(store, "DIGEST", other.name)
    assert store.read("scan.forward") is None


def test_nothing_that_others_could_have_written_is_loaded(places, tmp_path):
    store.write("scan.forward", CODE)
    file, folder = kept(places), kept(places).parent
    for path in (file, folder, folder.parent):
        mode = path.stat().st_mode & 0o777
        for others in (0o020, 0o002):
            path.chmod(mode | others)
            assert store.read("scan.forward") is None
        path.chmod(mode)
    assert store.read("scan.forward") == CODE
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")
    assert store.read("scan.forward") is None


def test_what_belongs_to_another_user_is_neither_read_nor_written(places, monkeypatch):
    """This process takes itself for the next user, whose files here have the old owner."""
    store.write("scan.forward", CODE)
    (places[0] / f"kernels-{os.geteuid()}").rename(places[0] / f"kernels-{os.geteuid() + 1}")
    monkeypatch.setattr(os, "geteuid", lambda me=os.geteuid() + 1: me)
    monkeypatch.setattr(store, "_used", None)
    assert store.read("scan.forward") is None
    before = files(places[0])[0].read_bytes()
    store.write("scan.forward", b"new")
    assert files(places[0])[0].read_bytes() == before
    assert "is not yours" in store.status()


def test_without_a_home_that_can_be_written_a_private_temporary_folder_serves(places, monkeypatch):
    monkeypatch.setenv("SEQDIFF_CACHE", "/proc/nowhere")
    with store.alone("scan.forward") as there_is_a_place:
        assert there_is_a_place
        store.write("scan.forward", CODE)
    assert store.read("scan.forward") == CODE
    assert files(places[1])[0].parents[1].stat().st_mode & 0o777 == 0o700
    assert store.status().startswith(str(places[1]))


def test_a_user_without_any_home_is_served_too(places, monkeypatch):
    def nowhere(path):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("SEQDIFF_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "expanduser", nowhere)
    store.write("scan.forward", CODE)
    assert store.read("scan.forward") == CODE
    assert "this user has no home folder; set SEQDIFF_CACHE to a folder" in store.status()


@pytest.fixture
def left_over(places, monkeypatch):
    """A kernel among the temporary files, from a day without a cache."""
    with monkeypatch.context() as that_day:
        that_day.setenv("SEQDIFF_CACHE", "/proc/nowhere")
        with store.alone("scan.forward"):
            store.write("scan.forward", CODE)
    assert len(files(places[1])) == 1
    monkeypatch.setattr(store, "_used", None)
    monkeypatch.setattr(store, "_complaints", {})


def test_what_was_left_in_a_later_place_does_not_stand_in_for_the_cache_that_was_asked_for(left_over, places):
    assert store.read("scan.forward") is None
    with store.alone("scan.forward"):
        assert store.read("scan.forward") is None
        store.write("scan.forward", b"new")
    assert files(places[0]) == [kept(places)]
    assert store.read("scan.forward") == b"new"
    assert store.status() == str(kept(places).parent)


def test_it_is_read_where_the_cache_cannot_be_written(left_over, places):
    kept(places).parents[1].mkdir(parents=True)
    kept(places).parents[1].chmod(0o777)
    assert store.read("scan.forward") == CODE
    assert not files(places[0])
    assert store.status().startswith(f"{places[1]}/")
    assert store.status().endswith(" is not yours, or others can write there)")


def test_a_file_where_the_cache_should_be_is_no_place(left_over, places):
    places[0].touch()
    assert store.read("scan.forward") == CODE
    assert store.status().endswith(f" (SEQDIFF_CACHE={places[0]} cannot be used: {places[0]} is not a folder)")


def test_neither_is_a_folder_on_a_disk_that_only_reads(left_over, places, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert store.read("scan.forward") == CODE
    assert store.status().endswith(f" (SEQDIFF_CACHE={places[0]} cannot be used: no permission to write there)")


def test_on_a_full_disk_what_the_next_place_has_is_not_compiled_again(left_over, places, monkeypatch):
    def full(number):
        if str(places[0]) in os.readlink(f"/proc/self/fd/{number}"):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert store.read("scan.forward") is None
    with store.alone("scan.forward") as there_is_a_place:
        assert there_is_a_place
        assert store.read("scan.forward") == CODE
    assert not files(places[0])


def test_reading_makes_no_folders(places):
    assert store.read("scan.forward") is None
    assert not places[0].exists()
    assert not list(places[1].iterdir())


def test_a_cache_that_was_asked_for_and_cannot_be_used_is_warned_of_once(places, monkeypatch, caplog):
    monkeypatch.setenv("SEQDIFF_CACHE", "/proc/nowhere")
    for _ in range(2):
        with store.alone("scan.forward"):
            store.write("scan.forward", CODE)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "SEQDIFF_CACHE=/proc/nowhere cannot be used for compiled kernels: No such file or directory" in caplog.text
    why = "SEQDIFF_CACHE=/proc/nowhere cannot be used: No such file or directory"
    assert store.status() == f"{files(places[1])[0].parent} ({why})"


def test_so_is_one_in_the_home_of_somebody_unknown(places, monkeypatch, caplog):
    monkeypatch.setenv("SEQDIFF_CACHE", "~nobody-of-this-name/cache")
    for _ in range(2):
        store.write("scan.forward", CODE)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert store.read("scan.forward") == CODE


def test_a_home_that_cannot_be_used_is_no_reason_to_warn(places, monkeypatch, caplog):
    monkeypatch.delenv("SEQDIFF_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc")
    store.write("scan.forward", CODE)
    assert not caplog.records
    assert store.status() == f"{files(places[1])[0].parent} (/proc/seqdiff cannot be used: No such file or directory)"


def test_with_no_place_at_all_nothing_is_kept_and_the_reason_is_said(places, monkeypatch):
    monkeypatch.setenv("SEQDIFF_CACHE", "/proc/nowhere")
    (places[1] / f"seqdiff-kernels-{os.geteuid()}").mkdir(mode=0o777)
    (places[1] / f"seqdiff-kernels-{os.geteuid()}").chmod(0o777)
    with store.alone("scan.forward") as there_is_a_place:
        assert not there_is_a_place
    store.write("scan.forward", CODE)
    assert store.read("scan.forward") is None
    assert "/proc/nowhere" in store.status()
    assert "others can write there" in store.status()


def test_a_full_disk_leaves_nothing_behind(places, monkeypatch):
    def full(number):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    store.write("scan.forward", CODE)
    assert not files(places[0])
    assert not files(places[1])
    assert "the disk is full" in store.status()


def test_the_digest_follows_sources_versions_and_cpu(tmp_path, monkeypatch):
    assert store._digest() == store.DIGEST
    digests = {store.DIGEST}
    for described in ("x86_64-unknown-linux-gnu znver4 +avx2", "x86_64-unknown-linux-gnu znver4 +avx2,+avx512f"):
        monkeypatch.setattr(machine, "described", lambda described=described: described)
        digests.add(store._digest())
    monkeypatch.setattr(store, "version", lambda package: "0.99")
    digests.add(store._digest())
    monkeypatch.setenv("NUMBA_OPT", "1")
    digests.add(store._digest())
    monkeypatch.setattr(store, "__file__", str(tmp_path / "store.py"))
    assert store._digest() is None
    for source in ("one", "two"):
        (tmp_path / "vectors.py").write_text(source)
        digests.add(store._digest())
    assert len(digests) == 7


def test_sources_that_were_edited_after_the_import_are_not_mixed_up_with_their_old_selves(places, monkeypatch):
    monkeypatch.setattr(store, "_digest", lambda: "0" * 32)
    store.write("scan.forward", CODE)
    assert store.read("scan.forward") is None


def test_the_digests_used_last_stay(places):
    root = kept(places).parents[1]
    for i in range(20):
        (root / f"{i:032x}").mkdir(parents=True)
        os.utime(root / f"{i:032x}", (i, i))
    (root / "something else").mkdir()
    root.chmod(0o700)
    store.write("scan.forward", CODE)
    wanted = {f"{i:032x}" for i in range(20 - store.KEPT + 1, 20)}
    assert {path.name for path in root.iterdir()} == {store.DIGEST, "something else", *wanted}


@pytest.fixture
def held(places):
    """The lock, in another process's hands."""
    with store.alone("scan.forward"):
        yield


def test_whoever_waits_goes_on_when_the_kernel_is_there(held):
    def write():
        time.sleep(0.2)
        store.write("scan.forward", CODE)

    other = threading.Thread(target=write)
    other.start()
    with store.alone("scan.forward"):
        assert store.read("scan.forward") == CODE
    other.join()


def test_nobody_waits_for_ever(held, monkeypatch):
    monkeypatch.setattr(store, "PATIENCE", 0.2)
    with store.alone("scan.forward") as there_is_a_place:
        assert there_is_a_place
        assert store.read("scan.forward") is None


def test_without_locks_nobody_waits(held, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with store.alone("scan.forward") as there_is_a_place:
        assert there_is_a_place
