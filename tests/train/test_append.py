import pytest

from seqdiff.errors import DataError
from seqdiff.train.append import Appended


def test_lines_that_a_full_disk_does_not_take_are_written_when_there_is_room(tmp_path, caplog):
    path = tmp_path / "metrics.jsonl"
    appended = Appended(path)
    appended.write(b"1\n")
    there, appended._file = appended._file, open("/dev/full", "wb", buffering=0)  # noqa: SIM115
    for step in (2, 3):
        appended.write(b"%d\n" % step)
    assert caplog.text.count("the disk is full") == 1
    with pytest.raises(DataError, match=r"metrics.jsonl: cannot be written: the disk is full"):
        appended.flush()
    appended._file = there
    appended.write(b"4\n")
    appended.flush()
    assert path.read_text() == "1\n2\n3\n4\n"


def test_a_line_that_a_disk_took_half_of_is_completed(tmp_path):
    path = tmp_path / "metrics.jsonl"
    appended = Appended(path)

    class Half:
        def write(self, data):
            return there.write(data[:5])

    there, appended._file = appended._file, Half()
    appended.write(b'{"step": 1, "value": 2}\n')
    assert path.read_text() == '{"step": 1, "value": 2}\n'
