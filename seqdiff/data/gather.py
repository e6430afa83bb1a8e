"""Files that together are one are joined in order: sequences, tables with one header, a VCF with its index.

files -> their kind, by content, which must be one -> their headers, which must agree -> `Output`
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path

from seqdiff.data.fasta import NO_RECORD
from seqdiff.data.output import Output
from seqdiff.data.source import BLANKS, Source, shown
from seqdiff.data.tabix import VcfOutput
from seqdiff.data.vcf import Vcf, VcfRecord, header
from seqdiff.errors import DataError

Progress = Callable[[int], None]
_BINARY = {b"PK\x03\x04": "embeddings", b"PAR1": "Parquet"}


def kind_of(path: str | Path) -> str:
    """FASTA, FASTQ, VCF, table, evaluation (JSON), embeddings (.npz) or Parquet; "" where the file holds nothing.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     _ = file.write(b"name\\tlength\\n"); file.flush()
    ...     kind_of(file.name)
    'table'

    Raises DataError as `Source` does.
    """
    with Source(path) as source:
        if source.size:
            with open(path, "rb") as file:
                if binary := _BINARY.get(file.read(4)):
                    return binary
        text = next((start for block in source.blocks() if (start := block.lstrip(BLANKS))), b"")
    if not text or text == NO_RECORD:
        return ""
    if text.startswith(b"##fileformat=VCF"):
        return "VCF"
    return {b">": "FASTA", b"@": "FASTQ", b"{": "evaluation"}.get(text[:1], "table")


def one_kind(paths: Sequence[str]) -> tuple[str, list[str]]:
    """The kind of all files, and those that hold something. Raises DataError where there are several kinds, or none."""
    kinds = {path: kind for path in paths if (kind := kind_of(path))}
    if not kinds:
        raise DataError(f"{paths[0]} is empty, as are all files that were given: there is nothing to join")
    first = next(iter(kinds))
    for path, kind in kinds.items():
        if kind != kinds[first]:
            raise DataError(f"{first} is {KINDS[kinds[first]]}, {path} is {KINDS[kind]}: give files of one kind")
    return kinds[first], list(kinds)


KINDS = {
    "FASTA": "FASTA",
    "FASTQ": "FASTQ",
    "VCF": "a VCF",
    "table": "a table",
    "evaluation": "an evaluation (JSON)",
    "embeddings": "a file of embeddings (.npz)",
    "Parquet": "Parquet",
}


def join_sequences(paths: Sequence[str], output: Path | None, progress: Progress | None = None) -> None:
    """FASTA or FASTQ, byte for byte. Raises DataError as `Source` and `Output` do."""
    _join((source.blocks() for source in _opened(paths, progress)), output)


def join_tables(paths: Sequence[str], output: Path | None, progress: Progress | None = None) -> None:
    """Tables, byte for byte, the header once: lines that begin with #, and the line of columns after them.

    Raises DataError where headers differ, before there is any output, and as `Source` and `Output` do.
    """
    header = b""
    for path, source in zip(paths, _opened(paths, None), strict=True):
        found, _ = _split(source.blocks())
        header = header or found
        if found.splitlines() != header.splitlines():
            raise DataError(_other_header(paths[0], header, path, found))

    def bodies() -> Iterator[Iterator[bytes]]:
        for path, source in zip(paths, _opened(paths, progress), strict=True):
            found, blocks = _split(source.blocks())
            yield chain([found], blocks) if path == paths[0] else blocks

    _join(bodies(), output)


def join_variants(paths: Sequence[str], output: Path | None, progress: Progress | None = None) -> None:
    """VCF records under the header of the first file; `.vcf.gz` gets its index.

    Columns, samples, contigs and the fields that headers describe must agree; free lines (##source, ##...Command,
    dates) need not. Raises DataError where they do not, and as `Vcf` and `VcfOutput` do.
    """
    before, number = 0, 0
    with VcfOutput(output) as out:
        first: Vcf | None = None
        for path in paths:
            with Vcf(path, progress=_from(progress, before)) as vcf:
                if first is None:
                    first = vcf
                    out.write(header(vcf.meta, vcf.columns))
                    number = len(vcf.meta) + 1
                _require_agreement(first, vcf)
                for record in vcf.records():
                    number += 1
                    out.write_record(VcfRecord(number, record.columns), b"\t".join(record.columns) + b"\n")
            before += Path(path).stat().st_size


def _join(files: Iterator[Iterator[bytes]], output: Path | None) -> None:
    """Text after text; a line that was not ended is, where another follows."""
    with Output(output) as out:
        last = b"\n"
        for blocks in files:
            if last not in b"\r\n":
                out.write(b"\n")
            for block in filter(None, blocks):
                out.write(block)
                last = block[-1:]


def _opened(paths: Sequence[str], progress: Progress | None) -> Iterator[Source]:
    before = 0
    for path in paths:
        with Source(path, progress=_from(progress, before)) as source:
            yield source
        before += Path(path).stat().st_size


def _from(progress: Progress | None, before: int) -> Progress | None:
    return None if progress is None else lambda done: progress(before + done)


def _split(blocks: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """The header, and what follows it."""
    text = b""
    for block in chain(blocks, [b""]):
        text += block
        at = 0
        while (end := text.find(b"\n", at)) >= 0:
            line, at = text[at:end], end + 1
            if not line.startswith(b"#"):
                return text[:at], chain([text[at:]], blocks)
    return text, iter(())


def _other_header(first: str, one: bytes, path: str, other: bytes) -> str:
    pairs = zip(chain(one.splitlines(), [b""] * 99), chain(other.splitlines(), [b""] * 99))
    mine, theirs = next((a, b) for a, b in pairs if a != b)
    at = max(0, next((i for i, (a, b) in enumerate(zip(mine, theirs)) if a != b), min(len(mine), len(theirs))) - 20)
    return (
        f"{path} has another header than {first}: {shown(theirs[at:], 60)}, not {shown(mine[at:], 60)}: were they made "
        "by the same command and model?"
    )


def _require_agreement(first: Vcf, other: Vcf) -> None:
    if other.columns != first.columns:
        raise DataError(
            f"{other.name} has other columns or samples than {first.name}: {shown(b' '.join(other.columns[8:]), 60)}, "
            f"not {shown(b' '.join(first.columns[8:]), 60)}"
        )
    ours, theirs = _described(first), _described(other)
    for one, lines in ((first, ours - theirs), (other, theirs - ours)):
        if lines:
            lacks = other if one is first else first
            raise DataError(f"{lacks.name} lacks a line of the header of {one.name}: {shown(min(lines), 100)}")


def _described(vcf: Vcf) -> set[bytes]:
    return {line for line in vcf.meta if b"=<" in line[:40] or line.startswith(b"##fileformat")}
