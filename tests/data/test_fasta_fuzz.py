"""Damaged files of every sort: whole records or a SeqdiffError, never another exception, never half a file."""

import contextlib
import os
import tempfile
from pathlib import Path

from damage import damaged
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from seqdiff.alphabet import DNA
from seqdiff.data.fasta import check_letters, read_records
from seqdiff.data.genome import Genome
from seqdiff.data.intervals import read_bed
from seqdiff.errors import SeqdiffError


@settings(max_examples=400, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=damaged(), duplicates=st.sampled_from(["error", "first", "rename"]))
@example(data=b"", duplicates="error")
@example(data=b">", duplicates="error")
@example(data=b"@", duplicates="error")
@example(data=b"\x1f", duplicates="error")
@example(data=b"\x1f\x8b", duplicates="error")
@example(data=b">a\xff\n", duplicates="error")
def test_damaged_files_give_whole_records_or_a_clear_error(data, duplicates):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.fa"
        path.write_bytes(data)
        records = []
        with contextlib.suppress(SeqdiffError):
            for record in read_records(path, duplicates=duplicates):
                check_letters(record, DNA, path)
                records.append(record)
        assert len({record.name for record in records}) == len(records)
        for record in records:
            assert record.name
            assert DNA.first_invalid(record.sequence) is None
            assert record.quality is None or len(record.quality) == len(record.sequence)
        with contextlib.suppress(SeqdiffError):
            read_bed(path, {"chr1": 35})
        genome, message = opened(path)
        if genome is None:
            assert str(path) in message
            assert os.listdir(folder) == ["x.fa"]
        else:
            assert genome.contigs == {record.name: len(record.sequence) for record in records}
            assert sorted(os.listdir(folder)) == ["x.fa", "x.fa.seqdiff"]


def opened(path) -> tuple[Genome | None, str]:
    try:
        return Genome.open(path), ""
    except SeqdiffError as error:
        return None, str(error)
