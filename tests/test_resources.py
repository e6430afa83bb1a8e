from pathlib import Path

import pytest

from seqdiff import resources
from seqdiff.errors import DataError


def test_the_cache_folder_is_what_the_user_says(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SEQDIFF_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert resources.cache_folder() == tmp_path / ".cache" / "seqdiff"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert resources.cache_folder() == tmp_path / "xdg" / "seqdiff"
    monkeypatch.setenv("SEQDIFF_CACHE", "~/mine")
    assert resources.cache_folder() == tmp_path / "mine"


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch):
    def nowhere(path):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("SEQDIFF_CACHE", raising=False)
    monkeypatch.setattr(Path, "expanduser", nowhere)
    with pytest.raises(DataError, match="set SEQDIFF_CACHE to a folder"):
        resources.cache_folder()
